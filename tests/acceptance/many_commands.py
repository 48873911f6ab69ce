"""Commands of ``ichnode``, one after the other in one process: a start of Python for all of them.

As a program it reads a list of command lines (JSON) from standard input, runs each with outputs of
its own, and writes what they said.
"""

import json
import os
import subprocess
import sys
import tempfile


def run_all(node, commands):
    """Return what each command said, by its line; a traceback is a failure."""
    done = subprocess.run(
        [sys.executable, __file__],
        input=json.dumps([[*command, "--config", str(node.config)] for command in commands]),
        capture_output=True,
        text=True,
        check=True,
    )
    told = dict(zip(map(" ".join, commands), json.loads(done.stdout), strict=True))
    assert not [line for line, said in told.items() if "Traceback" in said]
    return {line: said.encode() for line, said in told.items()}


def run_program(node, *command):
    """Run one command as a program of its own; return outputs and exit code."""
    return subprocess.run(
        [sys.executable, "-m", "dicom_node", *command, "--config", str(node.config)],
        capture_output=True,
        text=True,
        check=False,
    )


def _said(arguments):
    """Run one command; return standard output and standard error."""
    from dicom_node.cli.app import main

    sys.argv = ["ichnode", *arguments]
    kept = [os.dup(number) for number in (1, 2)]
    with tempfile.TemporaryFile() as told:
        for number in (1, 2):
            os.dup2(told.fileno(), number)
        try:
            main()
        except SystemExit:
            pass
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for number, copy in zip((1, 2), kept, strict=True):
                os.dup2(copy, number)
                os.close(copy)
        told.seek(0)
        return told.read().decode()


if __name__ == "__main__":
    json.dump([_said(one) for one in json.load(sys.stdin)], sys.stdout)
