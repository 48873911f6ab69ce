"""Which workitems were taken and ended, and what of it is in the audit trail already."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import or_, select

from dicom_node.jobs.database import Database
from dicom_node.jobs.state import WorkitemState
from dicom_node.jobs.worklist_tables import WorkitemRow

#: Values of `WorkitemRow.audited`.
_TAKEN, _ENDED = 1, 2

_BATCH: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditedStep:
    """A workitem that the node took or brought to its end.

    Attributes
    ----------
    workitem_id, stage : int
        Row, and what is to be marked.
    worklist, workitem_uid : str
        Which one.
    studies : tuple of str
        What it is about.
    state : WorkitemState
        PERFORMING if it was taken, else how it ended.
    at : datetime
        When.
    """

    workitem_id: int
    stage: int
    worklist: str
    workitem_uid: str
    studies: tuple[str, ...]
    state: WorkitemState
    at: datetime


class WorkitemAudit:
    """Returns what is not audited yet. Every method raises LedgerUnavailableError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def unaudited(self, since: datetime) -> tuple[AuditedStep, ...]:
        """Return what happened since a time and is not in the trail, oldest workitems first."""
        with self._database.read() as session:
            rows = session.scalars(
                select(WorkitemRow)
                .where(
                    or_(
                        (WorkitemRow.audited < _TAKEN) & (WorkitemRow.claimed_at >= since),
                        (WorkitemRow.audited < _ENDED)
                        & WorkitemRow.claimed_at.is_not(None)
                        & (WorkitemRow.finished_at >= since),
                    )
                )
                .order_by(WorkitemRow.workitem_id)
                .limit(_BATCH)
            )
            return tuple(step for row in rows for step in _steps(row, since))

    def mark(self, step: AuditedStep) -> None:
        """Note that a step is in the trail."""
        with self._database.write() as session:
            session.get_one(WorkitemRow, step.workitem_id).audited = step.stage


def _steps(row: WorkitemRow, since: datetime) -> tuple[AuditedStep, ...]:
    found = []
    if row.audited < _TAKEN and row.claimed_at is not None and row.claimed_at >= since:
        found.append(_step(row, _TAKEN, WorkitemState.PERFORMING, row.claimed_at))
    if row.finished_at is not None:
        found.append(_step(row, _ENDED, row.state, row.finished_at))
    return tuple(found)


def _step(row: WorkitemRow, stage: int, state: WorkitemState, at: datetime) -> AuditedStep:
    studies = dict.fromkeys(one["study_uid"] for one in json.loads(row.inputs))
    return AuditedStep(
        workitem_id=row.workitem_id,
        stage=stage,
        worklist=row.worklist,
        workitem_uid=row.workitem_uid,
        studies=tuple(studies),
        state=state,
        at=at,
    )
