"""Models loaded and warmed up on trial, here or in a process of its own."""

import logging
import os
import subprocess
import sys
import tempfile
import threading
from typing import Final

from dicom_node.bootstrap.node_models import load_node_models
from dicom_node.errors import NodeError
from dicom_node.settings.schema import Settings
from pipeline.errors import PipelineError

#: A network that takes longer than this for one look at a scan is of no use to a node.
LONGEST_S: Final = 900.0

#: The node's own analyses go first.
_NICENESS: Final = 10

_UNUSABLE: Final = 1
_LEFT_ALONE: Final = 3


class UnusableModelsError(NodeError):
    """Models cannot be loaded, or fail when they see something; says why."""


def try_models(settings: Settings) -> None:
    """Load the models that settings name as the worker would, and let them see something once.

    Raises
    ------
    UnusableModelsError
        If they cannot be used.
    """
    try:
        load_node_models(settings).warm_up()
    except (PipelineError, RuntimeError, OSError, ValueError) as error:
        raise UnusableModelsError(f"the models cannot be used: {error}") from error


def try_models_apart(settings: Settings) -> None:
    """Do the same in a process of its own, so that this one never holds a network.

    That process ends with this one.

    Raises
    ------
    UnusableModelsError
        If they cannot be used, or nothing is known after `LONGEST_S`.
    """
    told = settings.model_dump_json(include={"worker", "results"})
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8") as said,
        subprocess.Popen(  # noqa: S603 - this program's own words
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=said,
            text=True,
        ) as process,
    ):
        code = _code_of(process, told)
        said.seek(0)
        words = said.read().strip()
    if code == _UNUSABLE and words:
        raise UnusableModelsError(words.splitlines()[-1])
    if code:
        raise UnusableModelsError(
            f"the models cannot be used: the process that tried them ended with code {code}"
        )


def _code_of(process: "subprocess.Popen[str]", told: str) -> int:
    """Return how the process ended; its standard input stays open as long as anybody waits."""
    assert process.stdin is not None  # noqa: S101 - it was asked for
    try:
        process.stdin.write(f"{told}\n")
        process.stdin.flush()
        return process.wait(LONGEST_S)
    except BrokenPipeError:
        return process.wait(LONGEST_S)
    except subprocess.TimeoutExpired as error:
        process.kill()
        raise UnusableModelsError(
            f"the models cannot be used: not warm after {LONGEST_S:g} s"
        ) from error


def main() -> int:
    """Try the models that standard input names; say on standard error why they are no good."""
    os.nice(_NICENESS)
    logging.disable(logging.WARNING)
    told = sys.stdin.readline()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        try_models(Settings.model_validate_json(told))
    except UnusableModelsError as error:
        sys.stderr.write(f"{' '.join(str(error).split())}\n")
        return _UNUSABLE
    return 0


def _end_with_parent() -> None:
    """End at once when nobody waits for the answer any more."""
    sys.stdin.read()
    os._exit(_LEFT_ALONE)


if __name__ == "__main__":
    sys.exit(main())
