"""What of the data in custody may go, when, and why the rest stays: pure, facts in, plan out.

Three kinds of things are held, each with an age rule of its own: the images of a series, the
objects of a result set, the summary of a job. Whatever somebody still waits for or has been
promised has an obstacle and stays, however full the disk is.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from dicom_node.jobs.state import JobKind, JobState, SeriesState


class HoldingKind(StrEnum):
    """What is held. The values are stored; never rename one."""

    IMAGES = "images"  #: received instances of a series
    RESULTS = "results"  #: objects of a result set
    SUMMARY = "summary"  #: picture and page of a job


class AgeRule(StrEnum):
    """Which age counts for a holding; the key of the settings is the value and ``_days``."""

    ANALYSED = "analysed"  #: images of a series that was analysed
    REJECTED = "rejected"  #: images of a series that was found unfit for analysis
    SET_ASIDE = "set_aside"  #: images of a series that selection left out
    RESULTS = "results"
    SUMMARIES = "summaries"


class Obstacle(StrEnum):
    """Why something may not go, whatever its age; in words for an operator."""

    ON_HOLD = "its study is on legal hold"
    IN_WORK = "its study is being received, analysed or compared"
    UNDELIVERED = "results have not been accepted by every destination"
    UNCOMMITTED = "a destination has not committed itself to the results"
    PROMISED = "the node has committed itself to keep it"
    FAILED = "its analysis failed and may be tried again"
    NOWHERE = "its results were meant for no destination, and no destination is set"
    BASELINE = "a follow-up scan may still come"


#: What a person may decide otherwise, study by study; nothing overrides the others.
DISCRETIONARY: Final = frozenset({Obstacle.FAILED, Obstacle.NOWHERE, Obstacle.BASELINE})

_WORKING: Final = frozenset({JobState.QUEUED, JobState.ANALYZING})
_ENDED: Final = frozenset({JobState.DELIVERED, JobState.REJECTED})


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionRules:
    """How long a site keeps what.

    Attributes
    ----------
    ages : mapping of AgeRule to timedelta
        A rule that is absent keeps its holdings for good, unless the disk is nearly full.
    follow_up_window : timedelta
        So long after its last image an analysed scan waits for a follow-up.
    keep_committed : timedelta or None
        So long the node keeps what it committed itself to; None: for good.
    emergency_free_bytes : int
        With less free disk the oldest go first, whatever their age; 0: never.
    has_destinations : bool
        Whether results are meant to go anywhere at all.
    """

    ages: Mapping[AgeRule, timedelta] = field(default_factory=dict)
    follow_up_window: timedelta = timedelta(hours=72)
    keep_committed: timedelta | None = None
    emergency_free_bytes: int = 0
    has_destinations: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultFacts:
    """A result set; `files` and `size_bytes` are of what was not purged."""

    result_set_id: int
    created_at: datetime
    files: int = 0
    size_bytes: int = 0
    deliveries: int = 0
    undelivered: int = 0
    uncommitted: int = 0
    last_accepted_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFacts:
    """A job; `summary_bytes` is 0 without a summary."""

    job_id: int
    kind: JobKind
    state: JobState
    ended_at: datetime
    result: ResultFacts | None = None
    summary_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesFacts:
    """A series; `images` and `size_bytes` are of what was not purged."""

    series_uid: str
    state: SeriesState
    last_received_at: datetime
    images: int = 0
    size_bytes: int = 0
    committed_at: datetime | None = None
    jobs: tuple[JobFacts, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyFacts:
    """A study as the ledger has it.

    Attributes
    ----------
    study_uid : str
        Which one.
    series : tuple of SeriesFacts
        All that the node knows of.
    is_on_hold : bool
        An operator keeps it.
    is_used_elsewhere : bool
        A comparison of another study reads its images, or earlier scans are being sought for it.
    """

    study_uid: str
    series: tuple[SeriesFacts, ...]
    is_on_hold: bool = False
    is_used_elsewhere: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """Something that goes as a whole, or stays.

    Attributes
    ----------
    kind : HoldingKind
        What it is.
    key : str
        Series Instance UID, number of the result set or number of the job.
    series_uid, study_uid : str
        Where it belongs.
    rule : AgeRule
        Which age counts.
    since : datetime
        From when on.
    files, size_bytes : int
        How much it is.
    obstacle : Obstacle or None
        Why it may not go; the first that was found.
    until : datetime or None
        When that ends by itself; None: not.
    """

    kind: HoldingKind
    key: str
    series_uid: str
    study_uid: str
    rule: AgeRule
    since: datetime
    files: int
    size_bytes: int
    obstacle: Obstacle | None = None
    until: datetime | None = None

    def due_at(self, rules: RetentionRules) -> datetime | None:
        """Return when it goes by age; None if age alone never makes it go."""
        age = rules.ages.get(self.rule)
        return None if age is None else self.since + age


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionPlan:
    """What goes now and what stays.

    Attributes
    ----------
    by_age : tuple of Holding
        Old enough, the oldest first.
    by_emergency : tuple of Holding
        Not old enough, but room is needed, the oldest first.
    young : tuple of Holding
        May go later.
    kept : tuple of Holding
        Have an obstacle.
    is_emergency : bool
        Whether the disk is nearly full.
    missing_bytes : int
        Room that is still missing after all that can go has gone.
    """

    by_age: tuple[Holding, ...]
    by_emergency: tuple[Holding, ...]
    young: tuple[Holding, ...]
    kept: tuple[Holding, ...]
    is_emergency: bool
    missing_bytes: int

    @property
    def going(self) -> tuple[Holding, ...]:
        """Everything that goes now."""
        return (*self.by_age, *self.by_emergency)


def plan(
    holdings: Sequence[Holding], rules: RetentionRules, *, free_bytes: int, now: datetime
) -> RetentionPlan:
    """Return what goes now.

    Parameters
    ----------
    holdings
        Everything that `holdings_of` returned.
    rules
        Of the site.
    free_bytes
        Free on the disk.
    now
        The present.
    """
    ordered = sorted(holdings, key=lambda one: (one.since, one.kind, one.key))
    free = [one for one in ordered if one.obstacle is None]
    old: list[Holding] = []
    young: list[Holding] = []
    for one in free:
        due_at = one.due_at(rules)
        (young if due_at is None or due_at > now else old).append(one)
    is_emergency = free_bytes < rules.emergency_free_bytes
    wanted = rules.emergency_free_bytes - free_bytes - sum(one.size_bytes for one in old)
    needed: list[Holding] = []
    while wanted > 0 and is_emergency and len(needed) < len(young):
        needed.append(young[len(needed)])
        wanted -= needed[-1].size_bytes
    return RetentionPlan(
        by_age=tuple(old),
        by_emergency=tuple(needed),
        young=tuple(young[len(needed) :]),
        kept=tuple(one for one in ordered if one.obstacle is not None),
        is_emergency=is_emergency,
        missing_bytes=max(0, wanted) if is_emergency else 0,
    )


def holdings_of(study: StudyFacts, rules: RetentionRules, now: datetime) -> tuple[Holding, ...]:
    """Return everything that is held of a study, with the obstacle of each."""
    return tuple(one for series in study.series for one in _of_series(study, series, rules, now))


def _of_series(
    study: StudyFacts, series: SeriesFacts, rules: RetentionRules, now: datetime
) -> Iterator[Holding]:
    common = _common_obstacle(study)
    moments = [series.last_received_at, *(moment for job in series.jobs for moment in _ends(job))]
    if series.images:
        obstacle, until = (common, None) if common else _of_images(series, rules, now)
        yield Holding(
            kind=HoldingKind.IMAGES,
            key=series.series_uid,
            series_uid=series.series_uid,
            study_uid=study.study_uid,
            rule=_image_rule(series),
            since=max(moments),
            files=series.images,
            size_bytes=series.size_bytes,
            obstacle=obstacle,
            until=until,
        )
    results = {job.result.result_set_id: job for job in series.jobs if job.result}
    for number, job in results.items():
        if job.result is not None and job.result.files:
            yield Holding(
                kind=HoldingKind.RESULTS,
                key=str(number),
                series_uid=series.series_uid,
                study_uid=study.study_uid,
                rule=AgeRule.RESULTS,
                since=max(_ends(job)),
                files=job.result.files,
                size_bytes=job.result.size_bytes,
                obstacle=common or _of_results(job.result, rules),
            )
    for job in series.jobs:
        if job.summary_bytes:
            yield Holding(
                kind=HoldingKind.SUMMARY,
                key=str(job.job_id),
                series_uid=series.series_uid,
                study_uid=study.study_uid,
                rule=AgeRule.SUMMARIES,
                since=max(_ends(job)),
                files=1,
                size_bytes=job.summary_bytes,
                obstacle=common or _of_job(job, rules),
            )


def _common_obstacle(study: StudyFacts) -> Obstacle | None:
    """Return what holds up a whole study: any of its series may still be needed for it."""
    if study.is_on_hold:
        return Obstacle.ON_HOLD
    arriving = any(
        one.state in {SeriesState.RECEIVING, SeriesState.COMPLETE} for one in study.series
    )
    working = any(job.state in _WORKING for one in study.series for job in one.jobs)
    if arriving or working or study.is_used_elsewhere:
        return Obstacle.IN_WORK
    return None


def _of_images(
    series: SeriesFacts, rules: RetentionRules, now: datetime
) -> tuple[Obstacle | None, datetime | None]:
    """Return why the images of a series stay, and until when."""
    for job in series.jobs:
        obstacle = _of_job(job, rules)
        if obstacle is not None:
            return obstacle, None
    analyses = [job for job in series.jobs if job.kind is JobKind.ANALYSIS]
    if series.state is SeriesState.CHOSEN and not any(job.state in _ENDED for job in analyses):
        return Obstacle.IN_WORK, None
    if series.committed_at is not None:
        if rules.keep_committed is None:
            return Obstacle.PROMISED, None
        if (until := series.committed_at + rules.keep_committed) > now:
            return Obstacle.PROMISED, until
    until = series.last_received_at + rules.follow_up_window
    if _image_rule(series) is AgeRule.ANALYSED and until > now:
        return Obstacle.BASELINE, until
    return None, None


def _of_job(job: JobFacts, rules: RetentionRules) -> Obstacle | None:
    """Return what the end of a job is still waited for by."""
    obstacle = None if job.result is None else _of_results(job.result, rules)
    if obstacle is not None:
        return obstacle
    if job.state is JobState.FAILED:
        return Obstacle.FAILED
    return Obstacle.UNDELIVERED if job.state is JobState.DELIVERING else None


def _of_results(result: ResultFacts, rules: RetentionRules) -> Obstacle | None:
    if result.undelivered:
        return Obstacle.UNDELIVERED
    if result.uncommitted:
        return Obstacle.UNCOMMITTED
    if not result.deliveries and not rules.has_destinations:
        return Obstacle.NOWHERE
    return None


def _image_rule(series: SeriesFacts) -> AgeRule:
    analyses = [job.state for job in series.jobs if job.kind is JobKind.ANALYSIS]
    if JobState.REJECTED in analyses and JobState.DELIVERED not in analyses:
        return AgeRule.REJECTED
    return AgeRule.ANALYSED if analyses else AgeRule.SET_ASIDE


def _ends(job: JobFacts) -> tuple[datetime, ...]:
    """Return the moments at which something about a job came to its end."""
    if job.result is None:
        return (job.ended_at,)
    accepted_at = job.result.last_accepted_at
    return (job.ended_at, job.result.created_at, *([accepted_at] if accepted_at else []))
