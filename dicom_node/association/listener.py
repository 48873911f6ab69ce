"""A listening socket of the receiver, plain or with TLS, that strangers cannot bring to a halt."""

import logging
import queue
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from socketserver import BaseServer
from typing import TYPE_CHECKING, Any, cast

from pynetdicom import AE, evt
from pynetdicom.transport import RequestHandler, ThreadedAssociationServer

from dicom_node.association.guarded_socket import GuardedSocket
from dicom_node.association.message_guard import guard_messages
from dicom_node.association.receive_limits import ByteBudget, MeasuredDataSet, ReceiveLimits
from dicom_node.association.refusals import RefusalKind, Refusals
from dicom_node.association.stream_command import Request
from dicom_node.association.stream_provider import StreamProvider
from dicom_node.association.stream_reader import Context, StreamReader
from dicom_node.association.tls import FreshContext, handshake_words
from dicom_node.errors import TlsFileError, stack_of

if TYPE_CHECKING:
    from pynetdicom.association import Association
    from pynetdicom.presentation import PresentationContext

LOGGER = logging.getLogger(__name__)

#: Connections beyond the associations that are allowed: those that are about to be told so.
_SPARE_CONNECTIONS = 16


#: pynetdicom's event for "transport connection closed".
_CLOSED = "Evt17"

#: How soon a listener notices that it shall close.
_POLL_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """What listeners share.

    Attributes
    ----------
    limits : ReceiveLimits
        How much and how slowly may be sent.
    budget : ByteBudget
        Memory of all associations.
    refusals : Refusals
        Told of everybody who is turned away.
    knows_address : Callable
        Whether anybody may call from an address.
    max_associations : int
        How many there may be at the same time.
    store : Callable or None
        Stores an object that came past the library: association, request, transfer syntax and
        data set; returns the status of the answer. None leaves all to the library.
    """

    limits: ReceiveLimits
    budget: ByteBudget
    refusals: Refusals
    knows_address: Callable[[str], bool]
    max_associations: int
    store: "Callable[[Association, Request, str, MeasuredDataSet], int] | None" = None


class _SharedContexts(list["PresentationContext"]):
    """Contexts that all associations share: nobody changes them.

    The library copies them for each association, which costs more time than everything else in
    setting it up.
    """

    def __deepcopy__(self, memo: dict[int, object]) -> "list[PresentationContext]":
        """Return the same contexts in a list of their own."""
        return list(self)


