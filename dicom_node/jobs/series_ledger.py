"""The office's side of the ledger: which series are complete, and which are analysed."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from hashlib import sha256

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session

from dicom_node.intake.assembly import (
    AssemblyRules,
    Complete,
    Conflict,
    SeriesAssembly,
    Waiting,
    judge,
)
from dicom_node.intake.instance import Orientation, SeriesAttributes, SliceAttributes
from dicom_node.intake.selection import Candidate, SelectionRules
from dicom_node.intake.selection import select as select_series
from dicom_node.intake.urgency import NO_URGENCY, UrgencyRules
from dicom_node.jobs.database import Database
from dicom_node.jobs.reprocess_lane import enter, is_asked_for, is_brought, is_of_a_run
from dicom_node.jobs.state import JobKind, JobState, SeriesState, move_series
from dicom_node.jobs.tables import (
    AssociationRow,
    AssociationSeriesRow,
    HeaderVariantRow,
    InstanceRow,
    JobInstanceRow,
    JobRow,
    ProcessRow,
    SeriesRow,
)
from dicom_node.jobs.timeline import EventKind, record
from dicom_node.jobs.urgent_lane import note_urgency, priority_of
from dicom_node.jobs.worklist_ledger import is_being_fetched

#: Jobs in these states make another one of the same images superfluous.
_USEFUL = (JobState.QUEUED, JobState.ANALYZING, JobState.DELIVERING, JobState.DELIVERED)

#: A series with a job in one of these states holds a place of its study.
_HOLDING = (*_USEFUL, JobState.FAILED)


class SeriesLedger:
    """Moves series from their arrival to a job."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def due(self, rules: AssemblyRules, now: datetime) -> tuple[str, ...]:
        """Return the series that time may have made complete. Raises LedgerUnavailableError."""
        with self._database.read() as session:
            return tuple(
                session.scalars(
                    select(SeriesRow.series_uid).where(
                        SeriesRow.state == SeriesState.RECEIVING,
                        SeriesRow.look_at <= now,
                        SeriesRow.last_received_at <= now - timedelta(seconds=rules.quiet_s),
                    )
                )
            )

    def assess(self, series_uid: str, rules: AssemblyRules, now: datetime) -> None:
        """Judge a series and note the verdict, in one transaction. Raises LedgerError."""
        with self._database.write() as session:
            series = session.get_one(SeriesRow, series_uid)
            if series.state is not SeriesState.RECEIVING:
                return
            verdict = judge(assembly_of(session, series), rules, now)
            series.reason = verdict.reason
            match verdict:
                case Waiting(look_again_at=look_again_at):
                    series.look_at = look_again_at
                case Complete() if gone := _purged_images(session, series_uid):
                    # an opinion on what is left of a series would supersede the one on all of it
                    series.look_at = None
                    reason = f"{gone} of its images were purged: send the whole series again"
                    _set_aside(session, series, reason, now=now, eligible=False)
                case Complete(flags=flags):
                    series.state = move_series(series.state, SeriesState.COMPLETE)
                    series.flags = " ".join(sorted(flags))
                    series.complete_at = now
                    series.look_at = None
                    record(session, now, series_uid, EventKind.COMPLETE, verdict.reason)
                case Conflict():
                    series.look_at = None
                    _set_aside(session, series, verdict.reason, now=now, eligible=False)

    def due_studies(self, rules: AssemblyRules, now: datetime) -> tuple[str, ...]:
        """Return the studies whose complete series can be compared now.

        That is when nothing of the study is arriving any more, or when the first complete series
        has waited long enough.
        """
        complete = select(SeriesRow.study_uid).where(SeriesRow.state == SeriesState.COMPLETE)
        with self._database.read() as session:
            rows = session.scalars(select(SeriesRow).where(SeriesRow.study_uid.in_(complete)))
            studies: dict[str, list[SeriesRow]] = {}
            for row in rows:
                studies.setdefault(row.study_uid, []).append(row)
        return tuple(uid for uid, series in studies.items() if _is_due(series, rules, now))

    def next_due(self, rules: AssemblyRules, now: datetime) -> datetime | None:
        """Return when the next series or study becomes due if nothing more comes.

        None if nothing will. What is due already but waits for others is left out.
        """
        arriving = (SeriesState.RECEIVING, SeriesState.COMPLETE)
        with self._database.read() as session:
            rows = session.scalars(select(SeriesRow).where(SeriesRow.state.in_(arriving))).all()
        times: list[datetime] = []
        for row in rows:
            if row.state is SeriesState.RECEIVING and row.look_at is not None:
                quiet_at = row.last_received_at + timedelta(seconds=rules.quiet_s)
                times.append(max(quiet_at, row.look_at))
            elif row.complete_at is not None:
                times.append(row.last_received_at + timedelta(seconds=rules.study_quiet_s))
                times.append(row.complete_at + timedelta(seconds=rules.study_limit_s))
        return min((time for time in times if time > now), default=None)

    def decide(
        self,
        study_uid: str,
        rules: SelectionRules,
        now: datetime,
        *,
        urgent: UrgencyRules = NO_URGENCY,
    ) -> None:
        """Choose among the complete series of a study and make jobs. Raises LedgerError."""
        with self._database.write() as session:
            complete = session.scalars(
                select(SeriesRow).where(
                    SeriesRow.study_uid == study_uid, SeriesRow.state == SeriesState.COMPLETE
                )
            ).all()
            selection = select_series(
                [candidate_of(session, series) for series in complete],
                rules,
                already_chosen=chosen_before(session, study_uid, complete),
            )
            note_urgency(session, study_uid, complete, urgent, now)
            for series in complete:
                refusal = selection.refused.get(series.series_uid)
                if refusal is not None:
                    _set_aside(session, series, refusal.reason, now=now, eligible=refusal.eligible)
                    continue
                series.state = move_series(series.state, SeriesState.CHOSEN)
                series.reason = selection.chosen[series.series_uid]
                record(session, now, series.series_uid, EventKind.CHOSEN, series.reason)
                _make_job(session, series, now)


