"""One holder per lock, however the holder ends."""

import subprocess
import sys

import pytest

from dicom_node.lockfile import LockHeldError, hold_lock

HOLDER = """
import sys, pathlib
from dicom_node.lockfile import hold_lock
with hold_lock(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    path = tmp_path / "serve.lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout.readline() == b"held\n"
        yield path, process
        process.kill()


def test_a_second_holder_is_refused_and_told_who_holds(holder):
    """The message names the process, so that an operator can look."""
    path, process = holder

    with pytest.raises(LockHeldError, match=f"process {process.pid}"), hold_lock(path):
        pass


def test_a_killed_holder_leaves_no_lock_behind(holder):
    """After ``kill -9`` nothing has to be cleaned by hand."""
    path, process = holder
    process.kill()

    with hold_lock(path, wait_s=5):
        held = True

    assert held


def test_a_lock_is_free_after_use(tmp_path):
    """Leaving the block gives it back."""
    path = tmp_path / "x.lock"

    with hold_lock(path):
        pass
    with hold_lock(path):
        pass
