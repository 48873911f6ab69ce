"""Having a peer send series: by C-MOVE to the node's own listener, or by C-GET."""

import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Final, cast

from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage
from pynetdicom import evt

from dicom_node.association.message_guard import guard_messages
from dicom_node.association.negotiation import Pair, negotiate
from dicom_node.association.peers import Peer
from dicom_node.association.presentation import (
    ACCEPTED,
    PLAIN,
    STUDY_ROOT_GET,
    STUDY_ROOT_MOVE,
)
from dicom_node.association.query import RemoteSeries
from dicom_node.association.query_service import (
    aborted_by,
    check_service,
    no_answer,
    status_words,
)
from dicom_node.association.receive_limits import ByteBudget, MeasuredDataSet, ReceiveLimits
from dicom_node.association.refusals import REFUSAL_WORDS, RefusalKind
from dicom_node.association.store_answer import StoreStatus, handle_refused, handle_store
from dicom_node.association.store_request import Intake, Sender, StoreRequest
from dicom_node.errors import AssociationAbortedError

if TYPE_CHECKING:
    from pynetdicom.dimse_primitives import C_STORE

LOGGER = logging.getLogger(__name__)

_LIMITS: Final = ReceiveLimits()

_PENDING: Final = frozenset({0xFF00, 0xFF01})

#: What the node takes over C-GET: CT, as its listener does.
_WANTED: Final = frozenset({CTImageStorage, EnhancedCTImageStorage})

#: Images of one association at most are one study's; sub-operations are counted by the peer.
_COUNTS: Final = {
    "completed": "NumberOfCompletedSuboperations",
    "failed": "NumberOfFailedSuboperations",
    "warned": "NumberOfWarningSuboperations",
}