def assembly_of(session: Session, series: SeriesRow) -> SeriesAssembly:
    """Return a series as far as it has arrived."""
    images = _current_images(session, series.series_uid)
    still_open = session.scalar(
        select(func.count())
        .select_from(AssociationSeriesRow)
        .join(AssociationRow)
        .where(
            AssociationSeriesRow.series_uid == series.series_uid,
            AssociationRow.closed_at.is_(None),
        )
    )
    return SeriesAssembly(
        slices=tuple(_slice_attributes(image) for image in images),
        last_received_at=series.last_received_at,
        open_associations=still_open or 0,
        fetching_since=_fetching_since(session, series),
        patients=len({image.patient_key for image in images}),
        studies=len({image.study_uid for image in images}),
    )


def _fetching_since(session: Session, series: SeriesRow) -> datetime | None:
    """Return since when the node can fetch the rest of a series; None if it does not."""
    if not (is_being_fetched(session, series) or is_brought(session, series.series_uid)):
        return None
    started_at = session.scalar(
        select(func.max(ProcessRow.started_at)).where(ProcessRow.ended_at.is_(None))
    )
    return started_at or series.last_received_at


def _current_images(session: Session, series_uid: str) -> Sequence[InstanceRow]:
    return session.scalars(
        select(InstanceRow).where(
            InstanceRow.series_uid == series_uid,
            InstanceRow.current,
            InstanceRow.purged_at.is_(None),
        )
    ).all()


def _purged_images(session: Session, series_uid: str) -> int:
    """Return how many images of a series would count if they were still here."""
    gone = select(func.count()).where(
        InstanceRow.series_uid == series_uid,
        InstanceRow.current,
        InstanceRow.purged_at.is_not(None),
    )
    return session.scalar(gone) or 0


def _slice_attributes(image: InstanceRow) -> SliceAttributes:
    position = json.loads(image.position) if image.position else None
    orientation = json.loads(image.orientation) if image.orientation else None
    return SliceAttributes(
        instance_number=image.instance_number,
        position_lps_mm=tuple(position) if position else None,
        orientation=tuple(orientation) if orientation else None,
        frames=image.frames,
    )


