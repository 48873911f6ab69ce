"""The storage provider: takes CT over C-STORE and answers only when it has custody."""

import contextlib
import logging
import socket
import uuid
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, cast
from weakref import WeakKeyDictionary

from pynetdicom import AE, evt
from pynetdicom.pdu_primitives import A_ASSOCIATE

from dicom_node.association.caller_certificate import shown_certificate
from dicom_node.association.callers import (
    Admission,
    Call,
    Rejection,
    permission_for,
)
from dicom_node.association.commitment_scp import CommitmentScp
from dicom_node.association.dicom_stack import set_up_dicom_stack
from dicom_node.association.file_format import (
    IMPLEMENTATION_CLASS_UID,
    IMPLEMENTATION_VERSION_NAME,
)
from dicom_node.association.guest_book import GuestBook
from dicom_node.association.listener import Door, Listener
from dicom_node.association.presentation import ACCEPTED
from dicom_node.association.receive_limits import ByteBudget, MeasuredDataSet
from dicom_node.association.refusals import Refusals
from dicom_node.association.scp_settings import Reader, ScpSettings
from dicom_node.association.store_answer import StoreStatus, handle_refused, handle_store
from dicom_node.association.store_request import Intake, Sender, StoreRequest
from dicom_node.association.stream_command import Request, RequestKind
from dicom_node.association.tls import FreshContext
from dicom_node.errors import (
    LedgerError,
    describe_error,
    stack_of,
)
from dicom_node.trace import tracing

if TYPE_CHECKING:
    from pynetdicom.association import Association
    from pynetdicom.dimse_primitives import C_STORE
    from pynetdicom.transport import AssociationSocket

LOGGER = logging.getLogger(__name__)

#: Names of the two listeners, as they stand in the log.
_PLAIN, _TLS = "without TLS", "with TLS"

#: pynetdicom's own limit, out of the way.
_NO_LIMIT = 100_000

#: Rejected transient, by the ACSE part of the service provider, no reason given (PS3.8, 9.3.4).
_NO_REASON = (0x02, 0x02, 0x01)

#: The socket gives up first and says why.
_LATER_S = 0.2


