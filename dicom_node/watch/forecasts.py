"""Forecasts of the hematoma at follow-up beside what was measured, where it expanded."""

from collections.abc import Iterable
from dataclasses import dataclass

from dicom_node.watch.outcomes import Outcome
from pipeline.statistics.estimate import Estimate
from pipeline.statistics.proportion import wilson


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastScores:
    """How far forecasts were off. A forecast holds if the hematoma expands; others do not count.

    Attributes
    ----------
    patients : int
        With a forecast and an expansion.
    error_ml, absolute_error_ml : float
        Means of forecast minus measured volume, and of its size.
    within_range, with_range : int
        How many measured volumes lie within the forecast's range, of how many that have one.
    coverage : Estimate or None
        Their share with Wilson's interval; None without any range.
    """

    patients: int
    error_ml: float
    absolute_error_ml: float
    within_range: int
    with_range: int
    coverage: Estimate | None


def forecast_scores(outcomes: Iterable[Outcome]) -> ForecastScores | None:
    """Return how far forecasts of the last growth model were off, None if none can be judged.

    `outcomes` has the earliest prediction first; models are not counted together.
    """
    judged = [
        (one.forecast, one.follow_up_ml)
        for one in outcomes
        if one.expanded and one.forecast is not None and one.follow_up_ml is not None
    ]
    if not judged:
        return None
    last = judged[-1][0].model
    judged = [(forecast, measured) for forecast, measured in judged if forecast.model == last]
    errors = [forecast.volume_ml - measured for forecast, measured in judged]
    held = [
        forecast.low_ml <= measured <= forecast.high_ml
        for forecast, measured in judged
        if forecast.low_ml is not None and forecast.high_ml is not None
    ]
    return ForecastScores(
        patients=len(judged),
        error_ml=sum(errors) / len(errors),
        absolute_error_ml=sum(map(abs, errors)) / len(errors),
        within_range=sum(held),
        with_range=len(held),
        coverage=wilson(sum(held), len(held)) if held else None,
    )
