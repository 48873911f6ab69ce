"""Storage commitment as provider: senders ask the node, and peers report to it.

PS3.4, annex J: the request is an N-ACTION, the report an N-EVENT-REPORT over the same association
or over a new one, for which roles are negotiated.
"""

import logging
import threading
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Protocol, cast
from weakref import WeakKeyDictionary

from pynetdicom import evt
from pynetdicom.dimse_messages import N_ACTION_RSP

from dicom_node.association.commitment import (
    INVALID_VALUE,
    REQUEST_ACTION,
    STORAGE_COMMITMENT,
    SUCCESS,
    decode_request,
    send_report,
    take_report,
)
from dicom_node.association.commitment_terms import (
    PROCESSING_FAILURE,
    CommitmentReport,
    CommitmentRequest,
)
from dicom_node.association.presentation import PLAIN
from dicom_node.errors import DeliveryError, UnreadableCommitmentError, stack_of

if TYPE_CHECKING:
    from pynetdicom import AE
    from pynetdicom.association import Association
    from pynetdicom.dimse_primitives import N_ACTION

LOGGER = logging.getLogger(__name__)

#: No such action (PS3.7, section C.5.10).
_NO_SUCH_ACTION = 0x0123

#: A sender that releases the association after its request shall find it at rest.
_PAUSE_S = 1.0


class CommitmentDesk(Protocol):
    """Whoever knows what the node is responsible for, and what it has asked others for."""

    def asked(
        self, request: CommitmentRequest, *, calling_ae_title: str, now: datetime
    ) -> CommitmentReport:
        """Make a request durable and return the report that it is due."""

    def answered(
        self, request: CommitmentRequest, *, calling_ae_title: str, now: datetime
    ) -> None:
        """Note that the report of a request was taken."""

    def reported(self, report: CommitmentReport, *, calling_ae_title: str, now: datetime) -> None:
        """Take the report on something the node asked for; raise UnreadableCommitmentError."""


class CommitmentScp:
    """The part of the listener that speaks storage commitment.

    Parameters
    ----------
    desk
        Answers and takes reports.
    clock
        Returns the present as an aware time.
    answers_requests
        Whether senders may ask; reports are taken in any case.
    pause_s
        Between the answer to a request and the report over the same association.
    """

    def __init__(
        self,
        desk: CommitmentDesk,
        *,
        clock: Callable[[], datetime],
        answers_requests: bool,
        pause_s: float = _PAUSE_S,
    ) -> None:
        self._desk = desk
        self._clock = clock
        self._answers_requests = answers_requests
        self._pause_s = pause_s
        self._due: WeakKeyDictionary[
            Association, list[tuple[CommitmentRequest, CommitmentReport]]
        ] = WeakKeyDictionary()
        self._lock = threading.Lock()

    def offer(self, entity: "AE") -> None:
        """Add the presentation context: in both roles, because peers report as provider."""
        entity.add_supported_context(STORAGE_COMMITMENT, list(PLAIN), scu_role=True, scp_role=True)

    def handlers(self) -> list[evt.EventHandlerType]:
        """Return what is called when requests and reports come."""
        return [
            (evt.EVT_N_ACTION, self._on_request),
            (evt.EVT_N_EVENT_REPORT, self._on_report),
            (evt.EVT_DIMSE_SENT, self._on_sent),
        ]

    def _on_request(self, event: evt.Event) -> tuple[int, None]:
        caller = event.assoc.requestor.ae_title.strip()
        command = cast("N_ACTION", event.request)
        if not self._answers_requests or command.ActionTypeID != REQUEST_ACTION:
            return _NO_SUCH_ACTION, None
        try:
            request = decode_request(event.action_information)
            report = self._desk.asked(request, calling_ae_title=caller, now=self._clock())
        except UnreadableCommitmentError as error:
            LOGGER.warning("A request for storage commitment was refused: %s", error)
            return INVALID_VALUE, None
        except Exception as error:  # noqa: BLE001 - the sender must hear a failure
            LOGGER.error(  # noqa: TRY400 - the message of an outside library may quote something
                "A request for storage commitment failed: %s", stack_of(error)
            )
            return PROCESSING_FAILURE, None
        with self._lock:
            self._due.setdefault(event.assoc, []).append((request, report))
        LOGGER.info("%s asked for storage commitment of %s objects: %s can be given",
                    caller, len(request.references), len(report.committed))  # fmt: skip
        return SUCCESS, None

    def _on_report(self, event: evt.Event) -> tuple[int, None]:
        caller = event.assoc.requestor.ae_title.strip()

        def hand_over(report: CommitmentReport) -> None:
            self._desk.reported(report, calling_ae_title=caller, now=self._clock())

        return take_report(event, hand_over), None

    def _on_sent(self, event: evt.Event) -> None:
        """Report over the same association once the request has been answered."""
        if not isinstance(event.message, N_ACTION_RSP):
            return
        with self._lock:
            due = self._due.pop(event.assoc, [])
        if due:
            threading.Thread(
                target=self._report, args=(event.assoc, due), name="commitment", daemon=True
            ).start()

    def _report(
        self,
        association: "Association",
        due: list[tuple[CommitmentRequest, CommitmentReport]],
    ) -> None:
        pause = threading.Event()
        pause.wait(self._pause_s)
        caller = association.requestor.ae_title.strip()
        for request, report in due:
            if not association.is_established:
                LOGGER.info("%s gets its report over another association", caller)
                return
            try:
                answer = send_report(association, report)
                if "Status" in answer and answer.Status == SUCCESS:
                    self._desk.answered(request, calling_ae_title=caller, now=self._clock())
            except DeliveryError as error:
                LOGGER.info("%s was not told over the same association: %s", caller, error)
            except Exception as error:  # noqa: BLE001 - last of the thread: it is reported again
                LOGGER.error(  # noqa: TRY400 - as above
                    "A report of storage commitment failed: %s", stack_of(error)
                )
