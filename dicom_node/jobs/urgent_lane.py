"""The urgent lane of the ledger: what is urgent is analysed and delivered before all else.

Urgent is a whole study: who is waited for is a patient. A series keeps the reason, its jobs the
priority; deliveries ask the series.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from dicom_node.errors import UnknownEntryError
from dicom_node.intake.instance import SeriesAttributes
from dicom_node.intake.urgency import UrgencyRules, urgency
from dicom_node.jobs.database import Database
from dicom_node.jobs.planning import COMPARISON_PRIORITY, URGENT_COMPARISON_PRIORITY
from dicom_node.jobs.reprocess_lane import REPROCESS_PRIORITY, is_of_a_run, open_run
from dicom_node.jobs.state import JobKind, JobState
from dicom_node.jobs.tables import (
    HeaderVariantRow,
    InstanceRow,
    JobRow,
    PriorSeriesRow,
    SeriesRow,
)
from dicom_node.jobs.timeline import EventKind, record

#: Analyses of urgent series; others have 0.
URGENT_PRIORITY: Final = 10

_BY_OPERATOR: Final = "an operator said so"

_URGENT: Final = {
    JobKind.ANALYSIS: URGENT_PRIORITY,
    JobKind.COMPARISON: URGENT_COMPARISON_PRIORITY,
}
_ROUTINE: Final = {JobKind.ANALYSIS: 0, JobKind.COMPARISON: COMPARISON_PRIORITY}


class UrgentLane:
    """Puts studies into the urgent lane by hand, and takes them out."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def hurry(self, study_uid: str, now: datetime, *, reason: str = _BY_OPERATOR) -> int:
        """Make a study urgent: what waits of it comes next; return how many series it has.

        Parameters
        ----------
        study_uid
            Which one.
        now
            The present.
        reason
            Why, in words that are shown.

        Raises
        ------
        UnknownEntryError
            If the ledger knows no such study.
        """
        return self._change(study_uid, reason, now)

    def calm(self, study_uid: str, now: datetime) -> int:
        """Take a study out of the urgent lane; return how many series it has.

        Images that come later are judged by the rules again.

        Raises
        ------
        UnknownEntryError
            If the ledger knows no such study.
        """
        return self._change(study_uid, "", now)

    def _change(self, study_uid: str, reason: str, now: datetime) -> int:
        with self._database.write() as session:
            series = session.scalars(
                select(SeriesRow).where(SeriesRow.study_uid == study_uid)
            ).all()
            if not series:
                raise UnknownEntryError(f"the ledger knows no study {study_uid!r}")
            for one in series:
                if bool(one.urgency) is not bool(reason):
                    kind = EventKind.URGENT if reason else EventKind.ROUTINE
                    record(session, now, one.series_uid, kind, reason or _BY_OPERATOR)
                    one.urgency = reason
            _reorder(session, study_uid, is_urgent=bool(reason))
            return len(series)


def note_urgency(
    session: Session,
    study_uid: str,
    complete: Sequence[SeriesRow],
    rules: UrgencyRules,
    now: datetime,
) -> None:
    """Judge the complete series of a study; if one is urgent, so is every series of the study.

    Scans that the node fetched itself, as earlier ones or for a re-read of an archive, are not
    judged: nobody waits for them.
    """
    for one in complete:
        is_prior = session.get(PriorSeriesRow, one.series_uid) is not None
        is_fetched = is_prior or open_run(session, one.series_uid) is not None
        if not one.urgency and not is_fetched:
            one.urgency = urgency(_headers(session, one), one.calling_ae_title, rules)
            if one.urgency:
                record(session, now, one.series_uid, EventKind.URGENT, one.urgency)
    session.flush()
    of_study = session.scalars(
        select(SeriesRow)
        .where(SeriesRow.study_uid == study_uid)
        .order_by(SeriesRow.first_received_at, SeriesRow.series_uid)
    ).all()
    reason = next((one.urgency for one in of_study if one.urgency), "")
    if not reason:
        return
    for one in of_study:
        if not one.urgency:
            one.urgency = reason
            record(session, now, one.series_uid, EventKind.URGENT, f"with its study: {reason}")
    _reorder(session, study_uid, is_urgent=True)


def priority_of(series: SeriesRow) -> int:
    """Return the priority of an analysis of a series."""
    return URGENT_PRIORITY if series.urgency else 0


def _reorder(session: Session, study_uid: str, *, is_urgent: bool) -> None:
    """Give what waits of a study its priority; shadows wait as ever."""
    waiting = select(JobRow, is_of_a_run(JobRow.job_id)).where(
        JobRow.study_uid == study_uid, JobRow.state == JobState.QUEUED
    )
    for job, is_reread in session.execute(waiting):
        if is_reread and not is_urgent:
            job.priority = REPROCESS_PRIORITY
            continue
        job.priority = (_URGENT if is_urgent else _ROUTINE).get(job.kind, job.priority)


def _headers(session: Session, series: SeriesRow) -> tuple[SeriesAttributes, ...]:
    """Return every distinct header among the images of a series that count."""
    texts = session.scalars(
        select(HeaderVariantRow.attributes)
        .join(InstanceRow, InstanceRow.variant_id == HeaderVariantRow.variant_id)
        .where(InstanceRow.series_uid == series.series_uid, InstanceRow.current)
        .distinct()
    )
    return tuple(replace(SeriesAttributes(), **json.loads(text)) for text in texts)
