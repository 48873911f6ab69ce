"""Studies as people look for them: filtered, a page at a time, and how long they took."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Select, case, exists, func, or_, select
from sqlalchemy.orm import aliased

from dicom_node.intake.instance import accession_key
from dicom_node.jobs.database import Database
from dicom_node.jobs.dialects import RecordStatus
from dicom_node.jobs.reports import series_statuses
from dicom_node.jobs.state import DeliveryState, JobKind, JobState, SeriesState
from dicom_node.jobs.status import SeriesStatus
from dicom_node.jobs.tables import DeliveryRow, InstanceRow, JobRow, SeriesRow

#: Objects that are still on their way, or never came.
_MISSING = (DeliveryState.PENDING, DeliveryState.SENDING, DeliveryState.DEAD)

#: Fewer characters could be those of many patients' keys.
_SHORTEST_KEY = 8
_HEXADECIMAL = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyQuery:
    """What is looked for; what is left out does not matter.

    Attributes
    ----------
    text : str
        Beginning of a Study or Series Instance UID, the number of a job, or the key of a patient
        or the beginning of one, as the audit trail has it.
    patient_id_key : str
        Key of a Patient ID; `dicom_node.intake.instance.patient_id_key` makes it.
    accession_key : str
        Key of an Accession Number; `StudySearch.accession_key` makes it.
    states : collection of str
        States of series or of their latest analysis, as `SeriesState` and `JobState` have them.
    callers : collection of str
        AE titles that sent the series.
    outcome : str
        As the record has it: ``hematoma_found``, ``no_hematoma_found``.
    urgent : bool
        Only urgent ones.
    since, until : datetime or None
        When the last image came.
    """

    text: str = ""
    patient_id_key: str = ""
    accession_key: str = ""
    states: Collection[str] = ()
    callers: Collection[str] = ()
    outcome: str = ""
    urgent: bool = False
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyStatus:
    """A study with its series, the one that was received first comes first."""

    study_instance_uid: str
    series: tuple[SeriesStatus, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyPage:
    """Some of the studies that were found, the latest first; `total` counts all of them."""

    studies: tuple[StudyStatus, ...]
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorTime:
    """How long one analysis took from the last image to the last result accepted."""

    study_instance_uid: str
    at: datetime
    seconds: float
    urgent: bool


class StudySearch:
    """Reads the ledger by study. Every method raises LedgerUnavailableError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, query: StudyQuery, *, limit: int = 25, offset: int = 0) -> StudyPage:
        """Return a page of the studies of which any series fits."""
        latest = func.max(SeriesRow.last_received_at)
        fitting: Select[str] = (
            select(SeriesRow.study_uid).where(*_conditions(query)).group_by(SeriesRow.study_uid)
        )
        with self._database.read() as session:
            total = session.scalar(select(func.count()).select_from(fitting.subquery())) or 0
            uids = session.scalars(
                fitting.order_by(latest.desc(), SeriesRow.study_uid).limit(limit).offset(offset)
            ).all()
            rows = session.scalars(_of_studies(uids)).all()
            found = series_statuses(session, rows)
        return StudyPage(studies=_grouped(uids, found), total=total)

    def study(self, study_uid: str) -> StudyStatus | None:
        """Return one study, None if the ledger does not know it."""
        with self._database.read() as session:
            found = series_statuses(session, session.scalars(_of_studies([study_uid])).all())
        return StudyStatus(study_instance_uid=study_uid, series=found) if found else None

    def accession_key(self, number: str) -> str:
        """Return what stands for an Accession Number; only this ledger makes the same of it."""
        return accession_key(number, patient_salt=self._database.patient_salt)

    def callers(self) -> tuple[str, ...]:
        """Return every AE title that ever sent a series."""
        with self._database.read() as session:
            titles = select(SeriesRow.calling_ae_title).distinct()
            return tuple(sorted(title for title in session.scalars(titles) if title))

    def door_times(self, since: datetime, *, limit: int = 5000) -> tuple[DoorTime, ...]:
        """Return how long analyses took whose last result was accepted since then, oldest first.

        Counted are results that every destination has; what an operator cancelled does not count.
        """
        latest = func.max(DeliveryRow.accepted_at, type_=DeliveryRow.accepted_at.type)
        missing = func.sum(case((DeliveryRow.state.in_(_MISSING), 1), else_=0))
        rows = (
            select(SeriesRow.study_uid, SeriesRow.last_received_at, SeriesRow.urgency, latest)
            .join(JobRow, JobRow.series_uid == SeriesRow.series_uid)
            .join(DeliveryRow, DeliveryRow.result_set_id == JobRow.result_set_id)
            .where(JobRow.kind == JobKind.ANALYSIS)
            .group_by(JobRow.result_set_id, SeriesRow.series_uid)
            .having(latest >= since, missing == 0)
            .order_by(latest.desc())
            .limit(limit)
        )
        with self._database.read() as session:
            found = [
                DoorTime(
                    study_instance_uid=study,
                    at=at,
                    seconds=(at - last).total_seconds(),
                    urgent=bool(urgency),
                )
                for study, last, urgency, at in session.execute(rows)
                if at is not None and at >= last
            ]
        return tuple(reversed(found))


