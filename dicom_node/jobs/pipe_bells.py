"""Bells between the processes of one machine: a named pipe for each that listens."""

import logging
import os
import select
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dicom_node.jobs.wake import Topic

LOGGER = logging.getLogger(__name__)

#: For the node's own account only: whoever can write here can make a process look too often.
_PRIVATE_FOLDER, _PRIVATE_FILE = 0o700, 0o600

#: Rings that came together are heard once; more than a pipe holds.
_MOST_BYTES = 65536

#: Least time between two rings that are heard, so that a flood of them costs little.
_PAUSE_S = 0.005


class PipeBells:
    """Named pipes in a folder of the data directory.

    Whoever listens for a topic reads a pipe of its own; whoever rings writes a byte into each of
    that topic. The pipe of a dead process has no reader and is passed over; the next process of
    that name takes it again. Where the disk has no named pipes nothing is heard, and every process
    looks by itself as often as it does anyway.

    Parameters
    ----------
    folder
        Where the pipes are; made when somebody listens.
    name
        Of the process, unlike that of every other one.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = name

    def ring(self, topic: Topic) -> None:
        """Wake whoever listens for a topic. Never raises, never waits."""
        with suppress(OSError):
            for pipe in list(self._folder.glob(f"{topic}.*")):
                _write(pipe)

    @contextmanager
    def listen(self, topic: Topic, on_ring: Callable[[], None]) -> Iterator[None]:
        """Have `on_ring` called in a thread with every ring while the context is open."""
        path = self._folder / f"{topic}.{self._name}"
        try:
            reader = self._opened(path)
        except OSError as error:
            LOGGER.warning("No named pipe for %s: %s", topic, error.strerror)
            yield
            return
        heard, over = os.pipe()
        thread = threading.Thread(
            target=_hear, args=(reader, heard, on_ring), name=f"bell-{topic}", daemon=True
        )
        thread.start()
        try:
            yield
        finally:
            os.close(over)
            thread.join()
            for descriptor in (reader, heard):
                os.close(descriptor)
            with suppress(OSError):
                path.unlink()

    def _opened(self, path: Path) -> int:
        self._folder.mkdir(mode=_PRIVATE_FOLDER, parents=True, exist_ok=True)
        if not path.is_fifo():
            path.unlink(missing_ok=True)
            os.mkfifo(path, _PRIVATE_FILE)
        # Read and write, though it is only read: without any writer a pipe would always be at
        # its end, and never wait.
        return os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)


def _write(pipe: Path) -> None:
    """Write a byte; a pipe that is full rings already, one without a reader is nobody's."""
    with suppress(OSError):
        writer = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            os.write(writer, b".")
        finally:
            os.close(writer)


def _hear(reader: int, over: int, on_ring: Callable[[], None]) -> None:
    """Call `on_ring` whenever there is something to read, until `over` is closed."""
    pause = threading.Event()
    news = select.poll()
    for descriptor in (reader, over):
        news.register(descriptor, select.POLLIN)
    while True:
        if any(descriptor == over for descriptor, _ in news.poll()):
            return
        os.read(reader, _MOST_BYTES)
        on_ring()
        pause.wait(_PAUSE_S)
