"""What a mail server answers, as long as the node listens: so many bytes, and no longer."""

import smtplib
import socket
import time
from collections.abc import Callable
from typing import Final, TypeVar

#: A whole conversation is a few hundred bytes; a greeting may be a page.
MOST_BYTES: Final = 1 << 18

_PIECE: Final = 4096

_Server = TypeVar("_Server", bound=smtplib.SMTP)


class MailAnswers:
    """The lines of a mail server, for `smtplib`, which itself would listen for ever.

    Parameters
    ----------
    plug
        The connection.
    ends_at
        When the conversation must be over, on the timer.
    timer
        Returns seconds on a clock that never goes back.
    """

    def __init__(self, plug: socket.socket, *, ends_at: float, timer: Callable[[], float]) -> None:
        self._plug = plug
        self._ends_at = ends_at
        self._timer = timer
        self._heard = 0
        self._held = b""

    def readline(self, longest: int) -> bytes:
        """Return the next line, or the beginning of one that is longer; none at the end.

        Raises
        ------
        OSError
            If the server has said too much, takes too long or hangs up.
        """
        while b"\n" not in self._held and len(self._held) < longest:
            piece = self._more()
            if not piece:
                break
            self._held += piece
        end = self._held.find(b"\n") + 1 or len(self._held)
        end = min(end, longest)
        line, self._held = self._held[:end], self._held[end:]
        return line

    def close(self) -> None:
        """Forget what was heard; the connection is closed by who opened it."""
        self._held = b""

    def _more(self) -> bytes:
        left_s = self._ends_at - self._timer()
        if left_s <= 0:
            raise TimeoutError("the mail server took too long")
        if self._heard > MOST_BYTES:
            raise ConnectionAbortedError("the mail server said too much")
        before = self._plug.gettimeout()
        self._plug.settimeout(left_s if before is None else min(before, left_s))
        try:
            piece = self._plug.recv(_PIECE)
        finally:
            self._plug.settimeout(before)
        self._heard += len(piece)
        return piece


def bound(
    server: _Server, limit_s: float, *, timer: Callable[[], float] = time.monotonic
) -> _Server:
    """Return a conversation that has not begun, bound to so many seconds and to `MOST_BYTES`."""
    ends_at, listen = timer() + limit_s, server.getreply

    def getreply() -> tuple[int, bytes]:
        if server.file is None and server.sock is not None:
            server.file = MailAnswers(server.sock, ends_at=ends_at, timer=timer)
        return listen()

    server.getreply = getreply  # type: ignore[method-assign] # the one place where it listens
    return server
