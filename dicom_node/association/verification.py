"""C-ECHO to a peer, with the result in words."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from dicom_node.association.context_answers import ContextAnswer
from dicom_node.association.negotiation import Pair, negotiate
from dicom_node.association.peers import Peer
from dicom_node.association.presentation import PLAIN, VERIFICATION
from dicom_node.errors import PeerError, PeerTimeoutError


@dataclass(frozen=True, slots=True, kw_only=True)
class EchoResult:
    """How a peer answered.

    Attributes
    ----------
    peer_name : str
        Who was asked.
    ok : bool
        Whether it answered C-ECHO with Success.
    seconds : float
        From the call to the answer or the failure.
    message : str
        The outcome in words.
    """

    peer_name: str
    ok: bool
    seconds: float
    message: str


def echo(peer: Peer, *, timer: Callable[[], float] = time.monotonic) -> EchoResult:
    """Return whether a peer accepts an association of the node and answers C-ECHO."""
    started = timer()
    try:
        ok, message = _ask(peer, timer)
    except PeerError as error:
        ok, message = False, str(error)
    return EchoResult(peer_name=peer.name, ok=ok, seconds=timer() - started, message=message)


def ask_contexts(
    peer: Peer, pairs: Iterable[Pair], *, timer: Callable[[], float] = time.monotonic
) -> tuple[ContextAnswer, ...]:
    """Return what a peer answers to each proposed presentation context; nothing is sent.

    Raises
    ------
    PeerError
        If there is no association.
    """
    with negotiate(peer, pairs, timer=timer) as negotiated:
        return negotiated.answers


def probe(peer: Peer, *, timer: Callable[[], float] = time.monotonic) -> None:
    """Return if a peer accepts an association of the node and answers; C-ECHO may be refused.

    Raises
    ------
    PeerError
        If it does not.
    """
    with negotiate(
        peer, [(str(VERIFICATION), str(syntax)) for syntax in PLAIN], timer=timer
    ) as negotiated:
        if negotiated.accepted and "Status" not in negotiated.association.send_c_echo():
            raise PeerTimeoutError(
                f"{peer.name} accepted the association, but did not answer C-ECHO"
            )


def _ask(peer: Peer, timer: Callable[[], float]) -> tuple[bool, str]:
    with negotiate(
        peer, [(str(VERIFICATION), str(syntax)) for syntax in PLAIN], timer=timer
    ) as negotiated:
        if not negotiated.accepted:
            return (
                False,
                f"{peer.name} accepts the association, but not the Verification SOP class",
            )
        status = negotiated.association.send_c_echo()
        if "Status" not in status:
            return False, f"{peer.name} accepted the association, but did not answer C-ECHO"
        if status.Status != 0:
            return False, f"{peer.name} answered C-ECHO with status 0x{status.Status:04X}"
    return True, f"{peer.name} answered C-ECHO with Success"
