"""The storage provider: takes CT over C-STORE and answers only when it has custody."""

import logging
import socket
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import TYPE_CHECKING, cast
from weakref import WeakKeyDictionary

from pynetdicom import AE, evt
from pynetdicom.pdu_primitives import A_ASSOCIATE

from dicom_node.association.commitment_scp import CommitmentScp
from dicom_node.association.dicom_stack import set_up_dicom_stack
from dicom_node.association.file_format import (
    IMPLEMENTATION_CLASS_UID,
    IMPLEMENTATION_VERSION_NAME,
)
from dicom_node.association.peers import MAX_PDU, check_ae_title
from dicom_node.association.presentation import ACCEPTED
from dicom_node.association.store_request import Intake, Sender, StoreRequest
from dicom_node.errors import (
    CustodyRecordError,
    InstanceMismatchError,
    IntakeError,
    LedgerError,
    SpoolFullError,
    SpoolWriteError,
    UnreadableInstanceError,
    describe_error,
    stack_of,
)

if TYPE_CHECKING:
    from pynetdicom.association import Association
    from pynetdicom.dimse_primitives import C_STORE
    from pynetdicom.transport import AssociationSocket, ThreadedAssociationServer

LOGGER = logging.getLogger(__name__)

#: A-ASSOCIATE result "accepted" (PS3.8, table 9-18).
_ACCEPTED = 0x00


class StoreStatus(IntEnum):
    """What the node answers to C-STORE (PS3.4, section B.2.3)."""

    SUCCESS = 0x0000
    OUT_OF_RESOURCES = 0xA700  #: the disk is low
    CANNOT_STORE = 0xA701  #: the disk refused
    CANNOT_RECORD = 0xA702  #: the ledger refused
    DATA_SET_MISMATCH = 0xA900  #: the data set is not what the request announced
    CANNOT_UNDERSTAND = 0xC000  #: the data set cannot be read
    UNFORESEEN = 0xC001  #: a fault of the node; its log says which