def _of_studies(uids: Sequence[str]) -> Select[SeriesRow]:
    return (
        select(SeriesRow)
        .where(SeriesRow.study_uid.in_(uids))
        .order_by(SeriesRow.first_received_at, SeriesRow.series_uid)
    )


def _grouped(uids: Sequence[str], found: Sequence[SeriesStatus]) -> tuple[StudyStatus, ...]:
    return tuple(
        StudyStatus(
            study_instance_uid=uid,
            series=tuple(one for one in found if one.study_instance_uid == uid),
        )
        for uid in uids
    )


def _conditions(query: StudyQuery) -> list[ColumnElement[bool]]:
    wanted: list[ColumnElement[bool]] = []
    if query.text:
        wanted.append(_named(query.text))
    if query.patient_id_key:
        wanted.append(_has_image(InstanceRow.patient_id_key == query.patient_id_key))
    if query.accession_key:
        wanted.append(_has_image(InstanceRow.accession_key == query.accession_key))
    if query.states:
        wanted.append(_in_states(query.states))
    if query.callers:
        wanted.append(SeriesRow.calling_ae_title.in_(list(query.callers)))
    if query.outcome:
        wanted.append(_latest_job(RecordStatus(JobRow.record) == query.outcome))
    if query.urgent:
        wanted.append(SeriesRow.urgency != "")
    if query.since is not None:
        wanted.append(SeriesRow.last_received_at >= query.since)
    if query.until is not None:
        wanted.append(SeriesRow.last_received_at < query.until)
    return wanted


def _named(text: str) -> ColumnElement[bool]:
    if text.isascii() and text.isdecimal() and len(text) < 10:  # noqa: PLR2004 - no job has more
        return exists().where(
            JobRow.series_uid == SeriesRow.series_uid, JobRow.job_id == int(text)
        )
    wanted = [
        SeriesRow.study_uid.startswith(text, autoescape=True),
        SeriesRow.series_uid.startswith(text, autoescape=True),
    ]
    if len(text) >= _SHORTEST_KEY and _HEXADECIMAL.issuperset(text.lower()):
        key = InstanceRow.patient_key.startswith(text.lower(), autoescape=True)
        wanted.append(_has_image(key))
    return or_(*wanted)


def _has_image(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    """Return whether an image of a series fits."""
    return exists().where(InstanceRow.series_uid == SeriesRow.series_uid, condition)


def _in_states(states: Collection[str]) -> ColumnElement[bool]:
    of_series = [one for one in SeriesState if one.value in states]
    of_jobs = [one for one in JobState if one.value in states]
    waiting = SeriesRow.state.in_(of_series)
    return or_(waiting, _latest_job(JobRow.state.in_(of_jobs)))


def _latest_job(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    """Return whether the latest analysis of a series fits."""
    other = aliased(JobRow)
    newest = (
        select(func.max(other.job_id))
        .where(other.series_uid == SeriesRow.series_uid, other.kind == JobKind.ANALYSIS)
        .correlate(SeriesRow)
        .scalar_subquery()
    )
    return exists().where(JobRow.job_id == newest, condition)
