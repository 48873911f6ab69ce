"""What C-FIND, C-MOVE and C-GET share: the service is offered, broken off, or fails."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from pydicom.uid import UID

from dicom_node.association.negotiation import Negotiated
from dicom_node.association.peers import Peer
from dicom_node.errors import AssociationAbortedError, PeerTimeoutError, QueryRefusedError

if TYPE_CHECKING:
    from pynetdicom.association import Association

#: Words for statuses (PS3.4, tables C.4-1 to C.4-3, and PS3.7, annex C), first fitting range wins.
_STATUSES: Final[tuple[tuple[range, str], ...]] = (
    (range(0x0122, 0x0123), "SOP class not supported"),
    (range(0x0124, 0x0125), "not authorised"),
    (range(0xA700, 0xA701), "out of resources"),
    (range(0xA701, 0xA702), "out of resources, cannot count the matches"),
    (range(0xA702, 0xA703), "out of resources, cannot send the images"),
    (range(0xA801, 0xA802), "it does not know our AE title as a move destination"),
    (range(0xA900, 0xA901), "the identifier does not match the SOP class"),
    (range(0xAA00, 0xAA05), "cannot send these images"),
    (range(0xB000, 0xB001), "some images could not be sent"),
    (range(0xC000, 0xD000), "unable to process"),
    (range(0xFE00, 0xFE01), "cancelled"),
)

#: How often it is looked whether an association shall be aborted.
_WATCH_S: Final = 0.2


def check_service(peer: Peer, negotiated: Negotiated, service: UID) -> None:
    """Make sure that the peer takes part in a service. Raises QueryRefusedError."""
    if not any(sop_class == service for sop_class, _ in negotiated.accepted):
        raise QueryRefusedError(f"{peer.name} does not offer {service.name}")


@contextmanager
def aborted_by(stop: threading.Event, association: "Association") -> Iterator[None]:
    """Abort an association from outside when `stop` is set: an answer may be minutes away."""
    done = threading.Event()

    def watch() -> None:
        while not done.wait(_WATCH_S):
            if stop.is_set():
                association.abort()
                # Whoever waits for an answer is not told by pynetdicom that there will be none.
                association.dimse.msg_queue.put((None, None))
                return

    watcher = threading.Thread(target=watch, name="association-watch", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


def status_words(status: int) -> str:
    """Return what a status of C-FIND, C-MOVE or C-GET means, in words."""
    words = next((text for span, text in _STATUSES if status in span), "failed")
    return f"{words} (0x{status:04X})"


def no_answer(
    peer: Peer, request: str, *, seconds: float
) -> PeerTimeoutError | AssociationAbortedError:
    """Return the error for a response that did not come."""
    if seconds >= peer.dimse_timeout_s:
        return PeerTimeoutError(
            f"{peer.name} did not answer {request} within {peer.dimse_timeout_s:g} s"
        )
    return AssociationAbortedError(f"{peer.name} aborted the association during {request}")
