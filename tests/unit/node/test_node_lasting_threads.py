"""A process that has lost a thread it cannot do without ends, so that another is started."""

import subprocess
import sys
from pathlib import Path

import pytest
from poison import MARKER

_PROGRAM = """
import threading
from dicom_node.bootstrap.logs import log_what_nobody_caught, set_up_logs
from dicom_node.lasting_thread import LastingThread

def serve():
    raise KeyError("{poison}")

set_up_logs("office", level="INFO")
log_what_nobody_caught()
thread = {thread}
thread.start()
thread.join()
threading.Event().wait({seconds})
print("alive")
"""


def run(thread, *, seconds):
    """Run a process one of whose threads dies; return how it went."""
    return subprocess.run(
        [sys.executable, "-c", _PROGRAM.format(poison=MARKER, thread=thread, seconds=seconds)],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


@pytest.mark.parametrize(
    ("thread", "code", "said"),
    [
        ("LastingThread(target=serve, name='courier-pacs')", 70, ""),
        ("threading.Thread(target=serve, name='courier-pacs')", 0, "alive\n"),
    ],
)
def test_only_a_lasting_thread_takes_its_process_along(thread, code, said):
    """EX_SOFTWARE of sysexits.h; the log names the thread, not what the exception quotes."""
    done = run(thread, seconds=0 if said else 90)

    assert (done.returncode, done.stdout) == (code, said)
    assert "Thread courier-pacs died: KeyError" in done.stderr
    assert MARKER not in done.stderr
