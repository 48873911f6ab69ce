"""The receiver's side of the ledger: instances, and the associations they come over."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from sqlalchemy import exists, select, update
from sqlalchemy.orm import Session

from dicom_node.association.store_request import Sender
from dicom_node.intake.instance import ReceivedInstance
from dicom_node.jobs.database import Database
from dicom_node.jobs.process_identity import ProcessIdentity
from dicom_node.jobs.state import JobKind, JobState, SeriesState, move_job, move_series
from dicom_node.jobs.tables import (
    AssociationRow,
    AssociationSeriesRow,
    HeaderVariantRow,
    InstanceRow,
    JobRow,
    SeriesRow,
)
from dicom_node.jobs.tally import Tally, count
from dicom_node.jobs.timeline import EventKind, record


class Arrivals:
    """Remembers instances; the `Register` of custody.

    An instance sent twice with the same bytes is one row. Sent again with other bytes it is
    another version: the newest version is analysed, as long as no worker has begun with the
    series. After that the other version is kept and noted, but does not start the analysis again:
    a SOP Instance UID stands for one content (PS3.3, section C.12.1), so the sender is at fault.
    New instances do open the series again, whatever its state.

    What was purged is not here: an instance of that kind that is sent again is received anew, and
    opens the series again.
    """

    def __init__(self, database: Database, process: ProcessIdentity) -> None:
        self._database = database
        self._process = process

    def add(self, instance: ReceivedInstance, path: Path) -> None:
        """Record an instance and its file. Raises LedgerUnavailableError."""
        with self._database.write() as session:
            self._join_association(session, instance)
            series = _series_of(session, instance)
            known = _versions_of(session, instance)
            same = next(
                (row for row in known if row.content_digest == instance.content_digest), None
            )
            if same is not None and same.purged_at is None:
                _touch(series, instance.request.received_at)
                count(session, Tally.INSTANCES, outcome="repeated")
                return
            versions = [row for row in known if row.purged_at is None]
            count(session, Tally.INSTANCES, outcome="other_version" if versions else "stored")
            is_current = not versions or not _is_begun(session, series)
            if versions:
                record(
                    session,
                    instance.request.received_at,
                    series.series_uid,
                    EventKind.OTHER_VERSION,
                    f"{instance.sop_instance_uid} was sent again with other content; "
                    + ("the newer one is used" if is_current else "kept, not analysed"),
                )
            for row in known:
                row.current = row.current and not is_current
            if same is None:
                session.add(_instance_row(session, instance, path, is_current=is_current))
            else:
                _take_back(same, instance, is_current=is_current)
            if is_current:
                _reopen(session, series, instance.request.received_at)
                _touch(series, instance.request.received_at)

    def close_association(self, sender: Sender, at: datetime) -> None:
        """Record the end of an association. Raises LedgerUnavailableError."""
        with self._database.write() as session:
            close_associations(session, [sender.association_id], at)

    def known_paths(self) -> frozenset[Path]:
        """Return the files that have a row, relative to the spool; purged ones until they go."""
        with self._database.read() as session:
            paths = session.scalars(select(InstanceRow.path).where(~InstanceRow.erased))
            return frozenset(Path(path) for path in paths)

    def condemned_paths(self) -> frozenset[Path]:
        """Return the files that are to be deleted, relative to the spool."""
        with self._database.read() as session:
            paths = session.scalars(
                select(InstanceRow.path).where(
                    ~InstanceRow.erased, InstanceRow.purged_at.is_not(None)
                )
            )
            return frozenset(Path(path) for path in paths)

    def condemn_again(self, paths: Iterable[Path]) -> frozenset[Path]:
        """Have files deleted again that had been purged and are there; return which these are."""
        with self._database.write() as session:
            found = set()
            for path in paths:
                row = session.scalar(
                    select(InstanceRow).where(InstanceRow.path == str(path), InstanceRow.erased)
                )
                if row is not None:
                    row.erased = False
                    found.add(path)
            return frozenset(found)

    def _join_association(self, session: Session, instance: ReceivedInstance) -> None:
        sender = instance.request.sender
        if not sender.association_id:  # adopted from the spool: its association ended long ago
            return
        if session.get(AssociationRow, sender.association_id) is None:
            session.add(
                AssociationRow(
                    association_id=sender.association_id,
                    process_token=self._process.token,
                    calling_ae_title=sender.calling_ae_title,
                    called_ae_title=sender.called_ae_title,
                    address=sender.address,
                    opened_at=sender.opened_at,
                )
            )
            session.flush()
        key = (sender.association_id, instance.series_instance_uid)
        if session.get(AssociationSeriesRow, key) is None:
            session.add(AssociationSeriesRow(association_id=key[0], series_uid=key[1]))


def close_associations(session: Session, association_ids: list[str], at: datetime) -> None:
    """Mark associations as closed and have their series looked at."""
    session.execute(
        update(AssociationRow)
        .where(
            AssociationRow.association_id.in_(association_ids), AssociationRow.closed_at.is_(None)
        )
        .values(closed_at=at)
    )
    touched = select(AssociationSeriesRow.series_uid).where(
        AssociationSeriesRow.association_id.in_(association_ids)
    )
    session.execute(
        update(SeriesRow)
        .where(SeriesRow.series_uid.in_(touched), SeriesRow.state == SeriesState.RECEIVING)
        .values(look_at=at)
        .execution_options(synchronize_session=False)
    )


def _series_of(session: Session, instance: ReceivedInstance) -> SeriesRow:
    series = session.get(SeriesRow, instance.series_instance_uid)
    if series is not None:
        return series
    at = instance.request.received_at
    series = SeriesRow(
        series_uid=instance.series_instance_uid,
        study_uid=instance.study_instance_uid,
        state=SeriesState.RECEIVING,
        calling_ae_title=instance.request.sender.calling_ae_title,
        first_received_at=at,
        last_received_at=at,
        look_at=at,
    )
    session.add(series)
    session.flush()
    record(
        session,
        at,
        series.series_uid,
        EventKind.FIRST_IMAGE,
        f"from {series.calling_ae_title}",
    )
    return series


def _versions_of(session: Session, instance: ReceivedInstance) -> list[InstanceRow]:
    return list(
        session.scalars(
            select(InstanceRow).where(
                InstanceRow.series_uid == instance.series_instance_uid,
                InstanceRow.sop_instance_uid == instance.sop_instance_uid,
            )
        )
    )


def _is_begun(session: Session, series: SeriesRow) -> bool:
    """Return whether a worker has begun with the series as it is now."""
    if series.state is not SeriesState.CHOSEN:
        return False
    waiting = exists().where(
        JobRow.series_uid == series.series_uid,
        JobRow.state == JobState.QUEUED,
        JobRow.kind == JobKind.ANALYSIS,
    )
    return not session.scalar(select(waiting))


def _reopen(session: Session, series: SeriesRow, at: datetime) -> None:
    """Take a series back into assembly; jobs of it that no worker has begun are withdrawn."""
    if series.state is SeriesState.RECEIVING:
        return
    waiting = select(JobRow).where(
        JobRow.series_uid == series.series_uid, JobRow.state == JobState.QUEUED
    )
    for job in session.scalars(waiting):
        job.state = move_job(job.state, JobState.WITHDRAWN)
        job.reason = "more images came"
        job.finished_at = at
        record(session, at, series.series_uid, EventKind.WITHDRAWN, job_id=job.job_id)
    record(session, at, series.series_uid, EventKind.LATE_IMAGE, f"the series was {series.state}")
    series.state = move_series(series.state, SeriesState.RECEIVING)
    series.reason = ""
    series.complete_at = None
    series.eligible = False


def _take_back(row: InstanceRow, instance: ReceivedInstance, *, is_current: bool) -> None:
    """Make the row of an instance that was purged that of its new receipt."""
    row.received_at = instance.request.received_at
    row.association_id = instance.request.sender.association_id
    row.current = is_current
    row.committed_at = None
    row.purged_at = None
    row.erased = False


def _touch(series: SeriesRow, at: datetime) -> None:
    if series.state is SeriesState.RECEIVING:
        series.last_received_at = max(series.last_received_at, at)
        series.look_at = at


def _instance_row(
    session: Session, instance: ReceivedInstance, path: Path, *, is_current: bool
) -> InstanceRow:
    request, image = instance.request, instance.slice_attributes
    return InstanceRow(
        series_uid=instance.series_instance_uid,
        study_uid=instance.study_instance_uid,
        sop_instance_uid=instance.sop_instance_uid,
        sop_class_uid=instance.sop_class_uid,
        transfer_syntax_uid=request.transfer_syntax_uid,
        content_digest=instance.content_digest,
        patient_key=instance.patient_key,
        patient_id_key=instance.patient_id_key,
        issuer_key=instance.issuer_key,
        path=str(path),
        size_bytes=len(request.data_set),
        received_at=request.received_at,
        association_id=request.sender.association_id,
        current=is_current,
        variant_id=_variant_of(session, instance),
        instance_number=image.instance_number,
        position=json.dumps(image.position_lps_mm) if image.position_lps_mm else "",
        orientation=json.dumps(image.orientation) if image.orientation else "",
        frames=image.frames,
    )


def _variant_of(session: Session, instance: ReceivedInstance) -> int:
    attributes = json.dumps(asdict(instance.series_attributes), sort_keys=True)
    known = session.scalar(
        select(HeaderVariantRow.variant_id).where(
            HeaderVariantRow.series_uid == instance.series_instance_uid,
            HeaderVariantRow.attributes == attributes,
        )
    )
    if known is not None:
        return known
    row = HeaderVariantRow(series_uid=instance.series_instance_uid, attributes=attributes)
    session.add(row)
    session.flush()
    return row.variant_id
