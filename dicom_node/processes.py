"""The supervisor: starts the node's processes, restarts the dead, stops them all.

A child says that it is ready by one line of JSON on its standard output, and watches its standard
input: when that closes, the supervisor is gone and the child stops too.
"""

import contextlib
import json
import logging
import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import IO

LOGGER = logging.getLogger(__name__)

#: Wait before the first restart; doubled by each further death up to `LONGEST_BACKOFF_S`.
FIRST_BACKOFF_S = 0.5
LONGEST_BACKOFF_S = 30.0

#: A process that has run this long without dying is forgiven its earlier deaths.
STABLE_AFTER_S = 60.0

#: A process that dies this often before it was ever ready cannot be started here.
START_ATTEMPTS = 3

#: Key by which the line that says "ready" is told from other output.
_READY = "ready"


class Role(StrEnum):
    """What a process of the node does."""

    RECEIVER = "receiver"  #: takes custody of what is sent
    WORKER = "worker"  #: analyses
    OFFICE = "office"  #: deadlines, deliveries, status page


class StartError(RuntimeError):
    """A process of the node died again and again before it was ready."""


class StoppedError(Exception):
    """A process was told to stop before it could begin its work: no fault."""


@dataclass(slots=True, eq=False)
class _Child:
    """One process and its history."""

    role: Role
    command: Sequence[str]
    process: subprocess.Popen[bytes] | None = None
    ready: Mapping[str, object] | None = None
    was_ready: bool = False
    deaths: int = 0
    started_at: float = 0.0
    start_at: float = 0.0
    unread: bytes = field(default=b"")


