"""How far the analysis is of studies that somebody waits for, and what came of it."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from dicom_node.jobs.state import DeliveryState, JobState, SeriesState
from dicom_node.jobs.status import SeriesStatus
from dicom_node.jobs.study_search import StudySearch

_ON_ITS_WAY = (DeliveryState.PENDING, DeliveryState.SENDING)


class Step(StrEnum):
    """How far a series is. The values are shown."""

    AWAITED = "awaited"  #: no image is here
    RECEIVING = "receiving"
    QUEUED = "queued"
    ANALYZING = "analyzing"
    DELIVERING = "delivering"
    DONE = "done"  #: analysed, and sent to whom it is meant for
    NOT_ANALYZED = "not analyzed"  #: set aside or rejected; says why
    FAILED = "failed"  #: an operator must look


_OVER = frozenset({Step.DONE, Step.NOT_ANALYZED, Step.FAILED})

_OF_JOB = {
    JobState.QUEUED: Step.QUEUED,
    JobState.WITHDRAWN: Step.QUEUED,
    JobState.ANALYZING: Step.ANALYZING,
    JobState.DELIVERING: Step.DELIVERING,
    JobState.DELIVERED: Step.DONE,
    JobState.REJECTED: Step.NOT_ANALYZED,
    JobState.FAILED: Step.FAILED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesStanding:
    """How far one series is.

    Attributes
    ----------
    series_uid, study_uid : str
        Which one.
    step : Step
        How far.
    images : int
        How many are here.
    reason : str
        Why it is there, if anything is to be said.
    status : SeriesStatus or None
        All that the ledger knows; None if nothing.
    """

    series_uid: str
    study_uid: str
    step: Step
    images: int = 0
    reason: str = ""
    status: SeriesStatus | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to be waited for."""
        return self.step in _OVER


class Standings:
    """Reads how far studies are. Raises LedgerUnavailableError."""

    def __init__(self, search: StudySearch) -> None:
        self._search = search

    def images(self, studies: Collection[str]) -> dict[str, int]:
        """Return how many images of each series are here that were not purged."""
        return {
            one.series_instance_uid: one.images
            for uid in studies
            for one in self._of(uid)
            if one.purged_at is None
        }

    def of(self, series: Collection[tuple[str, str]]) -> tuple[SeriesStanding, ...]:
        """Return how far series are, each given by its study and its own UID."""
        known = {
            one.series_instance_uid: one
            for study_uid in {study for study, _ in series}
            for one in self._of(study_uid)
        }
        return tuple(
            standing_of(known[uid])
            if uid in known
            else SeriesStanding(series_uid=uid, study_uid=study, step=Step.AWAITED)
            for study, uid in series
        )

    def _of(self, study_uid: str) -> tuple[SeriesStatus, ...]:
        study = self._search.study(study_uid)
        return () if study is None else study.series


def standing_of(status: SeriesStatus) -> SeriesStanding:
    """Return how far a series is, as the ledger has it."""
    step, reason = Step.RECEIVING, status.reason
    if status.state is SeriesState.SET_ASIDE:
        step = Step.NOT_ANALYZED
    elif status.state is SeriesState.CHOSEN and status.job is not None:
        step, reason = _OF_JOB[status.job.state], status.job.reason
        waits = any(one.state in _ON_ITS_WAY for one in status.deliveries)
        if step is Step.DELIVERING and status.deliveries and not waits:
            step, reason = Step.FAILED, "a destination does not have the results"
    return SeriesStanding(
        series_uid=status.series_instance_uid,
        study_uid=status.study_instance_uid,
        step=step,
        images=status.images,
        reason=reason or "",
        status=status,
    )
