"""How data leave custody: the row first, then the file, so that no moment leaves a lie.

A holding is condemned in one transaction: its rows say ``purged_at``, and its series, the audit
trail and the counts know. Then its files are deleted, and their rows say ``erased``. A process
that dies in between leaves rows that say "purged" and files that the next one deletes; never a row
that vouches for a file which is gone.
"""

import json
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Select, exists, select
from sqlalchemy.orm import Session

from dicom_node.jobs.database import Database
from dicom_node.jobs.retention import (
    Holding,
    HoldingKind,
    Obstacle,
    RetentionRules,
    holdings_of,
)
from dicom_node.jobs.retention_tables import PurgeRow
from dicom_node.jobs.study_facts import SummaryBytes, held_studies, study_facts
from dicom_node.jobs.tables import InstanceRow, JobRow, ObjectRow, ResultSetRow, SeriesRow
from dicom_node.jobs.tally import Tally, count
from dicom_node.jobs.timeline import EventKind, record

#: Files that are deleted in one transaction: others wait for it.
_AT_ONCE = 100


class Cause(StrEnum):
    """Why something was purged. The values are stored; never rename one."""

    AGE = "age"  #: the site keeps it for no longer
    EMERGENCY = "emergency"  #: the disk was nearly full
    OPERATOR = "operator"  #: a person wanted it


#: Deletes files, given relative to the folder of their kind, and returns which are gone for good.
Remove = Callable[[Sequence[Path]], Collection[Path]]

RowT = TypeVar("RowT", InstanceRow, ObjectRow, JobRow)


class PurgeLedger:
    """Every method raises LedgerUnavailableError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def holdings(
        self,
        rules: RetentionRules,
        now: datetime,
        *,
        summary_bytes: SummaryBytes,
        study_uid: str | None = None,
    ) -> tuple[Holding, ...]:
        """Return everything that is held, of one study or of all."""
        with self._database.read() as session:
            studies = held_studies(session) if study_uid is None else (study_uid,)
            return tuple(
                holding
                for study in study_facts(session, studies, summary_bytes=summary_bytes)
                for holding in holdings_of(study, rules, now)
            )

    def condemn(
        self,
        holding: Holding,
        rules: RetentionRules,
        now: datetime,
        *,
        cause: Cause,
        by: str = "",
        overriding: Collection[Obstacle] = (),
    ) -> bool:
        """Note that a holding is purged, unless that has become wrong since it was planned.

        Parameters
        ----------
        holding
            As it was planned.
        rules
            Of the site.
        now
            The present.
        cause
            Why.
        by
            Who, if it is a person's decision.
        overriding
            Obstacles that this person ignores.

        Returns
        -------
        bool
            False if something arrived, began or was put on hold meanwhile.
        """
        with self._database.write() as session:
            present = _present(session, holding, rules, now)
            if present is None or present.since != holding.since:
                return False
            if present.obstacle is not None and present.obstacle not in overriding:
                return False
            instances = _mark(session, holding, now)
            session.flush()
            _note(session, present, instances, now, cause=cause, by=by)
            return True

    def erase(self, kind: HoldingKind, remove: Remove) -> int:
        """Delete some files of what is condemned; return how many are gone now.

        The rows are read, the files deleted and the rows marked in one transaction. So an image
        that is sent again is either received before, and no longer condemned, or after.
        """
        with self._database.read() as session:
            if not _condemned(session, kind):
                return 0
        with self._database.write() as session:
            rows = _condemned(session, kind)
            gone = remove([_place(row) for row in rows]) if rows else ()
            for row in rows:
                row.erased = _place(row) in gone
            return len(gone)


def _present(
    session: Session, holding: Holding, rules: RetentionRules, now: datetime
) -> Holding | None:
    """Return a holding as it is now, None if it is gone."""

    def size_of(_job_id: int) -> int:
        return holding.size_bytes

    for study in study_facts(session, [holding.study_uid], summary_bytes=size_of):
        for one in holdings_of(study, rules, now):
            if (one.kind, one.key) == (holding.kind, holding.key):
                return one
    return None


def _mark(session: Session, holding: Holding, now: datetime) -> Mapping[str, int]:
    """Mark the rows of a holding; return how many instances there are of each SOP class."""
    if holding.kind is HoldingKind.SUMMARY:
        session.get_one(JobRow, int(holding.key)).purged_at = now
        return {}
    rows: Sequence[InstanceRow] | Sequence[ObjectRow]
    if holding.kind is HoldingKind.IMAGES:
        series = session.get_one(SeriesRow, holding.key)
        series.purged_at = now
        series.eligible = False
        rows = session.scalars(
            select(InstanceRow).where(
                InstanceRow.series_uid == holding.key, InstanceRow.purged_at.is_(None)
            )
        ).all()
    else:
        rows = session.scalars(
            select(ObjectRow).where(
                ObjectRow.result_set_id == int(holding.key), ObjectRow.purged_at.is_(None)
            )
        ).all()
    for row in rows:
        row.purged_at = now
    return Counter(row.sop_class_uid for row in rows)


def _note(
    session: Session,
    holding: Holding,
    instances: Mapping[str, int],
    now: datetime,
    *,
    cause: Cause,
    by: str,
) -> None:
    image = select(InstanceRow.patient_key).where(InstanceRow.series_uid == holding.series_uid)
    patient_key = session.scalar(image.limit(1))
    session.add(
        PurgeRow(
            at=now,
            kind=holding.kind.value,
            cause=cause.value,
            by=by,
            series_uid=holding.series_uid,
            study_uid=holding.study_uid,
            patient_key=patient_key or "",
            instances=json.dumps(dict(instances), sort_keys=True),
            size_bytes=holding.size_bytes,
            was_last=_is_last(session, holding.study_uid),
            audited=not instances,  # a picture is no DICOM object
        )
    )
    words = f"{holding.kind}: {holding.files} files, {holding.size_bytes / 2**20:.1f} MB; {cause}"
    text = f"{words} {by}".rstrip()
    record(session, now, holding.series_uid, EventKind.PURGED, text)
    labels = {"kind": holding.kind.value, "cause": cause.value}
    count(session, Tally.PURGED, holding.files, **labels)
    count(session, Tally.PURGED_BYTES, holding.size_bytes, **labels)


def _is_last(session: Session, study_uid: str) -> bool:
    """Return whether no instance of a study is left."""
    of_study = select(SeriesRow.series_uid).where(SeriesRow.study_uid == study_uid)
    images = exists().where(InstanceRow.series_uid.in_(of_study), InstanceRow.purged_at.is_(None))
    results = exists().where(
        ObjectRow.result_set_id == ResultSetRow.result_set_id,
        ResultSetRow.series_uid.in_(of_study),
        ObjectRow.purged_at.is_(None),
    )
    return not session.scalar(select(images | results))


def _condemned(session: Session, kind: HoldingKind) -> Sequence[InstanceRow | ObjectRow | JobRow]:
    """Return rows whose files are still to be deleted."""
    match kind:
        case HoldingKind.IMAGES:
            return session.scalars(_first(InstanceRow)).all()
        case HoldingKind.RESULTS:
            return session.scalars(_first(ObjectRow)).all()
        case HoldingKind.SUMMARY:
            return session.scalars(_first(JobRow)).all()


def _first(table: type[RowT]) -> Select[RowT]:
    return select(table).where(~table.erased, table.purged_at.is_not(None)).limit(_AT_ONCE)


def _place(row: InstanceRow | ObjectRow | JobRow) -> Path:
    return Path(str(row.job_id)) if isinstance(row, JobRow) else Path(row.path)
