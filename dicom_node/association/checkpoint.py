"""Where the thread of an outgoing association is held while an answer is waited for.

pynetdicom's own checkpoint lets that thread slip through: it may have passed, and not yet begun
its round, when the caller holds it and sends a request. An answer that comes within that moment is
taken up by the thread, which throws it away as something that nobody asked for, and the caller
waits in vain. From a quick peer on a busy machine that befalls one answer in a few thousand.
"""

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pynetdicom.association import Association
    from pynetdicom.dimse_primitives import DimseServiceType

#: How often it is looked whether a thread that is waited for has ended, and, by a thread that is
#: held, whether it may go on.
_LOOK_S = 0.05


class Checkpoint(threading.Event):
    """Set, it lets a thread pass; `clear` returns only when that thread is held here.

    Parameters
    ----------
    thread
        Passes here in each of its rounds.
    """

    def __init__(self, thread: threading.Thread) -> None:
        super().__init__()
        self._thread = thread
        self._change = threading.Condition()
        self._is_in_round = False
        self.set()

    def set(self) -> None:
        """Let the thread go on."""
        with self._change:
            super().set()
            self._change.notify_all()

    def set_quietly(self) -> None:
        """Let the thread go on when it looks next, without a change of threads now.

        Who holds it again at once, for the next of many files, has it sleep all the while.
        """
        super().set()

    def clear(self) -> None:
        """Hold the thread; wait for the end of the round that it is in."""
        with self._change:
            super().clear()
            while self._is_in_round and self._is_another_and_alive():
                self._change.wait(_LOOK_S)

    def end_round(self) -> None:
        """Say that the thread looks at nothing until it passes again; for the thread itself."""
        with self._change:
            self._is_in_round = False
            self._change.notify_all()

    def wait(self, timeout: float | None = None) -> bool:
        """Pass, or be held; for the thread itself."""
        self.end_round()
        limit = None if timeout is None else time.monotonic() + timeout
        with self._change:
            while not self.is_set() and not is_past(limit):
                self._change.wait(_LOOK_S)
            self._is_in_round = self.is_set()
            return self._is_in_round

    @property
    def is_held(self) -> bool:
        """Whether the thread is here."""
        return not self._is_in_round

    def _is_another_and_alive(self) -> bool:
        return self._thread is not threading.current_thread() and self._thread.is_alive()


def is_past(limit: float | None) -> bool:
    """Return whether a point in time has come, in seconds of `time.monotonic`; None never does."""
    return limit is not None and time.monotonic() >= limit


def hold_while_waiting(association: "Association") -> None:
    """Have an association wait for answers with its thread held; before it is established."""
    put_in_place(Checkpoint(association), association)


def put_in_place(checkpoint: Checkpoint, association: "Association") -> None:
    """Have the thread of an association pass a checkpoint; before it begins."""
    association._reactor_checkpoint = checkpoint  # noqa: SLF001 - the library has no other way to mend it
    serve = association._serve_request  # noqa: SLF001 - as above

    def serve_and_tell(message: "DimseServiceType", context_id: int) -> None:
        """Serve a request; a report is served in a thread of its own.

        The library says afterwards that the association's thread works. If that is held here it
        does not, and who waits for it to be held would wait for ever.
        """
        try:
            serve(message, context_id)
        finally:
            if checkpoint.is_held:
                association._is_paused = True  # noqa: SLF001 - as above

    association._serve_request = serve_and_tell  # type: ignore[method-assign, assignment]  # noqa: SLF001 - as above