def _is_due(series: list[SeriesRow], rules: AssemblyRules, now: datetime) -> bool:
    complete_at = [row.complete_at for row in series if row.complete_at is not None]
    waited_s = (now - min(complete_at)).total_seconds() if complete_at else 0.0
    if waited_s >= rules.study_limit_s:
        return True
    quiet_s = (now - max(row.last_received_at for row in series)).total_seconds()
    arriving = any(row.state is SeriesState.RECEIVING for row in series)
    return not arriving and quiet_s >= rules.study_quiet_s


def candidate_of(session: Session, series: SeriesRow) -> Candidate:
    """Return a series that has images as selection sees it."""
    images = _current_images(session, series.series_uid)
    variants = Counter(image.variant_id for image in images)
    (common_variant, _), *_ = variants.most_common(1)
    header = json.loads(session.get_one(HeaderVariantRow, common_variant).attributes)
    orientations = Counter(image.orientation for image in images if image.frames == 1)
    (orientation, alike), *_ = orientations.most_common(1) or [("", 0)]
    frames = sum(image.frames for image in images if image.frames > 1)
    return Candidate(
        series_instance_uid=series.series_uid,
        attributes=replace(SeriesAttributes(), **header),
        orientation=_orientation(orientation),
        slices=max(alike, frames),
    )


def _orientation(text: str) -> Orientation | None:
    if not text:
        return None
    a, b, c, d, e, f = json.loads(text)
    return (a, b, c, d, e, f)


def chosen_before(session: Session, study_uid: str, complete: Sequence[SeriesRow]) -> int:
    """Return how many series of a study hold their place: chosen, and not rejected since.

    What a re-read of an archive analysed holds no place of a series that somebody waits for.
    """
    held = exists().where(
        JobRow.series_uid == SeriesRow.series_uid,
        JobRow.kind == JobKind.ANALYSIS,
        JobRow.state.in_(_HOLDING),
    )
    live = select(SeriesRow.series_uid).where(
        SeriesRow.series_uid.in_([one.series_uid for one in complete]),
        ~is_asked_for(SeriesRow.series_uid),
    )
    if session.scalar(live.limit(1)):
        held = held.where(~is_of_a_run(JobRow.job_id))
    return (
        session.scalar(
            select(func.count()).where(
                SeriesRow.study_uid == study_uid, SeriesRow.state == SeriesState.CHOSEN, held
            )
        )
        or 0
    )


def _set_aside(
    session: Session, series: SeriesRow, reason: str, *, now: datetime, eligible: bool
) -> None:
    series.state = move_series(series.state, SeriesState.SET_ASIDE)
    series.reason = reason
    series.eligible = eligible
    record(session, now, series.series_uid, EventKind.SET_ASIDE, reason)


def _make_job(session: Session, series: SeriesRow, now: datetime) -> None:
    """Queue an analysis of the series as it is now, unless there is one of the same images.

    Images that come again after they were purged are analysed again: earlier results of the same
    model and configuration stand, and nothing is sent twice, but comparisons can be made.
    """
    images = _current_images(session, series.series_uid)
    contents = sorted(f"{image.sop_instance_uid} {image.content_digest}" for image in images)
    input_digest = sha256("\n".join(contents).encode()).hexdigest()
    same = exists().where(
        JobRow.series_uid == series.series_uid,
        JobRow.kind == JobKind.ANALYSIS,
        JobRow.input_digest == input_digest,
        JobRow.state.in_(_USEFUL),
    )
    if series.purged_at is not None:
        same = same.where(JobRow.created_at > series.purged_at)
    if session.scalar(select(same)):
        return
    job = JobRow(
        series_uid=series.series_uid,
        study_uid=series.study_uid,
        input_digest=input_digest,
        state=JobState.QUEUED,
        flags=series.flags,
        priority=priority_of(series),
        created_at=now,
        available_at=now,
    )
    session.add(job)
    session.flush()
    enter(session, job, series, now)
    session.add_all(
        JobInstanceRow(job_id=job.job_id, instance_id=image.instance_id) for image in images
    )
