"""Where the thread of an outgoing association is held while an answer is waited for.

pynetdicom's own checkpoint lets that thread slip through: it may have passed, and not yet begun
its round, when the caller holds it and sends a request. An answer that comes within that moment is
taken up by the thread, which throws it away as something that nobody asked for, and the caller
waits in vain. From a quick peer on a busy machine that befalls one answer in a few thousand.
"""

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pynetdicom.association import Association

#: How often it is looked whether a thread that is waited for has ended.
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

    def clear(self) -> None:
        """Hold the thread; wait for the end of the round that it is in."""
        with self._change:
            super().clear()
            while self._is_in_round and self._is_another_and_alive():
                self._change.wait(_LOOK_S)

    def wait(self, timeout: float | None = None) -> bool:
        """Pass, or be held; for the thread itself."""
        with self._change:
            self._is_in_round = False
            self._change.notify_all()
            self._is_in_round = self._change.wait_for(self.is_set, timeout)
            return self._is_in_round

    def _is_another_and_alive(self) -> bool:
        return self._thread is not threading.current_thread() and self._thread.is_alive()


def hold_while_waiting(association: "Association") -> None:
    """Have an association wait for answers with its thread held; before it is established."""
    association._reactor_checkpoint = Checkpoint(association)  # noqa: SLF001 - the library has no other way to mend it
