"""The receiver's side of the ledger: instances, and the associations they come over."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from sqlalchemy import exists, select, update
from sqlalchemy.orm import Session

from dicom_node.association.store_request import Sender
from dicom_node.intake.instance import ReceivedInstance
from dicom_node.intake.recorder import Stored, Stream
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
        self.add_all([Stored(instance=instance, path=path)])

    def add_all(self, batch: Sequence[Stored]) -> frozenset[Stream]:
        """Record instances in the order in which they came, in one transaction.

        Returns the streams whose series is being received and has never been purged: what comes
        next over them may be recorded a little later. Raises LedgerUnavailableError.
        """
        with self._database.write() as session:
            book = _Book(session, batch, self._process)
            for stored in batch:
                book.enter(stored)
            book.close()
            return book.streams_that_may_wait

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


class _Book:
    """What one transaction knows of the series that its instances belong to."""

    def __init__(
        self, session: Session, batch: Sequence[Stored], process: ProcessIdentity
    ) -> None:
        self._session = session
        self._process = process
        self._series: dict[str, SeriesRow] = {}
        self._variants: dict[tuple[str, str], int] = {}
        self._outcomes: Counter[str] = Counter()
        self._streams: set[Stream] = set()
        self._versions: dict[tuple[str, str], list[InstanceRow]] = defaultdict(list)
        known = select(InstanceRow).where(
            InstanceRow.series_uid.in_({one.instance.series_instance_uid for one in batch}),
            InstanceRow.sop_instance_uid.in_({one.instance.sop_instance_uid for one in batch}),
        )
        for row in session.scalars(known):
            self._versions[row.series_uid, row.sop_instance_uid].append(row)

    def enter(self, stored: Stored) -> None:
        """Record one instance."""
        session, instance = self._session, stored.instance
        series = self._series_of(instance)
        known = self._versions[instance.series_instance_uid, instance.sop_instance_uid]
        same = next((row for row in known if row.content_digest == instance.content_digest), None)
        if same is not None and same.purged_at is None:
            _touch(series, instance.request.received_at)
            self._outcomes["repeated"] += 1
            return
        versions = [row for row in known if row.purged_at is None]
        self._outcomes["other_version" if versions else "stored"] += 1
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
            known.append(
                _instance_row(stored, variant_id=self._variant_of(instance), is_current=is_current)
            )
            session.add(known[-1])
        else:
            _take_back(same, instance, is_current=is_current)
        if is_current:
            _reopen(session, series, instance.request.received_at)
            _touch(series, instance.request.received_at)

    def close(self) -> None:
        """Count what was entered."""
        for outcome, times in sorted(self._outcomes.items()):
            count(self._session, Tally.INSTANCES, times, outcome=outcome)

    @property
    def streams_that_may_wait(self) -> frozenset[Stream]:
        """The streams of this transaction whose next instances may be recorded later."""
        purged = set(
            self._session.scalars(
                select(InstanceRow.series_uid)
                .where(
                    InstanceRow.series_uid.in_(self._series), InstanceRow.purged_at.is_not(None)
                )
                .distinct()
            )
        )
        return frozenset(
            stream
            for stream in self._streams
            if stream.series_uid not in purged
            and self._series[stream.series_uid].state is SeriesState.RECEIVING
        )

    def _series_of(self, instance: ReceivedInstance) -> SeriesRow:
        sender, uid = instance.request.sender, instance.series_instance_uid
        stream = Stream(sender.association_id, uid)
        # Adopted from the spool: its association ended long ago.
        if sender.association_id and stream not in self._streams:
            self._join(sender, uid)
            self._streams.add(stream)
        if uid not in self._series:
            self._series[uid] = _series_of(self._session, instance)
        return self._series[uid]

    def _join(self, sender: Sender, series_uid: str) -> None:
        """Note which series came over an association."""
        session = self._session
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
        if session.get(AssociationSeriesRow, (sender.association_id, series_uid)) is None:
            session.add(
                AssociationSeriesRow(association_id=sender.association_id, series_uid=series_uid)
            )

    def _variant_of(self, instance: ReceivedInstance) -> int:
        attributes = json.dumps(asdict(instance.series_attributes), sort_keys=True)
        key = (instance.series_instance_uid, attributes)
        if key not in self._variants:
            self._variants[key] = _variant_of(self._session, *key)
        return self._variants[key]


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


def _instance_row(stored: Stored, *, variant_id: int, is_current: bool) -> InstanceRow:
    instance = stored.instance
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
        path=str(stored.path),
        size_bytes=len(request.data_set),
        received_at=request.received_at,
        association_id=request.sender.association_id,
        current=is_current,
        variant_id=variant_id,
        instance_number=image.instance_number,
        position=json.dumps(image.position_lps_mm) if image.position_lps_mm else "",
        orientation=json.dumps(image.orientation) if image.orientation else "",
        frames=image.frames,
    )


def _variant_of(session: Session, series_uid: str, attributes: str) -> int:
    known = session.scalar(
        select(HeaderVariantRow.variant_id).where(
            HeaderVariantRow.series_uid == series_uid, HeaderVariantRow.attributes == attributes
        )
    )
    if known is not None:
        return known
    row = HeaderVariantRow(series_uid=series_uid, attributes=attributes)
    session.add(row)
    session.flush()
    return row.variant_id
