"""A peer tried step by step: connection, TLS, association, C-ECHO, every class of object.

Each step that fails comes with the sentence that an administrator at the other side needs.
"""

import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pydicom.uid import UID

from dicom_node.association.compression import fits
from dicom_node.association.context_answers import ContextAnswer, why_refused
from dicom_node.association.negotiation import negotiate
from dicom_node.association.peers import Peer
from dicom_node.association.port_kind import is_answer_in_tls, speaks_plain_dicom, speaks_tls
from dicom_node.association.presentation import PLAIN, PROPOSED, VERIFICATION
from dicom_node.association.tls import client_context, handshake_words, own_certificate
from dicom_node.errors import AssociationRejectedError, PeerError, TlsFileError

#: Reasons of the service user to reject an association (PS3.8, table 9-21).
_SERVICE_USER = 1
_CALLING_TITLE, _CALLED_TITLE = 3, 7


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialStep:
    """One thing that was tried.

    Attributes
    ----------
    name : str
        ``connection``, ``TLS``, ``association``, ``C-ECHO`` or the name of a SOP class.
    ok : bool
        Whether the node can work with it.
    found : str
        What came of it.
    advice : str
        What to change, and at which side; empty if all is well.
    seconds : float
        How long it took.
    """

    name: str
    ok: bool
    found: str
    advice: str = ""
    seconds: float = 0.0


#: Is told each step as soon as it is done.
Told = Callable[[TrialStep], None]


def told_nobody(_: TrialStep) -> None:
    """Tell nobody."""


def try_peer(
    peer: Peer,
    *,
    results: bool = True,
    unsent: frozenset[str] = frozenset(),
    told: Told = told_nobody,
    timer: Callable[[], float] = time.monotonic,
) -> tuple[TrialStep, ...]:
    """Try a peer; the first step that fails is the last, but for classes of objects.

    Parameters
    ----------
    peer
        Who is called.
    results
        Whether it shall take results: then every class that the node makes is negotiated.
    unsent
        SOP Class UIDs of those that this site does not make.
    told
        Is told each step as soon as it is done.
    timer
        Returns seconds on a clock that never goes back.
    """
    made = [str(one.sop_class_uid) for one in PROPOSED] if results else [str(VERIFICATION)]
    steps: list[TrialStep] = []
    for step in _steps(peer, [one for one in made if one not in unsent], timer):
        steps.append(step)
        told(step)
        if not step.ok and step.name in _NEEDED:
            break
    return tuple(steps)


_CONNECTION, _TLS, _ASSOCIATION, _ECHO = "connection", "TLS", "association", "C-ECHO"
_NEEDED = frozenset({_CONNECTION, _TLS, _ASSOCIATION})


def _steps(peer: Peer, classes: Sequence[str], timer: Callable[[], float]) -> Iterator[TrialStep]:
    started = timer()
    try:
        with socket.create_connection(
            (peer.host, peer.port), timeout=peer.connect_timeout_s
        ) as plug:
            own_address = str(plug.getsockname()[0])
    except OSError as error:
        yield _no_connection(peer, error, timer() - started)
        return
    yield TrialStep(
        name=_CONNECTION,
        ok=True,
        found=f"{peer.host} port {peer.port} answers; the node calls from {own_address}",
        seconds=timer() - started,
    )
    if peer.tls is not None:
        started = timer()
        ok, found, advice = _shake_hands(peer)
        yield TrialStep(name=_TLS, ok=ok, found=found, advice=advice, seconds=timer() - started)
    yield from _associate(peer, own_address, classes, timer)


def _no_connection(peer: Peer, error: OSError, seconds: float) -> TrialStep:
    where = f"{peer.host} port {peer.port}"
    if isinstance(error, socket.gaierror):
        found = f"nobody knows the name {peer.host}"
        advice = "enter an address, or ask for the right name"
    elif isinstance(error, TimeoutError):
        found = f"{where} did not answer within {peer.connect_timeout_s:g} s"
        advice = f"ask whether a firewall lets this machine through to {where}"
    elif isinstance(error, ConnectionRefusedError):
        found = f"{where} refuses connections"
        advice = "ask whether the DICOM service runs, and on which port"
    else:
        found = f"{where}: {error.strerror or type(error).__name__}"
        advice = "look at address, port and network"
    return TrialStep(name=_CONNECTION, ok=False, found=found, advice=advice, seconds=seconds)


def _shake_hands(peer: Peer) -> tuple[bool, str, str]:
    """Return whether both sides believe each other, who shows what, and what to do."""
    tls = peer.tls
    if tls is None:
        raise ValueError(f"{peer.name} is called without TLS")
    try:
        context, own = client_context(tls), own_certificate(tls.files)
    except TlsFileError as error:
        return False, str(error), "put the files of [tls] right: ichnode check"
    try:
        with (
            socket.create_connection(
                (peer.host, peer.port), timeout=peer.connect_timeout_s
            ) as plug,
            context.wrap_socket(plug, server_hostname=tls.server_name or peer.host) as secure,
        ):
            shown, version, suite = secure.getpeercert() or {}, secure.version(), secure.cipher()
    except OSError as error:
        if not is_answer_in_tls(error) and speaks_plain_dicom(peer):
            return False, *_plain_port(peer)
        found = handshake_words(error)
        advice = (
            f"{peer.name} must show a certificate for {tls.server_name or peer.host} of an "
            f"authority in tls.trusted, and believe the authority of {own.name}"
        )
        return False, found, advice
    cipher = suite[0] if suite else "an unknown suite"
    found = (
        f"{version} with {cipher}; it shows {_subject(shown)}, until "
        f"{shown.get('notAfter', 'an unknown day')}; the node shows {own.name}"
    )
    return True, found, ""