class StorageScp:
    """The DICOM listeners of the node, with a thread per association.

    Parameters
    ----------
    settings
        AE title, addresses, callers and limits.
    intake
        Takes custody of the instances.
    clock
        Returns the present as an aware time.
    new_id
        Returns a new association identifier.
    commitment
        Speaks storage commitment; None leaves its presentation context out.
    refusals
        Told of everybody who is turned away.
    """

    def __init__(
        self,
        *,
        settings: ScpSettings,
        intake: Intake,
        clock: Callable[[], datetime],
        new_id: Callable[[], str] = lambda: uuid.uuid4().hex,
        commitment: CommitmentScp | None = None,
        refusals: Refusals | None = None,
    ) -> None:
        self._settings = settings
        self._intake = intake
        self._clock = clock
        self._new_id = new_id
        self._commitment = commitment
        self.refusals = refusals or Refusals(clock)
        self._admission = settings.admission
        self._listeners: dict[str, Listener] = {}
        self._closed_listeners: list[Listener] = []
        self._guests = GuestBook(self._sender_of)
        self._sockets: WeakKeyDictionary[Association, socket.socket] = WeakKeyDictionary()

    @property
    def port(self) -> int:
        """The TCP port that is listened on without TLS.

        Raises
        ------
        RuntimeError
            If the provider is not running, or only with TLS.
        """
        return self._port_of(_PLAIN)

    @property
    def tls_port(self) -> int:
        """The TCP port that is listened on with TLS; raises RuntimeError like `port`."""
        return self._port_of(_TLS)

    @property
    def ports(self) -> dict[str, int]:
        """Every TCP port that is listened on, as ``port`` and ``tls_port``."""
        names = {"port": _PLAIN, "tls_port": _TLS}
        return {
            key: self._listeners[name].port
            for key, name in names.items()
            if name in self._listeners
        }

    def _port_of(self, name: str) -> int:
        if name not in self._listeners:
            raise RuntimeError(f"The storage provider is not running {name}")
        return self._listeners[name].port

    def start(self) -> None:
        """Bind the ports and answer association requests in the background.

        Raises
        ------
        OSError
            If a port cannot be listened on.
        TlsFileError
            If TLS has no usable files.
        """
        set_up_dicom_stack()
        settings = self._settings
        door = Door(
            limits=settings.limits,
            budget=ByteBudget(settings.limits.max_unfinished_bytes),
            refusals=self.refusals,
            knows_address=self._knows_address,
            max_associations=settings.max_associations,
            store=self._store if settings.reader is Reader.STREAM else None,
        )
        entity = self._application_entity()
        fresh = None if settings.tls is None else FreshContext(settings.tls)
        try:
            if settings.port is not None:
                self._open(_PLAIN, entity, settings.port, door, None)
            if fresh is not None:
                self._open(_TLS, entity, settings.tls_port, door, fresh)
        except OSError:
            self.stop()
            raise

    def _open(
        self, name: str, entity: AE, port: int, door: Door, tls: FreshContext | None
    ) -> None:
        settings = self._settings
        try:
            listener = Listener(
                entity, (settings.host, port), handlers=self._handlers(), door=door, tls=tls
            )
        except OSError as error:
            raise OSError(
                error.errno, f"{settings.host} port {port}: {error.strerror or error}"
            ) from error
        self._listeners[name] = listener
        listener.start()
        LOGGER.info(
            "%s listens on %s port %s %s", settings.ae_title, settings.host, listener.port, name
        )

    def admit(self, admission: Admission) -> None:
        """Let in by another rule from now on; associations that are open are left alone."""
        self._admission = admission

    def _knows_address(self, address: str) -> bool:
        """Return whether anybody may call from an address, by the rule of this moment."""
        return self._admission.knows_address(address)

    def close(self) -> None:
        """Close the ports; associations go on until `stop`."""
        listeners, self._listeners = list(self._listeners.values()), {}
        for listener in listeners:
            listener.shutdown()
        self._closed_listeners += listeners

    def stop(self, *, grace_s: float = 5.0) -> None:
        """Close the ports; associations may end within `grace_s` each, then they are aborted."""
        self.close()
        listeners, self._closed_listeners = self._closed_listeners, []
        for association in [one for each in listeners for one in each.active_associations]:
            association.join(timeout=grace_s)
        for association in [one for each in listeners for one in each.active_associations]:
            association.abort()
            association.join(timeout=grace_s)
        for association in self._guests.everybody():
            self._closed(association)

    def _application_entity(self) -> AE:
        settings = self._settings
        entity = AE(ae_title=settings.ae_title)
        for accepted in ACCEPTED:
            entity.add_supported_context(accepted.sop_class_uid, list(accepted.transfer_syntaxes))
        if self._commitment is not None:
            self._commitment.offer(entity)
        entity.maximum_associations = _NO_LIMIT  # `Admission` has its own
        entity.maximum_pdu_size = settings.limits.max_pdu
        entity.acse_timeout = settings.limits.request_s + _LATER_S
        entity.dimse_timeout = settings.dimse_timeout_s
        entity.network_timeout = settings.network_timeout_s
        entity.implementation_class_uid = IMPLEMENTATION_CLASS_UID
        entity.implementation_version_name = IMPLEMENTATION_VERSION_NAME
        return entity

    def _handlers(self) -> list[evt.EventHandlerType]:
        return [
            (evt.EVT_CONN_OPEN, self._on_connection),
            (evt.EVT_REQUESTED, self._on_requested),
            (evt.EVT_ESTABLISHED, self._on_established),
            (evt.EVT_C_STORE, self._on_store),
            (evt.EVT_RELEASED, self._on_end),
            (evt.EVT_ABORTED, self._on_end),
            (evt.EVT_CONN_CLOSE, self._on_disconnection),
            *(self._commitment.handlers() if self._commitment is not None else ()),
        ]

    def _on_connection(self, event: evt.Event) -> None:
        transport = cast("AssociationSocket", event.assoc.dul.socket)
        if transport.socket is None:
            return
        # Without Nagle's algorithm: a response in two writes would wait 40 ms for the delayed
        # acknowledgement of the sender.
        transport.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sockets[event.assoc] = transport.socket

    def _on_disconnection(self, event: evt.Event) -> None:
        # pynetdicom does not close a socket whose other end was closed first.
        left_open = self._sockets.pop(event.assoc, None)
        if left_open is not None:
            left_open.close()
        self._closed(event.assoc)

    def _on_requested(self, event: evt.Event) -> None:
        """Let a caller in or reject it; whatever fails here lets nobody in."""
        association = event.assoc
        try:
            self._admit(association)
        except Exception as error:  # noqa: BLE001 - pynetdicom would log it and go on
            LOGGER.error(  # noqa: TRY400 - the message of an outside library may quote something
                "An association request could not be judged: %s", stack_of(error)
            )
            association.acse.send_reject(*_NO_REASON)
            association.kill()

    def _admit(self, association: "Association") -> None:
        """Let a caller in, for what it may do, or reject it."""
        request = association.requestor.primitive
        if not isinstance(request, A_ASSOCIATE):  # the connection ended before it was one
            association.is_aborted = True
            association.kill()
            return
        call = Call(
            calling=(request.calling_ae_title or "").strip(),
            called=(request.called_ae_title or "").strip(),
            address=association.requestor.address or "",
            certificate=shown_certificate(self._sockets.get(association)),
        )
        answer = self._guests.ask(association, call, self._admission)
        if isinstance(answer, Rejection):
            self._reject(association, call, answer)
            return
        association.acceptor.supported_contexts = [
            context
            for context in association.acceptor.supported_contexts
            if permission_for(str(context.abstract_syntax)) in answer.may
        ]

    def _reject(self, association: "Association", call: Call, answer: Rejection) -> None:
        detail = f"called {call.called!r}" if call.called != self._settings.ae_title else ""
        self.refusals.note(answer.kind, address=call.address, ae_title=call.calling, detail=detail)
        association.requestor.ae_title = call.calling or "ANONYMOUS"
        association.acse.send_reject(answer.result, answer.source, answer.diagnostic)
        association.kill()

    def _sender_of(self, call: Call) -> Sender:
        return Sender(
            association_id=self._new_id(),
            calling_ae_title=call.calling,
            called_ae_title=self._settings.ae_title,
            address=call.address,
            opened_at=self._clock(),
        )

    def _on_established(self, event: evt.Event) -> None:
        self.refusals.admit()
        rejected = event.assoc.rejected_contexts
        ae_title = event.assoc.requestor.ae_title.strip()
        if rejected:
            # Tools of DCMTK propose every storage class there is: one line, the rest for DEBUG.
            LOGGER.info("%s contexts of %s not accepted", len(rejected), ae_title)
        for context in rejected:
            LOGGER.debug("%s of %s not accepted", context.abstract_syntax, ae_title)

    def _on_store(self, event: evt.Event) -> int:
        """Store an object that the library has read."""
        command = cast("C_STORE", event.request)
        request = Request(
            RequestKind.C_STORE,
            int(command.MessageID or 0),
            str(command.AffectedSOPClassUID),
            str(command.AffectedSOPInstanceUID),
        )
        with contextlib.closing(cast("MeasuredDataSet", command.DataSet)) as data_set:
            return self._store(event.assoc, request, str(event.context.transfer_syntax), data_set)

    def _store(
        self,
        association: "Association",
        request: Request,
        transfer_syntax_uid: str,
        data_set: MeasuredDataSet,
    ) -> int:
        """Store an object, and whatever fails here tell the sender."""
        try:
            return self._stored(association, request, transfer_syntax_uid, data_set)
        except Exception as error:  # noqa: BLE001 - the library would log what it says
            LOGGER.error(  # noqa: TRY400 - as above
                "An object could not be stored: %s", stack_of(error)
            )
            return int(StoreStatus.UNFORESEEN)

    def _stored(
        self,
        association: "Association",
        request: Request,
        transfer_syntax_uid: str,
        data_set: MeasuredDataSet,
    ) -> int:
        sender = self._guests.brings(association)
        if sender is None:
            LOGGER.info("An object was not stored: its association is over")
            return int(StoreStatus.UNFORESEEN)
        with tracing(sender.association_id):
            if data_set.refusal is not None:
                kind = data_set.refusal
                self.refusals.note(kind, address=sender.address, ae_title=sender.calling_ae_title)
                return int(handle_refused(request.sop_instance_uid, sender, kind))
            received = StoreRequest(
                sender=sender,
                sop_class_uid=request.sop_class_uid,
                sop_instance_uid=request.sop_instance_uid,
                transfer_syntax_uid=transfer_syntax_uid,
                data_set=data_set.getvalue(),
                received_at=self._clock(),
            )
            return int(handle_store(received, self._intake))

    def _on_end(self, event: evt.Event) -> None:
        self._closed(event.assoc)

    def _closed(self, association: "Association") -> None:
        sender = self._guests.leaves(association)
        if sender is None:  # nobody waits for the end of what brought nothing
            return
        try:
            self._intake.association_closed(sender, self._clock())
        except LedgerError as error:
            # The series waits for its force time instead; nothing is lost.
            LOGGER.warning("End of an association not recorded: %s", describe_error(error))
