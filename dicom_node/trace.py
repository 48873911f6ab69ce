"""What ties log lines together: the association by which the images came.

The identifier of an association is 32 hexadecimal digits, which is also what OpenTelemetry calls
a trace id. It is in the ledger; whoever works on something that came over an association says so
here, and every log line of that work carries it, from C-STORE to delivery.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_TRACE: ContextVar[str] = ContextVar("trace", default="")


@contextmanager
def tracing(association_id: str) -> Iterator[None]:
    """Let log lines of this thread carry an association; an empty one stands for none."""
    token = _TRACE.set(association_id)
    try:
        yield
    finally:
        _TRACE.reset(token)


def current_trace() -> str:
    """Return the association that is worked on, empty if there is none."""
    return _TRACE.get()
