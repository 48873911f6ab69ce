"""Real sockets on the loopback address: callers, servers that play back a case, dead threads."""

import contextlib
import select
import socket
import threading
from collections.abc import Callable, Iterable

HOST = "127.0.0.1"
PATIENCE_S = 8.0

#: How long an answer is waited for that may never come.
ANSWER_S = 0.05
_PIECE = 65536


class ThreadDiedError(AssertionError):
    """An exception ended a thread of the node."""


class Deaths:
    """Notes what ends threads."""

    def __init__(self) -> None:
        self.seen: list[BaseException] = []
        threading.excepthook = self._note

    def _note(self, died: threading.ExceptHookArgs) -> None:
        if died.exc_value is not None:
            self.seen.append(died.exc_value)

    def check(self) -> None:
        """Raise ThreadDiedError if there was one since the last time."""
        if self.seen:
            dead = self.seen.pop()
            self.seen.clear()
            raise ThreadDiedError(repr(dead)).with_traceback(dead.__traceback__)


def exchange(port: int, pieces: Iterable[bytes]) -> bytes:
    """Send pieces, each when the one before has been answered; return what was answered."""
    with socket.create_connection((HOST, port), timeout=PATIENCE_S) as plug:
        return talk(plug, pieces)


def talk(plug: socket.socket, pieces: Iterable[bytes]) -> bytes:
    """Do the same over a connection that stands; say at the end that nothing more comes."""
    answer = b""
    with contextlib.suppress(OSError):  # it hung up, which is its right
        for piece in pieces:
            plug.sendall(piece)
            if select.select([plug], [], [], ANSWER_S)[0]:
                heard = plug.recv(_PIECE)
                answer += heard
                if not heard:
                    return answer
        plug.shutdown(socket.SHUT_WR)
        while piece := plug.recv(_PIECE):
            answer += piece
    return answer


class PlayedBack:
    """A server on a free port that lets a function talk to each caller."""

    def __init__(self, play: Callable[[socket.socket, bytes], None]) -> None:
        self._play = play
        self._listener = socket.create_server((HOST, 0), backlog=64)
        self.port = self._listener.getsockname()[1]
        self.data = b""
        threading.Thread(target=self._serve, name="hostile-server", daemon=True).start()

    def _serve(self) -> None:
        while True:
            plug, _ = self._listener.accept()
            threading.Thread(target=self._talk, args=(plug, self.data), daemon=True).start()

    def _talk(self, plug: socket.socket, data: bytes) -> None:
        plug.settimeout(PATIENCE_S)
        with contextlib.suppress(OSError), plug:
            self._play(plug, data)
