"""How drift went over time: the same judgement at earlier moments."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from dicom_node.jobs.pairs import AnalysisEntry
from dicom_node.watch.drift import WATCHED, drift_of
from dicom_node.watch.rules import WatchRules
from pipeline.training_statistics import Measure, TrainingStatistics, Trait

#: Moments that are looked at: enough for a line, few enough for a page.
_MOMENTS = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftPoint:
    """How far something had moved at one moment.

    Attributes
    ----------
    at : datetime
        When the last analysis of the window ended.
    psi : float
        Population stability index.
    """

    at: datetime
    psi: float


def drift_history(
    analyses: Sequence[AnalysisEntry],
    rules: WatchRules,
    *,
    statistics: Sequence[TrainingStatistics],
) -> Mapping[Measure | Trait, tuple[DriftPoint, ...]]:
    """Return the indices of up to two dozen moments, the oldest first.

    What could not be judged at a moment has no point there.
    """
    found: dict[Measure | Trait, list[DriftPoint]] = {what: [] for what in WATCHED}
    step = max(len(analyses) // _MOMENTS, 1)
    for end in range(len(analyses), rules.minimum - 1, -step):
        for one in drift_of(analyses[:end], rules, statistics=statistics):
            if one.shift is not None:
                at = analyses[end - 1].finished_at
                found[one.what].append(DriftPoint(at=at, psi=one.shift.psi))
    return {what: tuple(reversed(points)) for what, points in found.items()}