class Supervisor:
    """Keeps one process per role running until it is told to stop.

    Parameters
    ----------
    commands : Mapping
        Command line of each role.
    stop_time_s : float
        How long a process may take to stop by itself; then it is killed.
    on_ready : Callable
        Called once, when every process has been ready, with what each of them said.
    environment : Mapping or None
        Environment of the processes; None stands for this one's own.
    """

    def __init__(
        self,
        commands: Mapping[Role, Sequence[str]],
        *,
        stop_time_s: float = 20.0,
        on_ready: Callable[[Mapping[Role, Mapping[str, object]]], None] = lambda _: None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._children = [_Child(role=role, command=command) for role, command in commands.items()]
        self._stop_time_s = stop_time_s
        self._on_ready = on_ready
        self._environment = environment
        self._announced = False
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_write, False)
        self._selector.register(self._wake_read, selectors.EVENT_READ)
        self._stopping = False

    def stop(self) -> None:
        """Ask `run` to end; may be called from a signal handler or another thread."""
        self._stopping = True
        with contextlib.suppress(OSError):
            os.write(self._wake_write, b"x")

    def reload(self) -> None:
        """Let every process look at its settings now; may be called from a signal handler."""
        for child in self._children:
            if child.process is not None and child.ready is not None:
                with contextlib.suppress(OSError):
                    child.process.send_signal(signal.SIGHUP)

    def run(self) -> None:
        """Start everything and keep it running until `stop` is called.

        Raises
        ------
        StartError
            If a process dies `START_ATTEMPTS` times before it was ever ready.
        """
        try:
            while not self._stopping:
                for child in self._children:
                    self._tend(child)
                self._listen()
        finally:
            self._stop_all()
            self._close()

    def _tend(self, child: _Child) -> None:
        """Notice a death, and start what is due."""
        now = time.monotonic()
        if child.process is not None and child.process.poll() is not None:
            self._bury(child, now)
        if child.process is None and now >= child.start_at and not self._stopping:
            self._start(child, now)

    def _start(self, child: _Child, now: float) -> None:
        child.process = subprocess.Popen(  # noqa: S603  the command is this program's own
            child.command, env=self._environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        child.started_at = now
        child.ready = None
        child.unread = b""
        self._selector.register(_stdout(child), selectors.EVENT_READ, child)
        LOGGER.info("%s started as process %s", child.role, child.process.pid)

    def _bury(self, child: _Child, now: float) -> None:
        process = child.process
        if process is None:
            return
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(_stdout(child))
        _close_pipes(process)
        child.process = None
        stable = child.ready is not None and now - child.started_at >= STABLE_AFTER_S
        child.deaths = 1 if stable else child.deaths + 1
        if not child.was_ready and child.deaths >= START_ATTEMPTS:
            raise StartError(
                f"the {child.role} process could not be started; its own lines above say why"
            )
        wait_s = min(FIRST_BACKOFF_S * 2 ** (child.deaths - 1), LONGEST_BACKOFF_S)
        child.start_at = now + wait_s
        LOGGER.error(
            "%s ended with exit code %s; starting it again in %.1f s",
            child.role,
            process.returncode,
            wait_s,
        )

    def _listen(self) -> None:
        """Wait for a line from a child, a signal, or the next thing to do."""
        for key, _ in self._selector.select(timeout=0.2):
            if key.fd == self._wake_read:
                os.read(self._wake_read, 64)
                continue
            self._read(key.data)

    def _read(self, child: _Child) -> None:
        output = os.read(_stdout(child).fileno(), 4096)
        if not output:
            self._selector.unregister(_stdout(child))
            return
        *lines, child.unread = (child.unread + output).split(b"\n")
        for line in lines:
            facts = _facts(line)
            if facts is not None:
                child.ready = facts
                child.was_ready = True
        self._announce()

    def _announce(self) -> None:
        said = {child.role: child.ready for child in self._children}
        if self._announced or any(ready is None for ready in said.values()):
            return
        self._announced = True
        self._on_ready({role: ready for role, ready in said.items() if ready is not None})

    def _stop_all(self) -> None:
        running = [child.process for child in self._children if child.process is not None]
        for process in running:
            process.terminate()
        deadline = time.monotonic() + self._stop_time_s
        for process in running:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                LOGGER.warning("process %s did not stop in time and is killed", process.pid)
                process.kill()
                process.wait()
            _close_pipes(process)

    def _close(self) -> None:
        self._selector.close()
        os.close(self._wake_read)
        os.close(self._wake_write)


def stop_on_signals(stop: Callable[[], None]) -> None:
    """Call `stop` on SIGTERM and SIGINT, in a thread of its own; only from the main thread.

    Python runs handlers in the main thread, which does not wake for a signal that came the moment
    before it began to wait, and which must not set an event that it is about to wait for itself.
    So the handlers do nothing; a thread reads the numbers that the interpreter writes down.
    """
    heard, told = os.pipe()
    os.set_blocking(told, False)
    signal.set_wakeup_fd(told, warn_on_full_buffer=False)
    numbers = {int(signal.SIGTERM), int(signal.SIGINT)}
    for number in numbers:
        signal.signal(number, lambda _signum, _frame: None)

    def listen() -> None:
        while found := os.read(heard, 64):
            if numbers & set(found):
                stop()

    threading.Thread(target=listen, name="signals", daemon=True).start()


def reload_on_hangup(reload: Callable[[], None]) -> None:
    """Call `reload` on SIGHUP, the usual signal for "read your settings"; main thread only."""
    signal.signal(signal.SIGHUP, lambda _signum, _frame: reload())


def announce_ready(stream: IO[str], **facts: object) -> None:
    """Tell the supervisor, if there is one, that this process does its work now."""
    with contextlib.suppress(OSError):
        stream.write(json.dumps({_READY: True, **facts}) + "\n")
        stream.flush()


def stop_with_supervisor(
    descriptor: int, stop: Callable[[], None], *, give_up_after_s: float = 20.0
) -> None:
    """Watch a pipe in a thread; when it closes the supervisor is gone, and `stop` is called.

    Should the process hang in its last work, it is ended hard after `give_up_after_s`: everything
    it holds is in the ledger and on disk.
    """

    def watch() -> None:
        # Not through sys.stdin: its lock, held by this thread, would abort the interpreter's end.
        with contextlib.suppress(OSError):
            while os.read(descriptor, 64):
                pass
        LOGGER.warning("the supervisor is gone; stopping")
        stop()
        time.sleep(give_up_after_s)
        os._exit(1)

    threading.Thread(target=watch, name="supervisor-watch", daemon=True).start()


def _facts(line: bytes) -> Mapping[str, object] | None:
    """Return what a child said about itself, None for whatever else a library printed."""
    try:
        facts = json.loads(line)
    except ValueError:
        return None
    return facts if isinstance(facts, dict) and _READY in facts else None


def _stdout(child: _Child) -> IO[bytes]:
    if child.process is None or child.process.stdout is None:
        raise ValueError(f"{child.role} has no output to read")
    return child.process.stdout


def _close_pipes(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
