"""Calling a peer: one association, or an error that says in words why there is none."""

import logging
import socket
import ssl
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from pydicom.uid import UID
from pynetdicom import AE, build_context, build_role, evt
from pynetdicom.pdu_primitives import A_ASSOCIATE

from dicom_node.association.answer_guard import guard_answers
from dicom_node.association.checkpoint import hold_while_waiting
from dicom_node.association.context_answers import ACCEPTANCE, ContextAnswer
from dicom_node.association.dicom_stack import set_up_dicom_stack
from dicom_node.association.file_format import (
    IMPLEMENTATION_CLASS_UID,
    IMPLEMENTATION_VERSION_NAME,
)
from dicom_node.association.peers import Peer
from dicom_node.association.tls import ClientTls, client_context, handshake_words
from dicom_node.errors import (
    AssociationAbortedError,
    AssociationRejectedError,
    PeerError,
    PeerTimeoutError,
    PeerUnreachableError,
    TlsFileError,
)

if TYPE_CHECKING:
    from pynetdicom.association import Association
    from pynetdicom.transport import AssociationSocket

LOGGER = logging.getLogger(__name__)

#: An association request holds at most this many contexts: odd IDs from 1 to 255 (PS3.8, 9.3.2.2).
MAX_CONTEXTS = 128

#: SOP class and transfer syntax of one presentation context.
Pair = tuple[str, str]


@dataclass(slots=True, kw_only=True)
class Negotiated:
    """An association with a peer, as far as it came.

    Attributes
    ----------
    association : Association
        Established unless no context at all was accepted.
    accepted : frozenset of Pair
        What may be sent.
    answers : tuple of ContextAnswer
        What the peer said to every proposed context.
    """

    association: "Association"
    accepted: frozenset[Pair]
    answers: tuple[ContextAnswer, ...] = ()


@dataclass(slots=True)
class _Course:
    """What happened on the way to an association."""

    connected: bool = False
    answers: list[object] = field(default_factory=list)
    plugs: list[socket.socket] = field(default_factory=list)
    tls_fault: OSError | None = None


@contextmanager
def negotiate(
    peer: Peer,
    pairs: Iterable[Pair],
    *,
    timer: Callable[[], float],
    as_provider_of: Sequence[str] = (),
    handlers: Sequence[evt.EventHandlerType] = (),
) -> Iterator[Negotiated]:
    """Open an association with one presentation context per pair; release it at the end.

    If the peer takes part but rejects every context, `Negotiated.accepted` is empty and the
    association is over already.

    Parameters
    ----------
    peer
        Who is called.
    pairs
        SOP class and transfer syntax of each proposed context.
    timer
        Returns seconds on a clock that never goes back.
    as_provider_of
        SOP classes for which the node, though it calls, proposes the role of the provider (PS3.7,
        section D.3.3.4).
    handlers
        For requests that the peer sends over this association.

    Raises
    ------
    PeerError
        If there is no association; the class says which way it failed, the message why.
    ValueError
        If more pairs are given than an association can hold.
    """
    proposed = list(dict.fromkeys(pairs))
    if len(proposed) > MAX_CONTEXTS:
        raise ValueError(f"At most {MAX_CONTEXTS} contexts fit, got {len(proposed)}")
    set_up_dicom_stack()
    course = _Course()
    tls_args = None if peer.tls is None else _tls_arguments(peer, peer.tls, course)
    started = timer()
    with _known_name(peer):
        association = _entity(peer, course).associate(
            peer.host,
            peer.port,
            contexts=[
                build_context(UID(sop_class), UID(syntax)) for sop_class, syntax in proposed
            ],
            ae_title=peer.ae_title,
            tls_args=tls_args,
            max_pdu=peer.max_pdu,
            ext_neg=[build_role(UID(one), scp_role=True) for one in as_provider_of],
            evt_handlers=[
                *handlers,
                (evt.EVT_CONN_OPEN, _on_connection, [course]),
                (evt.EVT_ACSE_RECV, _on_answer, [course]),
            ],
        )
    _drop_unasked(association, peer, proposed)
    accepted = frozenset(
        (str(context.abstract_syntax), str(context.transfer_syntax[0]))
        for context in association.accepted_contexts
    )
    try:
        if not association.is_established and (accepted or not association.rejected_contexts):
            # A rejection that came before pynetdicom looked for it is still in its queue.
            while association.dul.receive_pdu(wait=False) is not None:
                pass
            failure = _failure(peer, course, seconds=timer() - started)
            failure.reached = False
            raise failure
        yield Negotiated(
            association=association, accepted=accepted, answers=_answers(association, proposed)
        )
    finally:
        if association.is_established:
            association.release()
        for plug in course.plugs:
            plug.close()


@contextmanager
def _known_name(peer: Peer) -> Iterator[None]:
    """Tell a name that nobody knows like any other peer that is out of reach.

    pynetdicom asks for the address outside of everything that it catches.
    """
    try:
        yield
    except socket.gaierror as error:
        words = _connection_words(peer, error)
        raise PeerUnreachableError(f"No connection to {_where(peer)}: {words}") from error


def _where(peer: Peer) -> str:
    return f"{peer.name} ({peer.ae_title} at {peer.host}:{peer.port})"