class Listener(ThreadedAssociationServer):
    """pynetdicom's server, with TLS handshakes outside the thread that accepts.

    Parameters
    ----------
    entity
        The application entity that is called.
    address
        Interface and TCP port; port 0 takes a free one.
    handlers
        pynetdicom's events and who handles them.
    door
        Limits, shared by all listeners.
    tls
        Context of the TLS connections; None for a listener without TLS.

    Raises
    ------
    OSError
        If the port cannot be listened on.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(
        self,
        entity: AE,
        address: tuple[str, int],
        *,
        handlers: Sequence[evt.EventHandlerType],
        door: Door,
        tls: FreshContext | None = None,
    ) -> None:
        self.door = door
        self._tls = tls
        self._shaking: dict[socket.socket, str] = {}
        self._lock = threading.Lock()
        super().__init__(
            entity,
            address,
            entity.ae_title,
            entity.supported_contexts,
            evt_handlers=list(handlers),
            request_handler=GuardedRequestHandler,
        )
        self.contexts = _SharedContexts(self.contexts)

    @property
    def port(self) -> int:
        """The TCP port that is listened on."""
        return int(self.server_address[1])

    def start(self) -> None:
        """Accept connections in the background."""
        threading.Thread(
            target=self.serve_forever, args=(_POLL_S,), name=f"Listener@{self.port}", daemon=True
        ).start()

    def shutdown(self) -> None:
        """Close the port; associations go on."""
        BaseServer.shutdown(self)
        self.server_close()

    def verify_request(self, request: Any, client_address: Any) -> bool:  # noqa: ANN401 - socketserver's
        """Return whether a connection is kept; nothing has been read from it yet."""
        del request
        address = str(client_address[0])
        if not self.door.knows_address(address):
            self.door.refusals.note(RefusalKind.UNKNOWN_ADDRESS, address=address)
            return False
        running = self.active_associations
        with self._lock:
            shaking = list(self._shaking.values())
        strangers = shaking + [
            one.requestor.address or "" for one in running if not one.is_established
        ]
        # One address that only connects leaves the places of all associations to the others.
        share = self.door.max_associations
        most = 2 * share + _SPARE_CONNECTIONS
        if len(running) + len(shaking) < most and strangers.count(address) < share:
            return True
        self.door.refusals.note(RefusalKind.CONNECTION_LIMIT, address=address)
        return False

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - socketserver's
        """Serve a connection; in a thread of its own where a TLS handshake is waited for."""
        if self._tls is None:
            self.process_request_thread(request, client_address)
        else:
            super().process_request(request, client_address)

    def finish_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - socketserver's
        """Begin an association on a connection, after the TLS handshake where there is one.

        Runs in a thread of the connection if there is one.
        """
        plug = request
        if self._tls is not None:
            plug = self._shake_hands(request, str(client_address[0]), self._tls)
        if plug is not None:
            super().finish_request(plug, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - socketserver's
        """Log a fault of the node; socketserver would print it."""
        del request, client_address
        error = sys.exception()
        if error is not None:
            LOGGER.error("A connection could not be served: %s", stack_of(error))

    def _shake_hands(
        self, request: socket.socket, address: str, tls: FreshContext
    ) -> ssl.SSLSocket | None:
        """Return the connection with TLS; None if there is none, it is closed then."""
        with self._lock:
            self._shaking[request] = address
        try:
            request.settimeout(self.door.limits.request_s)
            return self._context(tls).wrap_socket(request, server_side=True)
        except OSError as error:
            self.door.refusals.note(
                RefusalKind.TLS_FAILED, address=address, detail=handshake_words(error)
            )
            self.shutdown_request(request)
            return None
        finally:
            with self._lock:
                self._shaking.pop(request, None)

    @staticmethod
    def _context(tls: FreshContext) -> ssl.SSLContext:
        try:
            return tls.current()
        except TlsFileError as error:
            LOGGER.error("Renewed TLS files cannot be used, the old ones still are: %s", error)  # noqa: TRY400 - the message says it all
            return tls.last


class GuardedRequestHandler(RequestHandler):
    """Makes the association of a connection and puts its guards in place."""

    def _create_association(self) -> "Association":
        association = super()._create_association()
        door = cast("Listener", self.server).door
        address = str(self.client_address[0])

        def on_violation(kind: RefusalKind, detail: str) -> None:
            door.refusals.note(
                kind,
                address=address,
                ae_title=(association.requestor.ae_title or "").strip(),
                detail=detail,
            )

        # The socket that pynetdicom has just put in has announced itself; so does ours.
        with_announcement = association.dul.event_queue
        while True:
            try:
                with_announcement.get_nowait()
            except queue.Empty:
                break
        if door.store is not None:
            association.dul = StreamProvider(
                association,
                open_reader=partial(_reader_of, association, door),
                on_violation=on_violation,
            )
            # The timers of the upper layer are set through the association.
            association.acse_timeout = association.acse_timeout
            association.network_timeout = association.network_timeout
        association.dul.socket = None
        plug = GuardedSocket(
            association,
            cast("socket.socket", self.request),
            limits=door.limits,
            on_violation=on_violation,
        )
        association.set_socket(plug)
        _contain(association, plug)
        guard_messages(
            association, limits=door.limits, budget=door.budget, on_violation=on_violation
        )
        return association


def _reader_of(association: "Association", door: Door, plug: GuardedSocket) -> StreamReader:
    """Return what reads the storage requests of an association that is established."""
    if door.store is None:
        raise ValueError("Nobody stores")
    return StreamReader(
        contexts={
            int(context.context_id or 0): Context(
                sop_class_uid=str(context.abstract_syntax),
                transfer_syntax_uid=str(context.transfer_syntax[0]),
            )
            for context in association.accepted_contexts
        },
        store=partial(door.store, association),
        send=plug.send,
        limits=door.limits,
        budget=door.budget,
        longest_answer=association.requestor.maximum_length or 0,
    )


def _contain(association: "Association", plug: GuardedSocket) -> None:
    """End the association where pynetdicom meets a PDU that it cannot turn into a primitive.

    Its thread would die of it, with a traceback on standard error.
    """
    act = association.dul.state_machine.do_action

    def act_or_end(event: str) -> None:
        try:
            act(event)
        except Exception as error:  # noqa: BLE001 - whatever garbage does, the node lives on
            LOGGER.info("A PDU that cannot be understood: %s", stack_of(error))
            plug.abandon(RefusalKind.MALFORMED, type(error).__name__)
            if event == _CLOSED:
                association.dul.kill_dul()

    association.dul.state_machine.do_action = act_or_end  # type: ignore[method-assign]