STATUS_OF_ERROR: dict[type[IntakeError], StoreStatus] = {
    SpoolFullError: StoreStatus.OUT_OF_RESOURCES,
    SpoolWriteError: StoreStatus.CANNOT_STORE,
    CustodyRecordError: StoreStatus.CANNOT_RECORD,
    UnreadableInstanceError: StoreStatus.CANNOT_UNDERSTAND,
    InstanceMismatchError: StoreStatus.DATA_SET_MISMATCH,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ScpSettings:
    """How the provider is known and whom it listens to.

    Attributes
    ----------
    ae_title : str
        The only called AE title that is answered.
    host, port
        Interface and TCP port; port 0 takes a free one.
    calling_ae_titles : frozenset of str or None
        Who may call; None lets anybody call.
    max_associations : int
        At the same time; the next one is told "local limit exceeded".
    max_pdu : int
        Largest P-DATA-TF that the provider takes, in bytes.
    acse_timeout_s, dimse_timeout_s, network_timeout_s : float
        Patience for an association request, a message in pieces, a silent association.

    Raises
    ------
    ValueError
        If a title is none, or nobody at all may call.
    """

    ae_title: str
    host: str
    port: int
    calling_ae_titles: frozenset[str] | None
    max_associations: int = 25
    max_pdu: int = MAX_PDU
    acse_timeout_s: float = 30.0
    dimse_timeout_s: float = 60.0
    network_timeout_s: float = 60.0

    def __post_init__(self) -> None:
        check_ae_title("ae_title", self.ae_title)
        for title in self.calling_ae_titles or ():
            check_ae_title("calling_ae_titles", title)
        if self.calling_ae_titles is not None and not self.calling_ae_titles:
            raise ValueError("calling_ae_titles must name at least one AE title, or be None")


def handle_store(request: StoreRequest, intake: Intake) -> StoreStatus:
    """Take custody of one instance and return the answer to the C-STORE request.

    Success tells the sender it may delete its copy, so it is returned only once `intake` has
    made the instance durable. No pixel is decoded here.
    """
    try:
        intake.accept(request)
    except IntakeError as error:
        status = STATUS_OF_ERROR[type(error)]
        LOGGER.warning(
            "C-STORE of %s from %s refused with 0x%04X: %s",
            request.sop_instance_uid,
            request.sender.calling_ae_title,
            status,
            error,
        )
        return status
    except Exception as error:  # noqa: BLE001 - first of three: the sender must hear a failure
        LOGGER.error(  # noqa: TRY400 - the message of an outside library may quote the data set
            "C-STORE of %s failed: %s", request.sop_instance_uid, stack_of(error)
        )
        return StoreStatus.UNFORESEEN
    return StoreStatus.SUCCESS


class StorageScp:
    """The DICOM listener of the node, with a thread per association.

    Parameters
    ----------
    settings
        AE title, address, callers and limits.
    intake
        Takes custody of the instances.
    clock
        Returns the present as an aware time.
    new_id
        Returns a new association identifier.
    commitment
        Speaks storage commitment; None leaves its presentation context out.
    """

    def __init__(
        self,
        *,
        settings: ScpSettings,
        intake: Intake,
        clock: Callable[[], datetime],
        new_id: Callable[[], str] = lambda: uuid.uuid4().hex,
        commitment: CommitmentScp | None = None,
    ) -> None:
        self._settings = settings
        self._intake = intake
        self._clock = clock
        self._new_id = new_id
        self._commitment = commitment
        self._server: ThreadedAssociationServer | None = None
        self._senders: dict[Association, Sender] = {}
        self._sockets: WeakKeyDictionary[Association, socket.socket] = WeakKeyDictionary()
        self._lock = threading.Lock()

    @property
    def port(self) -> int:
        """The TCP port that is listened on.

        Raises
        ------
        RuntimeError
            If the provider is not running.
        """
        if self._server is None:
            raise RuntimeError("The storage provider is not running")
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Bind the port and answer association requests in the background."""
        set_up_dicom_stack()
        settings = self._settings
        self._server = cast(
            "ThreadedAssociationServer",
            self._application_entity().start_server(
                (settings.host, settings.port), block=False, evt_handlers=self._handlers()
            ),
        )
        LOGGER.info("%s listens on %s port %s", settings.ae_title, settings.host, self.port)

    def stop(self, *, grace_s: float = 5.0) -> None:
        """Close the port; associations may end within `grace_s` each, then they are aborted."""
        if self._server is None:
            return
        server, self._server = self._server, None
        server.shutdown()
        for association in server.active_associations:
            association.join(timeout=grace_s)
        for association in server.active_associations:
            association.abort()
            association.join(timeout=grace_s)
        with self._lock:
            left = list(self._senders)
        for association in left:
            self._closed(association)

    def _application_entity(self) -> AE:
        settings = self._settings
        entity = AE(ae_title=settings.ae_title)
        for accepted in ACCEPTED:
            entity.add_supported_context(accepted.sop_class_uid, list(accepted.transfer_syntaxes))
        if self._commitment is not None:
            self._commitment.offer(entity)
        entity.require_called_aet = True
        entity.require_calling_aet = sorted(settings.calling_ae_titles or ())
        entity.maximum_associations = settings.max_associations
        entity.maximum_pdu_size = settings.max_pdu
        entity.acse_timeout = settings.acse_timeout_s
        entity.dimse_timeout = settings.dimse_timeout_s
        entity.network_timeout = settings.network_timeout_s
        entity.implementation_class_uid = IMPLEMENTATION_CLASS_UID
        entity.implementation_version_name = IMPLEMENTATION_VERSION_NAME
        return entity

    def _handlers(self) -> list[evt.EventHandlerType]:
        return [
            (evt.EVT_CONN_OPEN, self._on_connection),
            (evt.EVT_ESTABLISHED, self._on_established),
            (evt.EVT_C_STORE, self._on_store),
            (evt.EVT_RELEASED, self._on_end),
            (evt.EVT_ABORTED, self._on_end),
            (evt.EVT_CONN_CLOSE, self._on_disconnection),
            (evt.EVT_ACSE_SENT, _log_rejection),
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

    def _on_established(self, event: evt.Event) -> None:
        requestor = event.assoc.requestor
        sender = Sender(
            association_id=self._new_id(),
            calling_ae_title=requestor.ae_title.strip(),
            called_ae_title=self._settings.ae_title,
            address=requestor.address or "",
            opened_at=self._clock(),
        )
        with self._lock:
            self._senders[event.assoc] = sender
        for context in event.assoc.rejected_contexts:
            LOGGER.info("%s of %s not accepted", context.abstract_syntax, sender.calling_ae_title)

    def _on_store(self, event: evt.Event) -> int:
        with self._lock:
            sender = self._senders.get(event.assoc)
        if sender is None:  # the connection broke while the request waited its turn
            return int(StoreStatus.UNFORESEEN)
        command = cast("C_STORE", event.request)
        request = StoreRequest(
            sender=sender,
            sop_class_uid=str(command.AffectedSOPClassUID),
            sop_instance_uid=str(command.AffectedSOPInstanceUID),
            transfer_syntax_uid=str(event.context.transfer_syntax),
            data_set=event.encoded_dataset(include_meta=False),
            received_at=self._clock(),
        )
        return int(handle_store(request, self._intake))

    def _on_end(self, event: evt.Event) -> None:
        self._closed(event.assoc)

    def _closed(self, association: "Association") -> None:
        with self._lock:
            sender = self._senders.pop(association, None)
        if sender is None:
            return
        try:
            self._intake.association_closed(sender, self._clock())
        except LedgerError as error:
            # The series waits for its force time instead; nothing is lost.
            LOGGER.warning("End of an association not recorded: %s", describe_error(error))


def _log_rejection(event: evt.Event) -> None:
    answer = getattr(event, "primitive", None)
    if not isinstance(answer, A_ASSOCIATE) or answer.result in (None, _ACCEPTED):
        return
    requestor = event.assoc.requestor
    request = requestor.primitive
    LOGGER.warning(
        "Association refused (%s): %r called %r from %s",
        answer.reason_str,
        request.calling_ae_title.strip() if request else "",
        request.called_ae_title.strip() if request else "",
        requestor.address,
    )
