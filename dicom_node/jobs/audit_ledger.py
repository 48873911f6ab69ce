"""What the ledger knows that belongs into the audit trail, and what of it is there already.

Transfers and searches are audited from the rows that they leave, not where they happen: so a
process that is killed takes none of them along.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from dicom_node.jobs.database import Database
from dicom_node.jobs.retention_tables import PurgeRow
from dicom_node.jobs.state import SearchState
from dicom_node.jobs.tables import (
    AssociationRow,
    DeliveryRow,
    EventRow,
    InstanceRow,
    ObjectRow,
    PriorSearchRow,
    ResultSetRow,
    SeriesRow,
)
from dicom_node.jobs.timeline import EventKind

#: So many at a time; the rest follows with the next look.
_BATCH = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """What one association brought of one study.

    Attributes
    ----------
    caller, address : str
        Who sent it.
    at : datetime
        When the association ended.
    study_uid, patient_key : str
        Of whom; the key is the ledger's pseudonym.
    instances : mapping of str to int
        How many, by SOP Class UID.
    image : Path
        One of them, relative to the spool.
    """

    caller: str
    address: str
    at: datetime
    study_uid: str
    patient_key: str
    instances: Mapping[str, int]
    image: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """Results of one study that a destination accepted; see `Received`."""

    destination: str
    at: datetime
    study_uid: str
    patient_key: str
    instances: Mapping[str, int]
    image: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Searched:
    """A search for earlier scans at a peer; `state` is where it stands now."""

    event_id: int
    peer: str
    at: datetime
    state: SearchState


@dataclass(frozen=True, slots=True, kw_only=True)
class PurgedInstances:
    """Instances of one study that were purged; see `Received`.

    `by` is who wanted it, empty if it was the site's retention; `is_whole_study` says that no
    instance of the study was left.
    """

    purge_id: int
    by: str
    at: datetime
    study_uid: str
    patient_key: str
    instances: Mapping[str, int]
    is_whole_study: bool


class AuditLedger:
    """Returns what is not audited yet. Every method raises LedgerUnavailableError.

    What was there before `since` is left alone: a site that begins to audit does not want years.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def received(self, since: datetime) -> tuple[tuple[str, ...], tuple[Received, ...]]:
        """Return associations that have ended, and what they brought, oldest first."""
        with self._database.read() as session:
            rows = session.scalars(
                select(AssociationRow)
                .where(AssociationRow.closed_at >= since, ~AssociationRow.audited)
                .order_by(AssociationRow.closed_at)
                .limit(_BATCH)
            ).all()
            found = [one for row in rows for one in _received(session, row)]
            return tuple(row.association_id for row in rows), tuple(found)

    def sent(self, since: datetime) -> tuple[tuple[int, ...], tuple[Sent, ...]]:
        """Return deliveries that were accepted, and what they brought, oldest first."""
        with self._database.read() as session:
            rows = session.execute(
                select(DeliveryRow, ObjectRow)
                .join(ObjectRow, ObjectRow.object_id == DeliveryRow.object_id)
                .where(DeliveryRow.accepted_at >= since, ~DeliveryRow.audited)
                .order_by(DeliveryRow.accepted_at)
                .limit(_BATCH)
            ).all()
            groups: dict[tuple[str, int], list[tuple[DeliveryRow, ObjectRow]]] = {}
            for delivery, stored in rows:
                key = (delivery.destination, delivery.result_set_id)
                groups.setdefault(key, []).append((delivery, stored))
            found = [_sent(session, key, group) for key, group in groups.items()]
            return tuple(delivery.delivery_id for delivery, _ in rows), tuple(found)

    def searched(self, after: int) -> tuple[Searched, ...]:
        """Return searches for earlier scans behind an event, oldest first."""
        with self._database.read() as session:
            rows = session.scalars(
                select(EventRow)
                .where(EventRow.event_id > after, EventRow.kind == EventKind.PRIORS.value)
                .order_by(EventRow.event_id)
                .limit(_BATCH)
            )
            return tuple(_searched(session, row) for row in rows)

    def purged(self, since: datetime) -> tuple[PurgedInstances, ...]:
        """Return purges, oldest first."""
        with self._database.read() as session:
            rows = session.scalars(
                select(PurgeRow)
                .where(~PurgeRow.audited, PurgeRow.at >= since)
                .order_by(PurgeRow.purge_id)
                .limit(_BATCH)
            )
            return tuple(
                PurgedInstances(
                    purge_id=row.purge_id,
                    by=row.by,
                    at=row.at,
                    study_uid=row.study_uid,
                    patient_key=row.patient_key,
                    instances=json.loads(row.instances),
                    is_whole_study=row.was_last,
                )
                for row in rows
            )

    def mark_purged(self, purges: Sequence[int]) -> None:
        """Note that these purges are in the trail."""
        if purges:
            with self._database.write() as session:
                session.execute(
                    update(PurgeRow).where(PurgeRow.purge_id.in_(purges)).values(audited=True)
                )

    def last_event(self) -> int:
        """Return the last event there is, 0 if there is none."""
        with self._database.read() as session:
            return session.scalar(select(func.max(EventRow.event_id))) or 0

    def mark(self, associations: Sequence[str], deliveries: Sequence[int]) -> None:
        """Note that these are in the trail."""
        if not associations and not deliveries:
            return
        with self._database.write() as session:
            session.execute(
                update(AssociationRow)
                .where(AssociationRow.association_id.in_(associations))
                .values(audited=True)
            )
            session.execute(
                update(DeliveryRow)
                .where(DeliveryRow.delivery_id.in_(deliveries))
                .values(audited=True)
            )


def _received(session: Session, row: AssociationRow) -> Iterable[Received]:
    images: dict[str, list[InstanceRow]] = {}
    for image in session.scalars(
        select(InstanceRow)
        .where(InstanceRow.association_id == row.association_id)
        .order_by(InstanceRow.instance_id)
    ):
        images.setdefault(image.study_uid, []).append(image)
    for study_uid, group in images.items():
        yield Received(
            caller=row.calling_ae_title,
            address=row.address,
            at=row.closed_at or row.opened_at,
            study_uid=study_uid,
            patient_key=group[0].patient_key,
            instances=Counter(image.sop_class_uid for image in group),
            image=Path(group[0].path),
        )


def _searched(session: Session, row: EventRow) -> Searched:
    peer = row.text.split(":", 1)[0]
    state = session.scalar(
        select(PriorSearchRow.state).where(
            PriorSearchRow.series_uid == row.series_uid, PriorSearchRow.peer == peer
        )
    )
    return Searched(event_id=row.event_id, peer=peer, at=row.at, state=state or SearchState.DONE)


def _sent(
    session: Session, key: tuple[str, int], group: Sequence[tuple[DeliveryRow, ObjectRow]]
) -> Sent:
    series = session.get_one(SeriesRow, session.get_one(ResultSetRow, key[1]).series_uid)
    image = session.scalar(
        select(InstanceRow)
        .where(InstanceRow.series_uid == series.series_uid)
        .order_by(InstanceRow.instance_id)
        .limit(1)
    )
    return Sent(
        destination=key[0],
        at=max(delivery.accepted_at for delivery, _ in group if delivery.accepted_at),
        study_uid=series.study_uid,
        patient_key="" if image is None else image.patient_key,
        instances=Counter(stored.sop_class_uid for _, stored in group),
        image=None if image is None else Path(image.path),
    )
