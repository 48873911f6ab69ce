"""The workitems that the node performs: claimed, in hand, ended; and when a worklist is asked."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session

from dicom_node.jobs.database import Database
from dicom_node.jobs.look_again import look_again
from dicom_node.jobs.state import WorkitemState, move_workitem
from dicom_node.jobs.tables import SeriesRow
from dicom_node.jobs.tally import Tally, count
from dicom_node.jobs.worklist_tables import WorkitemRow, WorklistRow

#: States in which the node still has something to do.
OPEN: Final = (
    WorkitemState.CLAIMING,
    WorkitemState.PERFORMING,
    WorkitemState.COMPLETING,
    WorkitemState.CANCELING,
)

#: States in which the images of a workitem may be fetched.
_FETCHING: Final = (WorkitemState.CLAIMING, WorkitemState.PERFORMING)

#: States that are counted once they are reached.
_COUNTED: Final = frozenset(
    {
        WorkitemState.PERFORMING,
        WorkitemState.COMPLETED,
        WorkitemState.CANCELED,
        WorkitemState.LOST,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSeries:
    """Images that a workitem is about; an empty `series_uid` stands for the whole study."""

    study_uid: str
    series_uid: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewWorkitem:
    """A workitem that is about to be claimed.

    Attributes
    ----------
    workitem_uid : str
        Its SOP Instance UID.
    transaction_uid : str
        The key that the node has made for it.
    inputs : tuple of InputSeries
        What is to be analysed.
    code : mapping
        The Scheduled Workitem Code (Code Value, Coding Scheme Designator, Code Meaning by the
        names ``value``, ``scheme``, ``meaning``); empty if there is none.
    urgent : bool
        Whether it goes before others.
    """

    workitem_uid: str
    transaction_uid: str
    inputs: tuple[InputSeries, ...]
    code: Mapping[str, str]
    urgent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenWorkitem:
    """A workitem in hand; see `dicom_node.jobs.worklist_tables.WorkitemRow`."""

    workitem_id: int
    worklist: str
    workitem_uid: str
    transaction_uid: str
    state: WorkitemState
    inputs: tuple[InputSeries, ...]
    code: Mapping[str, str]
    urgent: bool
    created_at: datetime
    claimed_at: datetime | None
    attempts: int
    fetching: bool
    fetched: bool
    told: str
    cancel_reason: str
    ending: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkitemStatus:
    """A workitem as operators see it."""

    worklist: str
    workitem_uid: str
    state: WorkitemState
    reason: str
    progress: str
    studies: tuple[str, ...]
    urgent: bool
    created_at: datetime
    claimed_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorklistStatus:
    """A worklist server as operators see it; `reason` says why it could not be asked."""

    name: str
    failures: int
    reason: str
    look_at: datetime
    reached_at: datetime | None


class WorklistLedger:
    """One row per workitem. Every method raises LedgerUnavailableError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def is_due(self, worklist: str, now: datetime) -> bool:
        """Return whether a worklist is to be asked now."""
        with self._database.read() as session:
            row = session.get(WorklistRow, worklist)
            return row is None or row.look_at <= now

    def reached(self, worklist: str, *, again_at: datetime, now: datetime) -> None:
        """Note that a worklist answered, and when it is asked next."""
        with self._database.write() as session:
            row = _worklist(session, worklist, now)
            row.failures, row.reason = 0, ""
            row.reached_at, row.look_at = now, again_at

    def failures(self, worklist: str) -> int:
        """Return how often in a row a worklist could not be asked."""
        with self._database.read() as session:
            row = session.get(WorklistRow, worklist)
            return 0 if row is None else row.failures

    def failed(self, worklist: str, reason: str, *, again_at: datetime, now: datetime) -> None:
        """Note that a worklist could not be asked."""
        with self._database.write() as session:
            row = _worklist(session, worklist, now)
            row.failures += 1
            row.reason, row.look_at = reason, again_at

    def known(self, worklist: str, uids: Collection[str]) -> frozenset[str]:
        """Return which of these workitems the node has or had."""
        with self._database.read() as session:
            return frozenset(
                session.scalars(
                    select(WorkitemRow.workitem_uid).where(
                        WorkitemRow.worklist == worklist, WorkitemRow.workitem_uid.in_(list(uids))
                    )
                )
            )

    def begin(self, worklist: str, new: NewWorkitem, now: datetime) -> OpenWorkitem:
        """Keep the key of a workitem before the server is asked for it."""
        with self._database.write() as session:
            row = WorkitemRow(
                worklist=worklist,
                workitem_uid=new.workitem_uid,
                transaction_uid=new.transaction_uid,
                state=WorkitemState.CLAIMING,
                inputs=json.dumps([asdict(one) for one in new.inputs]),
                code=json.dumps(dict(new.code)) if new.code else "",
                urgent=new.urgent,
                created_at=now,
                look_at=now,
            )
            session.add(row)
            session.flush()
            return _open(row)

    def due(self, worklist: str, now: datetime) -> tuple[OpenWorkitem, ...]:
        """Return the workitems in hand whose time has come; urgent ones, then oldest first."""
        with self._database.read() as session:
            rows = session.scalars(
                select(WorkitemRow)
                .where(
                    WorkitemRow.worklist == worklist,
                    WorkitemRow.state.in_(OPEN),
                    WorkitemRow.look_at <= now,
                )
                .order_by(WorkitemRow.urgent.desc(), WorkitemRow.workitem_id)
            )
            return tuple(_open(row) for row in rows)

    def in_hand(self, worklist: str) -> int:
        """Return how many workitems are open."""
        with self._database.read() as session:
            rows = select(WorkitemRow.workitem_id).where(
                WorkitemRow.worklist == worklist, WorkitemRow.state.in_(OPEN)
            )
            return len(session.scalars(rows).all())

    def claimed(self, item: OpenWorkitem, now: datetime) -> OpenWorkitem:
        """Note that the server let the node have it."""
        with self._database.write() as session:
            row = session.get_one(WorkitemRow, item.workitem_id)
            _move(session, row, WorkitemState.PERFORMING)
            row.claimed_at = row.claimed_at or now
            row.attempts, row.reason = 0, ""
            return _open(row)

    def reclaim(self, item: OpenWorkitem) -> OpenWorkitem:
        """Note that the server has forgotten the claim."""
        with self._database.write() as session:
            row = session.get_one(WorkitemRow, item.workitem_id)
            _move(session, row, WorkitemState.CLAIMING)
            return _open(row)

    def note(
        self,
        item: OpenWorkitem,
        *,
        told: str | None = None,
        fetching: bool | None = None,
        fetched: bool | None = None,
        cancel_reason: str | None = None,
    ) -> OpenWorkitem:
        """Remember what was told, fetched or asked for; None changes nothing."""
        with self._database.write() as session:
            row = session.get_one(WorkitemRow, item.workitem_id)
            row.told = row.told if told is None else told
            row.fetching = row.fetching if fetching is None else fetching
            row.fetched = row.fetched if fetched is None else fetched
            row.cancel_reason = row.cancel_reason if cancel_reason is None else cancel_reason
            if fetching is False:
                look_again(session, named(_inputs(row)))
            row.attempts, row.reason = 0, ""
            return _open(row)

    def decide(
        self, item: OpenWorkitem, to: WorkitemState, ending: Mapping[str, Any], reason: str
    ) -> OpenWorkitem:
        """Settle how a workitem ends, before the server is told."""
        with self._database.write() as session:
            row = session.get_one(WorkitemRow, item.workitem_id)
            _move(session, row, to)
            row.ending = json.dumps(dict(ending))
            row.attempts, row.reason = 0, reason
            return _open(row)

    def postpone(self, item: OpenWorkitem, reason: str, *, again_at: datetime) -> None:
        """Note that the server refused something; it is tried again."""
        with self._database.write() as session:
            row = session.get_one(WorkitemRow, item.workitem_id)
            row.attempts += 1
            row.reason, row.look_at = reason, again_at

    def finish(self, item: OpenWorkitem, to: WorkitemState, now: datetime, *, reason: str) -> None:
        """End a workitem."""
        with self._database.write() as session:
            row = session.get_one(WorkitemRow, item.workitem_id)
            _move(session, row, to)
            row.finished_at = now
            row.reason = reason

    def overview(self, *, limit: int = 100) -> tuple[WorkitemStatus, ...]:
        """Return the newest workitems first."""
        with self._database.read() as session:
            rows = session.scalars(
                select(WorkitemRow).order_by(WorkitemRow.workitem_id.desc()).limit(limit)
            )
            return tuple(_status(row) for row in rows)

    def worklists(self) -> tuple[WorklistStatus, ...]:
        """Return every worklist that was ever asked."""
        with self._database.read() as session:
            return tuple(
                WorklistStatus(
                    name=row.name,
                    failures=row.failures,
                    reason=row.reason,
                    look_at=row.look_at,
                    reached_at=row.reached_at,
                )
                for row in session.scalars(select(WorklistRow).order_by(WorklistRow.name))
            )