def _drop_unasked(association: "Association", peer: Peer, proposed: Sequence[Pair]) -> None:
    """Forget contexts that the peer accepted in a transfer syntax that was not proposed.

    It may not (PS3.8, section 9.3.3.2), and the library stumbles over a UID that is no transfer
    syntax.
    """
    contexts = association._accepted_cx  # noqa: SLF001 - pynetdicom has no other way
    for number, context in list(contexts.items()):
        if (str(context.abstract_syntax), str(context.transfer_syntax[0])) not in proposed:
            LOGGER.warning("%s accepted a context in a transfer syntax of its own", peer.name)
            del contexts[number]


def _answers(association: "Association", proposed: Sequence[Pair]) -> tuple[ContextAnswer, ...]:
    """Return an answer per proposal; contexts are numbered 1, 3, 5, ... as they were proposed."""
    results = {one.context_id: one.result for one in association.rejected_contexts}
    return tuple(
        ContextAnswer(
            context_id=context_id,
            sop_class_uid=sop_class,
            transfer_syntax_uid=syntax,
            result=results.get(context_id) or ACCEPTANCE,
        )
        for context_id, (sop_class, syntax) in zip(range(1, 256, 2), proposed, strict=False)
    )


def _entity(peer: Peer, course: _Course) -> AE:
    entity = AE(ae_title=peer.calling_ae_title)
    create_socket = entity._create_socket  # noqa: SLF001 - see below

    def create_and_keep(*arguments: Any) -> "AssociationSocket":  # noqa: ANN401 - passed through
        transport = create_socket(*arguments)
        if transport.socket is not None:
            course.plugs.append(transport.socket)
        return transport

    # pynetdicom forgets to close a socket that never connected.
    entity._create_socket = create_and_keep  # type: ignore[assignment] # noqa: SLF001
    entity.connection_timeout = peer.connect_timeout_s
    entity.acse_timeout = peer.acse_timeout_s
    entity.dimse_timeout = peer.dimse_timeout_s
    entity.network_timeout = peer.network_timeout_s
    entity.implementation_class_uid = UID(IMPLEMENTATION_CLASS_UID)
    entity.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    return entity


def _tls_arguments(peer: Peer, tls: ClientTls, course: _Course) -> tuple[ssl.SSLContext, str]:
    """Return context and name for pynetdicom; what goes wrong in TLS is kept in the course."""
    try:
        context = client_context(tls)
    except TlsFileError as error:
        raise PeerUnreachableError(f"No TLS with {peer.name}: {error}") from error

    class Plug(ssl.SSLSocket):
        """Remembers the fault that pynetdicom keeps to its log."""

        def connect(self, addr: Any) -> None:  # noqa: ANN401 - as the socket takes it
            course.plugs.append(self)
            try:
                super().connect(addr)
            except OSError as error:
                course.tls_fault = error
                raise

        def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
            # With TLS 1.3 the peer's opinion on our certificate comes after the handshake.
            try:
                return super().recv(buflen, flags)
            except ssl.SSLError as error:
                course.tls_fault = error
                raise

    context.sslsocket_class = Plug
    return context, tls.server_name or peer.host


def _on_connection(event: evt.Event, course: _Course) -> None:
    course.connected = True
    guard_answers(event.assoc)
    hold_while_waiting(event.assoc)
    transport = cast("AssociationSocket", event.assoc.dul.socket)
    if transport.socket is not None:
        transport.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _on_answer(event: evt.Event, course: _Course) -> None:
    course.answers.append(getattr(event, "primitive", None))


def _failure(peer: Peer, course: _Course, *, seconds: float) -> PeerError:
    """Return the error that describes why there is no association."""
    where = _where(peer)
    fault = course.tls_fault
    if isinstance(fault, ssl.SSLError):
        return PeerUnreachableError(f"No TLS with {where}: {handshake_words(fault)}")
    if not course.connected and isinstance(fault, OSError):
        words = _connection_words(peer, fault)
        return PeerUnreachableError(f"No connection to {where}: {words}")
    if not course.connected:
        return PeerUnreachableError(f"No connection to {where}: {_connection_fault(peer)}")
    for answer in course.answers:
        if isinstance(answer, A_ASSOCIATE) and answer.result:
            return AssociationRejectedError(
                f"{where} rejected the association: {answer.reason_str}, "
                f"{answer.result_str} by {answer.source_str}",
                result=answer.result,
                source=int(answer.result_source or 0),
                reason=int(answer.diagnostic or 0),
            )
    if not course.answers and seconds >= peer.acse_timeout_s:
        return PeerTimeoutError(
            f"{where} accepted the connection but did not answer the association request "
            f"within {peer.acse_timeout_s:g} s"
        )
    return AssociationAbortedError(f"{where} aborted while the association was negotiated")


def _connection_fault(peer: Peer) -> str:
    # pynetdicom keeps the reason to its log; a second attempt tells it.
    try:
        socket.create_connection((peer.host, peer.port), timeout=peer.connect_timeout_s).close()
    except OSError as error:
        return _connection_words(peer, error)
    return "it failed, a second attempt succeeded"


def _connection_words(peer: Peer, error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {peer.connect_timeout_s:g} s"
    return error.strerror or type(error).__name__
