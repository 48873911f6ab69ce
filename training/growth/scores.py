"""How well a forecast fits the follow-up: overlap of the growth, of the lesion, and volumes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage  # type: ignore[import-untyped]  # scipy ships no types

from training.evaluation.scores import dice
from training.growth.pair import GrowthPair


@dataclass(frozen=True, slots=True, kw_only=True)
class GrowthScore:
    """One patient's forecast against the follow-up, on the common grid.

    Attributes
    ----------
    patient_id : str
        Who was tested.
    growth_dice : float or None
        Overlap of forecast less baseline with follow-up less baseline; None if both are empty.
    lesion_dice : float or None
        Overlap of the whole masks.
    baseline_ml, follow_up_ml, forecast_ml : float
        Volumes.
    folding : float
        Share of voxels where the field folds, in [0, 1]; 0 where there is no field.
    """

    patient_id: str
    growth_dice: float | None
    lesion_dice: float | None
    baseline_ml: float
    follow_up_ml: float
    forecast_ml: float
    folding: float = 0.0

    @property
    def error_ml(self) -> float:
        """Forecast minus true volume: negative where too little growth was foretold."""
        return self.forecast_ml - self.follow_up_ml


def score_forecast(
    pair: GrowthPair, forecast_zyx: NDArray[np.bool_], *, folding: float = 0.0
) -> GrowthScore:
    """Return the score of a forecast.

    Raises
    ------
    ValueError
        If the pair is synthetic: nothing is judged on those.
    """
    if pair.is_synthetic:
        raise ValueError(f"Pair {pair.patient_id} is synthetic: such pairs are for training alone")
    before = pair.baseline_zyx
    return GrowthScore(
        patient_id=pair.patient_id,
        growth_dice=dice(forecast_zyx & ~before, pair.ring_zyx),
        lesion_dice=dice(forecast_zyx, pair.follow_up_zyx),
        baseline_ml=pair.baseline_ml,
        follow_up_ml=pair.follow_up_ml,
        forecast_ml=int(np.count_nonzero(forecast_zyx)) * pair.voxel_ml,
        folding=folding,
    )


def even_growth(pair: GrowthPair, ratio: float) -> NDArray[np.bool_]:
    """Return the baseline grown evenly within the brain to `ratio` times its volume.

    The plainest forecast there is, for comparison: every hematoma grows by the mean ratio of the
    training patients, by the same way in all directions.

    Parameters
    ----------
    pair : GrowthPair
        Whose baseline grows.
    ratio : float
        Follow-up volume over baseline volume; below 1 counts as 1.
    """
    mask = pair.baseline_zyx
    distance = ndimage.distance_transform_edt(~mask, sampling=pair.spacing_zyx_mm)
    wanted = round(max(ratio, 1.0) * np.count_nonzero(mask))
    brain = np.flatnonzero(pair.brain_zyx | mask)
    nearest = brain[np.argsort(distance.ravel()[brain], kind="stable")[:wanted]]
    grown = mask.copy()
    grown.ravel()[nearest] = True
    return grown