def named(inputs: Sequence[InputSeries]) -> ColumnElement[bool]:
    """Return the condition under which a series is one that a workitem is about."""
    series = [one.series_uid for one in inputs if one.series_uid]
    studies = [one.study_uid for one in inputs if not one.series_uid]
    return or_(SeriesRow.series_uid.in_(series), SeriesRow.study_uid.in_(studies))


def is_being_fetched(session: Session, series: SeriesRow) -> bool:
    """Return whether a workitem has begun to have a series fetched and has not got all of it.

    A fetch that was broken off counts, too: it is made again, and what is here may be half a head.
    """
    rows = session.scalars(
        select(WorkitemRow).where(WorkitemRow.fetching, WorkitemRow.state.in_(_FETCHING))
    )
    wanted = {(series.study_uid, ""), (series.study_uid, series.series_uid)}
    return any((one.study_uid, one.series_uid) in wanted for row in rows for one in _inputs(row))


def _worklist(session: Session, name: str, now: datetime) -> WorklistRow:
    row = session.get(WorklistRow, name)
    if row is None:
        row = WorklistRow(name=name, look_at=now, failures=0, reason="")
        session.add(row)
    return row


def _move(session: Session, row: WorkitemRow, to: WorkitemState) -> None:
    row.state = move_workitem(row.state, to)
    if row.fetching and to not in _FETCHING:
        look_again(session, named(_inputs(row)))
    if to in _COUNTED:
        count(session, Tally.WORKITEMS, worklist=row.worklist, outcome=to.value)


