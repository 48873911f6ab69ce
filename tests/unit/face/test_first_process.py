"""The node's commands as the first process of a container, which gets no signal by default."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

#: As a container engine starts a command: process 1 of its own.
AS_FIRST = ("unshare", "--pid", "--fork", "--kill-child", "--")
SHOWS_ITS_NUMBER = (sys.executable, "-c", "import os; print(os.getpid())")
PATIENCE_S = 100


@contextmanager
def first_process(*arguments):
    """Yield what `unshare` runs and the number, seen from here, of its process 1."""
    outside = subprocess.Popen(
        [*AS_FIRST, sys.executable, "-m", "dicom_node", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield outside
    finally:
        outside.kill()
        outside.wait()


def inside_of(outside):
    """Return the number of the process that `unshare` has forked."""
    children = Path(f"/proc/{outside.pid}/task/{outside.pid}/children")
    return int(children.read_text(encoding="ascii").split()[0])


@pytest.fixture
def silent_pacs():
    """Yield a listening socket; nobody answers, so a command that calls it waits."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(PATIENCE_S)
        yield server


def test_a_command_ends_when_its_container_is_stopped(silent_pacs, tmp_path):
    """With what a shell reports for SIGTERM; else the engine waits out its grace and kills."""
    if os.geteuid() or shutil.which("unshare") is None:
        pytest.skip("needs root and unshare to be process 1")
    shown = subprocess.run([*AS_FIRST, *SHOWS_ITS_NUMBER], capture_output=True, check=False)
    if shown.stdout.strip() != b"1":
        pytest.skip(f"this machine lets nobody be process 1: {shown.stderr.decode()}")
    config = tmp_path / "node.toml"
    port = silent_pacs.getsockname()[1]
    config.write_text(
        f'[[peers]]\nname = "pacs"\nae_title = "PACS"\nhost = "127.0.0.1"\nport = {port}\n'
    )

    with first_process("echo", "pacs", "--config", str(config)) as outside:
        call, _ = silent_pacs.accept()
        with call:
            os.kill(inside_of(outside), signal.SIGTERM)
            status = outside.wait(timeout=PATIENCE_S)

    assert status == 128 + signal.SIGTERM