Answers = Iterator[tuple[Dataset, Dataset | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrieval:
    """What became of the request for one series.

    Attributes
    ----------
    series : RemoteSeries
        Which one.
    completed, failed : int
        Images that the peer says it sent, with or without a warning, and that it could not send.
    status : int
        Last status of the request.
    message : str
        The same in words, empty for Success.
    """

    series: RemoteSeries
    completed: int
    failed: int
    status: int
    message: str

    @property
    def ok(self) -> bool:
        """Whether every image was sent."""
        return not self.message and not self.failed


def move_series(
    peer: Peer,
    series: Sequence[RemoteSeries],
    *,
    stop: threading.Event,
    timer: Callable[[], float] = time.monotonic,
) -> tuple[Retrieval, ...]:
    """Have a peer send series to the node's listener, one request per series.

    The peer must know the node's AE title and address; the images come over associations of its
    own, some of them perhaps after this function returned.

    Raises
    ------
    PeerError
        If there is no association, or it breaks.
    QueryRefusedError
        If the peer offers no C-MOVE.
    """
    contexts = [(str(STUDY_ROOT_MOVE), str(syntax)) for syntax in PLAIN]
    with negotiate(peer, contexts, timer=timer) as negotiated:
        check_service(peer, negotiated, STUDY_ROOT_MOVE)
        association = negotiated.association

        def ask(keys: Dataset) -> Answers:
            return association.send_c_move(keys, peer.calling_ae_title, STUDY_ROOT_MOVE)

        with aborted_by(stop, association):
            return tuple(_retrieve(peer, one, "C-MOVE", ask, timer) for one in series)


def get_series(
    peer: Peer,
    series: Sequence[RemoteSeries],
    *,
    intake: Intake,
    clock: Callable[[], datetime],
    stop: threading.Event,
    limits: ReceiveLimits = _LIMITS,
    timer: Callable[[], float] = time.monotonic,
    new_id: Callable[[], str] = lambda: uuid.uuid4().hex,
) -> tuple[Retrieval, ...]:
    """Have a peer send series over the association that asks for them.

    The images go to the same custody as those of the listener, and are answered like there:
    Success only once they are durable, and a refusal where they are longer than `limits` allow.

    Raises
    ------
    PeerError
        If there is no association, or it breaks.
    QueryRefusedError
        If the peer offers no C-GET.
    """
    sender = Sender(
        association_id=new_id(),
        calling_ae_title=peer.ae_title,
        called_ae_title=peer.calling_ae_title,
        address=peer.host,
        opened_at=clock(),
    )

    def on_store(event: evt.Event) -> int:
        return int(_take(event, sender, intake, clock))

    try:
        with negotiate(
            peer,
            _get_contexts(),
            timer=timer,
            as_provider_of=[str(one) for one in _WANTED],
            handlers=[(evt.EVT_C_STORE, on_store)],
        ) as negotiated:
            check_service(peer, negotiated, STUDY_ROOT_GET)
            association = negotiated.association
            guard_messages(
                association,
                limits=limits,
                budget=ByteBudget(limits.max_unfinished_bytes),
                on_violation=partial(_say_violation, peer.name),
            )

            def ask(keys: Dataset) -> Answers:
                return association.send_c_get(keys, STUDY_ROOT_GET)

            with aborted_by(stop, association):
                return tuple(_retrieve(peer, one, "C-GET", ask, timer) for one in series)
    finally:
        intake.association_closed(sender, clock())


def _get_contexts() -> list[Pair]:
    pairs = [(str(STUDY_ROOT_GET), str(syntax)) for syntax in PLAIN]
    pairs += [
        (str(one.sop_class_uid), str(syntax))
        for one in ACCEPTED
        if one.sop_class_uid in _WANTED
        for syntax in one.transfer_syntaxes
    ]
    return pairs


def _take(
    event: evt.Event, sender: Sender, intake: Intake, clock: Callable[[], datetime]
) -> StoreStatus:
    command = cast("C_STORE", event.request)
    data_set = cast("MeasuredDataSet", command.DataSet)
    if data_set.refusal is not None:
        return handle_refused(str(command.AffectedSOPInstanceUID), sender, data_set.refusal)
    request = StoreRequest(
        sender=sender,
        sop_class_uid=str(command.AffectedSOPClassUID),
        sop_instance_uid=str(command.AffectedSOPInstanceUID),
        transfer_syntax_uid=str(event.context.transfer_syntax),
        data_set=event.encoded_dataset(include_meta=False),
        received_at=clock(),
    )
    return handle_store(request, intake)


def _say_violation(peer_name: str, kind: RefusalKind, detail: str) -> None:
    LOGGER.warning(
        "The retrieval from %s was given up (%s; %s)", peer_name, REFUSAL_WORDS[kind], detail
    )


def _retrieve(
    peer: Peer,
    series: RemoteSeries,
    request: str,
    ask: Callable[[Dataset], Answers],
    timer: Callable[[], float],
) -> Retrieval:
    keys = Dataset()
    keys.QueryRetrieveLevel = "SERIES"
    keys.StudyInstanceUID = series.study_instance_uid
    keys.SeriesInstanceUID = series.series_instance_uid
    counts = dict.fromkeys(_COUNTS, 0)
    asked = timer()
    last = None
    try:
        for status, _ in ask(keys):
            if "Status" not in status:
                raise no_answer(peer, request, seconds=timer() - asked)
            asked = timer()
            for name, element in _COUNTS.items():
                counts[name] = int(status.get(element) or counts[name])
            last = int(status.Status)
    except RuntimeError:  # pynetdicom's word for: no longer established
        raise AssociationAbortedError(f"{peer.name} ended the association early") from None
    if last is None or last in _PENDING:
        raise no_answer(peer, request, seconds=timer() - asked)
    return Retrieval(
        series=series,
        completed=counts["completed"] + counts["warned"],
        failed=counts["failed"],
        status=last,
        message="" if last == StoreStatus.SUCCESS else f"{peer.name}: {status_words(last)}",
    )