def _inputs(row: WorkitemRow) -> tuple[InputSeries, ...]:
    return tuple(InputSeries(**one) for one in json.loads(row.inputs))


def _open(row: WorkitemRow) -> OpenWorkitem:
    return OpenWorkitem(
        workitem_id=row.workitem_id,
        worklist=row.worklist,
        workitem_uid=row.workitem_uid,
        transaction_uid=row.transaction_uid,
        state=row.state,
        inputs=_inputs(row),
        code=json.loads(row.code) if row.code else {},
        urgent=row.urgent,
        created_at=row.created_at,
        claimed_at=row.claimed_at,
        attempts=row.attempts or 0,
        fetching=bool(row.fetching),
        fetched=bool(row.fetched),
        told=row.told or "",
        cancel_reason=row.cancel_reason or "",
        ending=json.loads(row.ending) if row.ending else {},
    )


def _status(row: WorkitemRow) -> WorkitemStatus:
    studies: Sequence[str] = [one.study_uid for one in _inputs(row)]
    return WorkitemStatus(
        worklist=row.worklist,
        workitem_uid=row.workitem_uid,
        state=row.state,
        reason=row.reason,
        progress=row.told,
        studies=tuple(dict.fromkeys(studies)),
        urgent=row.urgent,
        created_at=row.created_at,
        claimed_at=row.claimed_at,
        finished_at=row.finished_at,
    )
