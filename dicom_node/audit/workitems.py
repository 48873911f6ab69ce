"""Workitems in the audit trail: taken from a worklist, and brought to their end.

PS3.15, section A.5.3, has no message of its own for Unified Procedure Steps; the event Procedure
Record (PS3.16, CID 400) is the one for changes of what is planned or done, and IHE's actors use it
for procedure steps.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from dicom_node.audit.clerk import Parties
from dicom_node.audit.codes import STUDY_UID, Event, RoleCode, SubjectRole, SubjectType
from dicom_node.audit.events import Party, code_of, party_as
from dicom_node.audit.message import Action, AuditMessage, Outcome, Subject
from dicom_node.audit.trail import AuditTrail
from dicom_node.jobs.state import WorkitemState
from dicom_node.jobs.workitem_audit import AuditedStep, WorkitemAudit

_OUTCOMES: Final[Mapping[WorkitemState, Outcome]] = {
    WorkitemState.CANCELED: Outcome.MINOR_FAILURE,
    WorkitemState.LOST: Outcome.MINOR_FAILURE,
}


def performed(node: Party, worklist: Party, step: AuditedStep) -> AuditMessage:
    """Return that the node took or ended a workitem. It names studies, no patient."""
    details = {"Workitem": step.workitem_uid, "State": step.state.value}
    return AuditMessage(
        event=code_of(Event.PROCEDURE_RECORD),
        action=Action.UPDATE,
        at=step.at,
        outcome=_OUTCOMES.get(step.state, Outcome.SUCCESS),
        participants=(
            party_as(node, RoleCode.SOURCE, is_requestor=True),
            party_as(worklist, RoleCode.DESTINATION),
        ),
        subjects=tuple(
            Subject(
                object_id=study_uid,
                id_type=STUDY_UID,
                type_code=SubjectType.SYSTEM,
                role=SubjectRole.REPORT,
                name="study",
                details=details,
            )
            for study_uid in step.studies
        ),
    )


class WorkitemClerk:
    """Writes into the trail what the ledger shows of workitems, each step once.

    A row is marked after its message was kept: a process that dies in between writes it twice.

    Parameters
    ----------
    ledger
        Which steps there are.
    trail
        Takes the messages.
    parties
        How node and worklists are named.
    """

    def __init__(self, *, ledger: WorkitemAudit, trail: AuditTrail, parties: Parties) -> None:
        self._ledger = ledger
        self._trail = trail
        self._parties = parties

    def tick(self, since: datetime) -> None:
        """Write down what is new. Raises LedgerError."""
        for step in self._ledger.unaudited(since):
            worklist = self._parties.peer(step.worklist)
            if not self._trail.write(performed(self._parties.node, worklist, step)):
                return
            self._ledger.mark(step)
