"""Storage commitment: what is asked and reported, and the node as the one who asks or reports.

Storage Commitment Push Model SOP Class, PS3.4, annex J.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import evt

from dicom_node.association.commitment_terms import (
    PROCESSING_FAILURE,
    CommitmentReport,
    CommitmentRequest,
    Reference,
    reason_words,
)
from dicom_node.association.context_answers import why_refused
from dicom_node.association.negotiation import negotiate
from dicom_node.association.peers import Peer
from dicom_node.association.presentation import PLAIN
from dicom_node.errors import (
    AssociationAbortedError,
    CommitmentRefusedError,
    UnreadableCommitmentError,
    stack_of,
)

if TYPE_CHECKING:
    from pynetdicom.association import Association

LOGGER = logging.getLogger(__name__)

#: Storage Commitment Push Model SOP Class and its one instance (PS3.4, section J.3).
STORAGE_COMMITMENT = UID("1.2.840.10008.1.20.1")
COMMITMENT_INSTANCE = UID("1.2.840.10008.1.20.1.1")

#: Action Type ID of the request (PS3.4, table J.3-1).
REQUEST_ACTION = 1

#: Event Type IDs of the report (PS3.4, table J.3-4).
ALL_COMMITTED, SOME_FAILED = 1, 2

#: More than any study holds; a longer list is refused before it is looked through.
MOST_REFERENCES = 100_000

SUCCESS, INVALID_VALUE = 0x0000, 0x0115


def encode_request(request: CommitmentRequest) -> Dataset:
    """Return the Action Information of a request (PS3.4, table J.3-1)."""
    information = Dataset()
    information.TransactionUID = request.transaction_uid
    information.ReferencedSOPSequence = [_item(one) for one in request.references]
    return information


def encode_report(report: CommitmentReport) -> Dataset:
    """Return the Event Information of a report (PS3.4, table J.3-4)."""
    information = Dataset()
    information.TransactionUID = report.transaction_uid
    if report.committed:
        information.ReferencedSOPSequence = [_item(one) for one in report.committed]
    if report.failed:
        items = []
        for reference, reason in report.failed:
            item = _item(reference)
            item.FailureReason = reason
            items.append(item)
        information.FailedSOPSequence = items
    return information


def decode_request(information: Dataset) -> CommitmentRequest:
    """Return what a data set asks for. Raises UnreadableCommitmentError."""
    with _damage_refused():
        references = tuple(
            _reference(item) for item in _items(information, "ReferencedSOPSequence")
        )
        if not references:
            raise UnreadableCommitmentError("The request for storage commitment names no object")
        return CommitmentRequest(transaction_uid=_transaction(information), references=references)


def decode_report(information: Dataset) -> CommitmentReport:
    """Return what a data set reports. Raises UnreadableCommitmentError."""
    with _damage_refused():
        return CommitmentReport(
            transaction_uid=_transaction(information),
            committed=tuple(
                _reference(item) for item in _items(information, "ReferencedSOPSequence")
            ),
            failed=tuple(
                (_reference(item), int(item.get("FailureReason") or PROCESSING_FAILURE))
                for item in _items(information, "FailedSOPSequence")
            ),
        )


def ask_commitment(
    peer: Peer,
    request: CommitmentRequest,
    *,
    on_report: Callable[[CommitmentReport], None],
    wait_s: float,
    timer: Callable[[], float] = time.monotonic,
) -> None:
    """Ask a peer to take responsibility for objects that it has accepted.

    The report comes over the same association within `wait_s`, or later over one that the peer
    opens (PS3.4, section J.3.3): then the receiver takes it.

    Parameters
    ----------
    peer
        Who has the objects.
    request
        Which ones.
    on_report
        Called in another thread if the report comes over the same association. What it raises is
        told to the peer as a failure, so that the peer reports again.
    wait_s
        How long the association is kept open for it.
    timer
        Returns seconds on a clock that never goes back.

    Raises
    ------
    CommitmentRefusedError
        If the peer takes part, but not in this.
    PeerError
        If there is no association, or it breaks before the request was answered.
    """
    reported = threading.Event()

    def take(event: evt.Event) -> tuple[int, None]:
        status = take_report(event, on_report)
        if status == SUCCESS:
            reported.set()
        return status, None

    with negotiate(
        peer, _contexts(), timer=timer, handlers=[(evt.EVT_N_EVENT_REPORT, take)]
    ) as negotiated:
        if not negotiated.accepted:
            raise CommitmentRefusedError(
                f"{peer.name} takes no requests for storage commitment: "
                f"{why_refused(negotiated.answers, str(STORAGE_COMMITMENT))}"
            )
        association = negotiated.association
        try:
            answer, _ = association.send_n_action(
                encode_request(request), REQUEST_ACTION, STORAGE_COMMITMENT, COMMITMENT_INSTANCE
            )
        except RuntimeError:  # pynetdicom's word for: no longer established
            raise AssociationAbortedError(f"{peer.name} ended the association early") from None
        _check_answer(peer, answer, "request for storage commitment")
        started = timer()
        while association.is_established and not reported.wait(0.02):
            if timer() - started >= wait_s:
                break


def report_commitment(
    peer: Peer, report: CommitmentReport, *, timer: Callable[[], float] = time.monotonic
) -> None:
    """Report to the one who asked, over a new association in which the node is the provider.

    Raises
    ------
    CommitmentRefusedError
        If the peer takes part, but not in this.
    PeerError
        If there is no association, or it breaks.
    """
    with negotiate(
        peer, _contexts(), timer=timer, as_provider_of=[str(STORAGE_COMMITMENT)]
    ) as negotiated:
        if not any(one.as_scp for one in negotiated.association.accepted_contexts):
            reason = why_refused(negotiated.answers, str(STORAGE_COMMITMENT))
            raise CommitmentRefusedError(
                f"{peer.name} takes no reports of storage commitment: "
                f"{reason or 'it does not let the node be the provider (role selection)'}"
            )
        answer = send_report(negotiated.association, report)
        _check_answer(peer, answer, "report of storage commitment")


def send_report(association: "Association", report: CommitmentReport) -> Dataset:
    """Send a report over an association; return the status, empty if it broke.

    Raises
    ------
    AssociationAbortedError
        If the association is over.
    """
    try:
        answer, _ = association.send_n_event_report(
            encode_report(report),
            SOME_FAILED if report.failed else ALL_COMMITTED,
            STORAGE_COMMITMENT,
            COMMITMENT_INSTANCE,
        )
    except RuntimeError:
        raise AssociationAbortedError("The association ended before the report") from None
    return answer


def take_report(event: evt.Event, on_report: Callable[[CommitmentReport], None]) -> int:
    """Hand the report of an N-EVENT-REPORT to whoever waits for it; return the status."""
    try:
        on_report(decode_report(event.event_information))
    except UnreadableCommitmentError as error:
        LOGGER.warning("A report of storage commitment was refused: %s", error)
        return INVALID_VALUE
    except Exception as error:  # noqa: BLE001 - whatever it is, the peer must report again
        LOGGER.error(  # noqa: TRY400 - the message of an outside library may quote the data set
            "A report of storage commitment failed: %s", stack_of(error)
        )
        return PROCESSING_FAILURE
    return SUCCESS


def _contexts() -> list[tuple[str, str]]:
    return [(str(STORAGE_COMMITMENT), str(syntax)) for syntax in PLAIN]


def _check_answer(peer: Peer, answer: Dataset, what: str) -> None:
    if "Status" not in answer:
        raise AssociationAbortedError(f"{peer.name} did not answer the {what}")
    if answer.Status != SUCCESS:
        raise CommitmentRefusedError(
            f"{peer.name} refused the {what}: {reason_words(int(answer.Status))}"
        )


def _item(reference: Reference) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = reference.sop_class_uid
    item.ReferencedSOPInstanceUID = reference.sop_instance_uid
    return item


@contextmanager
def _damage_refused() -> Iterator[None]:
    """Turn whatever a library says about damaged elements into a refusal, without its words."""
    try:
        yield
    except UnreadableCommitmentError:
        raise
    except Exception as error:  # noqa: BLE001 - damage has many names, all are the sender's
        raise UnreadableCommitmentError(
            f"The data set of storage commitment is damaged ({type(error).__name__})"
        ) from None


def _items(information: Dataset, keyword: str) -> Sequence[Dataset]:
    items: Iterable[Dataset] = information.get(keyword) or ()
    found = list(items)
    if len(found) > MOST_REFERENCES:
        raise UnreadableCommitmentError(f"More than {MOST_REFERENCES} objects are named at once")
    return found


def _reference(item: Dataset) -> Reference:
    return Reference(
        sop_class_uid=_uid(item, "ReferencedSOPClassUID"),
        sop_instance_uid=_uid(item, "ReferencedSOPInstanceUID"),
    )


def _transaction(information: Dataset) -> str:
    return _uid(information, "TransactionUID")


def _uid(item: Dataset, keyword: str) -> str:
    value = UID(str(item.get(keyword, "")))
    if not value.is_valid:
        raise UnreadableCommitmentError(f"{keyword} is absent or no UID")
    return str(value)
