"""A limit for HTTP answers as a whole: the time-out of a socket begins anew with each byte."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from http.client import HTTPConnection


@contextlib.contextmanager
def cut_off_after(connection: HTTPConnection, seconds: float) -> Iterator[None]:
    """Break a connection that is still used after so many seconds; raise TimeoutError then.

    A server may send a byte now and then, or "100 Continue" without end: each of them is in time.
    """
    link = connection.sock
    is_cut = threading.Event()

    def cut() -> None:
        is_cut.set()
        with contextlib.suppress(OSError, AttributeError):  # it is closed already
            link.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    except Exception:
        if is_cut.is_set():
            raise TimeoutError("The answer was not complete in time") from None
        raise
    finally:
        timer.cancel()
    if is_cut.is_set():
        raise TimeoutError("The answer was not complete in time")
