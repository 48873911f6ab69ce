"""How received instances become rows: many in one transaction, by few statements."""

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple, cast

from sqlalchemy import Table, bindparam, exists, insert, select, update
from sqlalchemy.orm import Session

from dicom_node.association.store_request import Sender
from dicom_node.intake.instance import ReceivedInstance, SeriesAttributes
from dicom_node.intake.recorder import Stored, Stream
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

# Statements past the objects of the tables: they cost a tenth.
_SERIES = cast("Table", SeriesRow.__table__).c
_INSTANCES = cast("Table", InstanceRow.__table__).c
_JOINED = cast("Table", AssociationSeriesRow.__table__).c
_VARIANTS = cast("Table", HeaderVariantRow.__table__).c
_ADD_INSTANCE = insert(cast("Table", InstanceRow.__table__))
_TOUCH_SERIES = (
    update(cast("Table", SeriesRow.__table__))
    .where(_SERIES.series_uid == bindparam("uid"))
    .values(last_received_at=bindparam("received"), look_at=bindparam("look"))
)


@dataclass(slots=True)
class _Standing:
    """Where a series stands within a transaction; times are written at its end."""

    state: SeriesState
    received: datetime
    was_purged: bool
    look_at: datetime | None = None


class _Version(NamedTuple):
    """One content of an instance that has a row."""

    content_digest: str
    is_purged: bool


class ArrivalBook:
    """Enters instances within one transaction.

    Nearly all of them are new, in a series that is being received. Those are gathered and written
    by a few statements; an object for each row would cost as much as the whole of its receipt.
    """

    def __init__(
        self, session: Session, batch: Sequence[Stored], process: ProcessIdentity
    ) -> None:
        self._session = session
        self._process = process
        self._outcomes: Counter[str] = Counter()
        self._streams: set[Stream] = set()
        self._rows: list[dict[str, object]] = []
        connection = session.connection()
        series = {one.instance.series_instance_uid for one in batch}
        standings = (
            select(_SERIES.series_uid, _SERIES.state, _SERIES.last_received_at, _SERIES.purged_at)
            .where(_SERIES.series_uid.in_(series))
            .order_by(_SERIES.series_uid)
            .with_for_update()
        )
        self._standings = {
            uid: _Standing(state, received, purged_at is not None)
            for uid, state, received, purged_at in connection.execute(standings)
        }
        self._versions: dict[tuple[str, str], list[_Version]] = defaultdict(list)
        versions = select(
            _INSTANCES.series_uid,
            _INSTANCES.sop_instance_uid,
            _INSTANCES.content_digest,
            _INSTANCES.purged_at,
        ).where(
            _INSTANCES.series_uid.in_(series),
            _INSTANCES.sop_instance_uid.in_({one.instance.sop_instance_uid for one in batch}),
        )
        for uid, sop, digest, purged_at in connection.execute(versions):
            self._versions[uid, sop].append(_Version(digest, purged_at is not None))
        joined = select(_JOINED.association_id, _JOINED.series_uid).where(
            _JOINED.association_id.in_(
                {one.instance.request.sender.association_id for one in batch}
            )
        )
        self._joined = {Stream(*found) for found in connection.execute(joined)}
        variants = select(_VARIANTS.series_uid, _VARIANTS.attributes, _VARIANTS.variant_id).where(
            _VARIANTS.series_uid.in_(series),
            _VARIANTS.attributes.in_({_encoded(one.instance.series_attributes) for one in batch}),
        )
        self._variants: dict[tuple[str, str], int] = {
            (uid, attributes): variant_id
            for uid, attributes, variant_id in connection.execute(variants)
        }

    def enter(self, stored: Stored) -> None:
        """Enter one instance."""
        instance = stored.instance
        at, uid = instance.request.received_at, instance.series_instance_uid
        self._join(instance.request.sender, uid)
        standing = self._standing_of(instance)
        known = self._versions[uid, instance.sop_instance_uid]
        if _Version(instance.content_digest, is_purged=False) in known:
            _touch(standing, at)
            self._outcomes["repeated"] += 1
            return
        if known or standing.state is not SeriesState.RECEIVING:
            self._enter_late(stored, standing)
        else:
            variant_id = self._variant_of(instance)
            self._rows.append(_values_of(stored, variant_id=variant_id, is_current=True))
            self._outcomes["stored"] += 1
            _touch(standing, at)
        known[:] = [one for one in known if one.content_digest != instance.content_digest]
        known.append(_Version(instance.content_digest, is_purged=False))

    def close(self) -> None:
        """Write what was gathered, and count what was entered."""
        self._write()
        for outcome, times in sorted(self._outcomes.items()):
            count(self._session, Tally.INSTANCES, times, outcome=outcome)

    @property
    def streams_that_may_wait(self) -> frozenset[Stream]:
        """The streams of this transaction whose next instances may be recorded later."""
        waiting = {
            uid
            for uid, standing in self._standings.items()
            if standing.state is SeriesState.RECEIVING and not standing.was_purged
        }
        return frozenset(stream for stream in self._streams if stream.series_uid in waiting)

    def _write(self) -> None:
        connection = self._session.connection()
        rows, self._rows = self._rows, []
        if rows:
            connection.execute(_ADD_INSTANCE, rows)
        touched = [
            {"uid": uid, "received": standing.received, "look": standing.look_at}
            for uid, standing in sorted(self._standings.items())
            if standing.look_at is not None
        ]
        if touched:
            connection.execute(_TOUCH_SERIES, touched)

    def _enter_late(self, stored: Stored, standing: _Standing) -> None:
        """Enter an instance that is known with other content, or whose series was complete."""
        session, instance = self._session, stored.instance
        variant_id = self._variant_of(instance)
        self._write()
        series = session.get_one(SeriesRow, instance.series_instance_uid)
        known = session.scalars(
            select(InstanceRow).where(
                InstanceRow.series_uid == instance.series_instance_uid,
                InstanceRow.sop_instance_uid == instance.sop_instance_uid,
            )
        ).all()
        same = next((row for row in known if row.content_digest == instance.content_digest), None)
        versions = [row for row in known if row.purged_at is None]
        self._outcomes["other_version" if versions else "stored"] += 1
        is_current = not versions or not _is_begun(session, series)
        if versions:
            _record_version(session, instance, is_used=is_current)
        for row in known:
            row.current = row.current and not is_current
        if same is None:
            values = _values_of(stored, variant_id=variant_id, is_current=is_current)
            session.add(InstanceRow(**values))
        else:
            _take_back(same, instance, is_current=is_current)
        if is_current:
            _reopen(session, series, instance.request.received_at)
            standing.state = series.state
            _touch(standing, instance.request.received_at)
        # What follows is written past these objects.
        session.flush()
        session.expunge_all()

    def _standing_of(self, instance: ReceivedInstance) -> _Standing:
        uid, at = instance.series_instance_uid, instance.request.received_at
        if uid not in self._standings:
            _add_series(self._session, instance)
            self._standings[uid] = _Standing(SeriesState.RECEIVING, at, was_purged=False)
        return self._standings[uid]

    def _join(self, sender: Sender, series_uid: str) -> None:
        """Note which series came over an association."""
        stream = Stream(sender.association_id, series_uid)
        # Adopted from the spool: its association ended long ago.
        if not sender.association_id or stream in self._streams:
            return
        self._streams.add(stream)
        if stream in self._joined:
            return
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
        session.add(
            AssociationSeriesRow(association_id=sender.association_id, series_uid=series_uid)
        )

    def _variant_of(self, instance: ReceivedInstance) -> int:
        key = (instance.series_instance_uid, _encoded(instance.series_attributes))
        if key not in self._variants:
            row = HeaderVariantRow(series_uid=key[0], attributes=key[1])
            self._session.add(row)
            self._session.flush()
            self._variants[key] = row.variant_id
        return self._variants[key]