def _plain_port(peer: Peer) -> tuple[str, str]:
    """Return what was found where TLS was expected, and which setting to change."""
    where = f"{peer.host} port {peer.port}"
    found = f"{where} speaks DICOM, but without TLS"
    advice = (
        f"set peers.port to the port at which {peer.name} expects TLS, often 2762; or, if it "
        "shall be called without, peers.tls = false"
    )
    return found, advice


def _tls_port(peer: Peer) -> tuple[str, str]:
    """Return what was found where DICOM as it is was expected, and which setting to change."""
    where = f"{peer.host} port {peer.port}"
    found = f"{where} speaks TLS, and it is called without"
    advice = (
        f"set peers.tls = true for {peer.name}; or, if it shall be called without, peers.port to "
        "its port without TLS, often 104 or 11112"
    )
    return found, advice


def _subject(certificate: Any) -> str:  # noqa: ANN401 - as the ssl module gives it
    names = [value for part in certificate.get("subject", ()) for key, value in part]
    return ", ".join(str(name) for name in names) or "a certificate without a subject"


def _associate(
    peer: Peer,
    own_address: str,
    classes: Sequence[str],
    timer: Callable[[], float],
) -> Iterator[TrialStep]:
    pairs = [(one, way) for one in classes for way in peer.encodings if fits(one, way)]
    pairs += [(str(VERIFICATION), str(way)) for way in PLAIN]
    started = timer()
    try:
        with negotiate(peer, pairs, timer=timer) as negotiated:
            yield TrialStep(
                name=_ASSOCIATION,
                ok=True,
                found=f"{peer.ae_title} accepts {peer.calling_ae_title}",
                seconds=timer() - started,
            )
            started = timer()
            can_echo = any(one == str(VERIFICATION) for one, _ in negotiated.accepted)
            status = negotiated.association.send_c_echo() if can_echo else None
            yield _echo_step(peer, status, timer() - started)
            answers = negotiated.answers
    except PeerError as error:
        seconds = timer() - started
        found, advice = str(error), _advice(peer, own_address, error)
        is_dicom = peer.tls is not None or isinstance(error, AssociationRejectedError)
        if not is_dicom and speaks_tls(peer):
            found, advice = _tls_port(peer)
        yield TrialStep(name=_ASSOCIATION, ok=False, found=found, advice=advice, seconds=seconds)
        return
    for sop_class in classes:
        if sop_class != str(VERIFICATION):
            yield _class_step(peer, sop_class, answers)


def _echo_step(peer: Peer, status: Any, seconds: float) -> TrialStep:  # noqa: ANN401 - pynetdicom's data set
    if status is None:
        found, advice = "not accepted", f"let {peer.ae_title} accept the Verification SOP class"
    elif "Status" not in status:
        found, advice = "no answer", f"ask why {peer.ae_title} does not answer C-ECHO"
    elif status.Status != 0:
        found = f"status 0x{status.Status:04X}"
        advice = f"look into the log of {peer.ae_title}"
    else:
        return TrialStep(name=_ECHO, ok=True, found="Success", seconds=seconds)
    return TrialStep(name=_ECHO, ok=False, found=found, advice=advice, seconds=seconds)


def _class_step(peer: Peer, sop_class: str, answers: Sequence[ContextAnswer]) -> TrialStep:
    name = UID(sop_class).name
    here = [one for one in answers if one.sop_class_uid == sop_class]
    taken = [UID(one.transfer_syntax_uid).name for one in here if one.accepted]
    if taken:
        return TrialStep(name=name, ok=True, found=f"accepted in {', '.join(taken)}")
    return TrialStep(
        name=name,
        ok=False,
        found=why_refused(answers, sop_class) or "no answer",
        advice=f"let {peer.ae_title} store {name} ({sop_class}) from {peer.calling_ae_title}",
    )


def _advice(peer: Peer, own_address: str, error: PeerError) -> str:
    """Return what the other side has to enter."""
    ours = f"AE title {peer.calling_ae_title} at {own_address}"
    if isinstance(error, AssociationRejectedError) and error.source == _SERVICE_USER:
        if error.reason == _CALLING_TITLE:
            return f"enter {ours} at {peer.name} as an allowed sender"
        if error.reason == _CALLED_TITLE:
            return f"ask how {peer.name} is called: it does not answer to {peer.ae_title}"
    if isinstance(error, AssociationRejectedError):
        return f"{peer.name} is busy or limits associations: ask, or set associations = 1"
    return (
        f"ask whether {ours} is entered at {peer.name}, and whether it expects TLS "
        f"({'it is' if peer.tls else 'it is not'} used here)"
    )
