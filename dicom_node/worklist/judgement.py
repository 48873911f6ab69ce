"""What is to be done about a workitem, from where its images stand in the line. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from dicom_node.jobs.state import JobState, SeriesState
from dicom_node.jobs.workitem_standing import InputStanding
from dicom_node.jobs.worklist_ledger import InputSeries
from dicom_node.results.workitem_codes import Discontinuation

#: How far an analysis is, for people who wait: percent and words.
_PROGRESS: Final = {
    JobState.QUEUED: (25, "waiting for analysis"),
    JobState.WITHDRAWN: (10, "receiving images"),
    JobState.ANALYZING: (50, "analysing"),
    JobState.DELIVERING: (80, "delivering results"),
}

#: From here on a result is on its way, and a cancellation comes too late.
_BEGUN: Final = frozenset({JobState.ANALYZING, JobState.DELIVERING, JobState.DELIVERED})

_MISSING: Final = (0, "waiting for images")
_RECEIVING: Final = (10, "receiving images")

_HALF_FETCHED: Final = "the images could not be fetched to the last one"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Time will tell; `percent` and `words` say how far it is."""

    percent: int
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetch:
    """These series are to be fetched."""

    series: tuple[InputSeries, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Complete:
    """All results of these result sets are delivered."""

    result_sets: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Discontinue:
    """There will be no results; `requested` if somebody asked for that."""

    code: Discontinuation
    words: str
    requested: bool = False


Judgement = Wait | Fetch | Complete | Discontinue


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A workitem as far as it matters here.

    Attributes
    ----------
    inputs : sequence of InputSeries
        What it is about.
    standing : sequence of InputStanding
        What of it is here.
    claimed_at : datetime
        Since when the node has it.
    can_fetch : bool
        Whether images can be fetched and have not been.
    was_broken_off : bool
        Whether a fetch began and did not end: what is here of a series may be half of it.
    cancel_reason : str
        Why it is to be cancelled; empty if nobody wants that.
    """

    inputs: Sequence[InputSeries]
    standing: Sequence[InputStanding]
    claimed_at: datetime
    can_fetch: bool
    was_broken_off: bool = False
    cancel_reason: str = ""


def judge(case: Case, *, images_limit: timedelta, now: datetime) -> Judgement:
    """Return what is to be done now."""
    states = [one.job_state for one in case.standing if one.job_state is not None]
    if case.cancel_reason and not _BEGUN.intersection(states):
        return Discontinue(
            code=Discontinuation.UNSPECIFIED, words=case.cancel_reason, requested=True
        )
    is_late = now - case.claimed_at > images_limit
    if case.can_fetch and case.was_broken_off and not is_late:
        return Fetch(series=tuple(case.inputs))
    if under_way := _under_way(case):
        percent, words = min(under_way)
        return Wait(percent=percent, words=words)
    missing = _missing(case)
    if (missing or case.was_broken_off) and not is_late:
        if case.can_fetch:
            return Fetch(series=missing)
        return Wait(percent=_MISSING[0], words=_MISSING[1])
    return _ending(case)


def _under_way(case: Case) -> list[tuple[int, str]]:
    """Return how far each series is that something is being done about."""
    arriving = {SeriesState.RECEIVING, SeriesState.COMPLETE}
    found = []
    for one in case.standing:
        if one.state in arriving:
            found.append(_RECEIVING)
        elif one.job_state is not None and one.job_state in _PROGRESS:
            found.append(_PROGRESS[one.job_state])
    return found


def _missing(case: Case) -> tuple[InputSeries, ...]:
    here = {one.series_uid for one in case.standing}
    studies = {one.study_uid for one in case.standing}
    return tuple(
        one
        for one in case.inputs
        if (one.series_uid not in here if one.series_uid else one.study_uid not in studies)
    )


def _ending(case: Case) -> Judgement:
    """Return the end of a workitem that nothing more will happen to."""
    if case.was_broken_off:
        return Discontinue(code=Discontinuation.INCOMPLETE, words=_HALF_FETCHED)
    results = tuple(
        one.result_set_id
        for one in case.standing
        if one.job_state is JobState.DELIVERED and one.result_set_id is not None
    )
    if results:
        return Complete(result_sets=results)
    for one in case.standing:
        if one.job_state is JobState.FAILED:
            return Discontinue(code=Discontinuation.EQUIPMENT_FAILURE, words=_words(one))
    for one in case.standing:
        return Discontinue(code=Discontinuation.NOT_SUPPORTED, words=_words(one))
    return Discontinue(code=Discontinuation.INCOMPLETE, words="the images did not come")


def _words(one: InputStanding) -> str:
    return one.job_reason or one.reason or "no analysis"