@lru_cache(maxsize=64)
def _encoded(attributes: SeriesAttributes) -> str:
    return json.dumps(asdict(attributes), sort_keys=True)


def _add_series(session: Session, instance: ReceivedInstance) -> None:
    at, uid = instance.request.received_at, instance.series_instance_uid
    title = instance.request.sender.calling_ae_title
    session.add(
        SeriesRow(
            series_uid=uid,
            study_uid=instance.study_instance_uid,
            state=SeriesState.RECEIVING,
            calling_ae_title=title,
            first_received_at=at,
            last_received_at=at,
            look_at=at,
        )
    )
    session.flush()
    record(session, at, uid, EventKind.FIRST_IMAGE, f"from {title}")


def _record_version(session: Session, instance: ReceivedInstance, *, is_used: bool) -> None:
    record(
        session,
        instance.request.received_at,
        instance.series_instance_uid,
        EventKind.OTHER_VERSION,
        f"{instance.sop_instance_uid} was sent again with other content; "
        + ("the newer one is used" if is_used else "kept, not analysed"),
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


def _touch(standing: _Standing, at: datetime) -> None:
    if standing.state is SeriesState.RECEIVING:
        standing.received = max(standing.received, at)
        standing.look_at = at


def _values_of(stored: Stored, *, variant_id: int, is_current: bool) -> dict[str, object]:
    """Return the columns of a new row."""
    instance = stored.instance
    request, image = instance.request, instance.slice_attributes
    return {
        "series_uid": instance.series_instance_uid,
        "study_uid": instance.study_instance_uid,
        "sop_instance_uid": instance.sop_instance_uid,
        "sop_class_uid": instance.sop_class_uid,
        "transfer_syntax_uid": request.transfer_syntax_uid,
        "content_digest": instance.content_digest,
        "patient_key": instance.patient_key,
        "patient_id_key": instance.patient_id_key,
        "issuer_key": instance.issuer_key,
        "accession_key": instance.accession_key,
        "path": str(stored.path),
        "size_bytes": stored.size_bytes,
        "received_at": request.received_at,
        "association_id": request.sender.association_id,
        "current": is_current,
        "variant_id": variant_id,
        "instance_number": image.instance_number,
        "position": json.dumps(image.position_lps_mm) if image.position_lps_mm else "",
        "orientation": json.dumps(image.orientation) if image.orientation else "",
        "frames": image.frames,
    }
