"""Who has been let in by the receiver, and who of them has brought something."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dicom_node.association.callers import Admission, Call, Caller, Rejection
from dicom_node.association.store_request import Sender

if TYPE_CHECKING:
    from pynetdicom.association import Association


@dataclass(slots=True)
class _Guest:
    """An association that was let in."""

    call: Call
    sender: Sender
    has_brought: bool = False


class GuestBook:
    """Keeps the associations that are let in, until they end. Safe to use from several threads.

    Parameters
    ----------
    welcome
        Returns what the node calls the other end of an association from now on.
    """

    def __init__(self, welcome: Callable[[Call], Sender]) -> None:
        self._welcome = welcome
        self._guests: dict[Association, _Guest] = {}
        self._lock = threading.Lock()

    def ask(
        self, association: "Association", call: Call, admission: Admission
    ) -> Caller | Rejection:
        """Let a caller in, or not; to be asked before it is answered.

        Its first image may be here sooner than the library says that the association is
        established.
        """
        sender = self._welcome(call)
        with self._lock:
            # The end of an association that brought nothing is not always told.
            self._guests = {
                one: guest
                for one, guest in self._guests.items()
                if guest.has_brought or one.is_alive()
            }
            open_calls = [guest.call for one, guest in self._guests.items() if one.is_alive()]
            answer = admission.decide(call, open_calls)
            if isinstance(answer, Caller):
                self._guests[association] = _Guest(call, sender)
        return answer

    def brings(self, association: "Association") -> Sender | None:
        """Return who brings an object; None if the association has ended meanwhile."""
        with self._lock:
            guest = self._guests.get(association)
            if guest is None:
                return None
            guest.has_brought = True
            return guest.sender

    def leaves(self, association: "Association") -> Sender | None:
        """Strike an association; return who has left that had brought something."""
        with self._lock:
            guest = self._guests.pop(association, None)
        return guest.sender if guest is not None and guest.has_brought else None

    def everybody(self) -> "list[Association]":
        """Return the associations that have not ended."""
        with self._lock:
            return list(self._guests)
