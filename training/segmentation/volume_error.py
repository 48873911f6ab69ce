"""Fitting the error of a bundle's volumes on patients that its network has not seen.

See `pipeline.volume_error` for the method. One patient gives one residual, the largest of the
scans, so that patients with many scans do not count more than others and scans of one patient,
which resemble one another, are never taken for independent ones; the range then holds the volumes
of all scans of a new patient at once.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.measurement import volume_ml
from pipeline.model_card import ModelCard
from pipeline.segmentation.segmenter import Segmenter
from pipeline.volume import HematomaMask
from pipeline.volume_error import LEVEL, VolumeError, conformal_rank
from training.cohort.case import IGNORED, Case
from training.segmentation.evaluation import volume_of

#: Floor of a scale where the card drops no part for its size: 0.1 mL.
LEAST_FLOOR_ML = 0.1

#: Enough patients for a range of 95 %; see `pipeline.volume_error.conformal_rank`.
_ENOUGH = 19


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeResidual:
    """How far the volume of one scan was off, in which the network found a hematoma.

    Attributes
    ----------
    patient_id : str
        Whose scan it is.
    found_ml, true_ml : float
        Volumes over the voxels whose truth is known.
    scale_ml : float
        How much the volume hangs on the cutoff; positive.
    """

    patient_id: str
    found_ml: float
    true_ml: float
    scale_ml: float

    @property
    def normalised(self) -> float:
        """Error in multiples of the scale."""
        return abs(self.found_ml - self.true_ml) / self.scale_ml


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeCoverage:
    """How often ranges held the true volumes, counted in patients.

    Attributes
    ----------
    covered, patients : int
        Patients of whom every range held the truth, and all.
    low_95, high_95 : float
        Exact interval of the share (Clopper and Pearson, Biometrika 26 (1934) 404-413).
    median_reach_ml : float
        Half width of the ranges, median over patients.
    """

    covered: int
    patients: int
    low_95: float
    high_95: float
    median_reach_ml: float


def floor_of(card: ModelCard) -> float:
    """Return the floor of the scale: the smallest part that the model shows at all.

    A model that drops parts below a size cannot vouch for its volume more finely than that.
    """
    return max(card.minimum_component_ml or 0.0, LEAST_FLOOR_ML)


def unit_card(card: ModelCard) -> ModelCard:
    """Return the card with an error whose ranges reach exactly one scale to either side."""
    unit = VolumeError(
        quantile=1.0, floor_ml=floor_of(card), patients=_ENOUGH, cohort="none, only the scale"
    )
    return dataclasses.replace(card, volume_error=unit)


def residuals(segmenter: Segmenter, cases: Iterable[Case]) -> Iterator[VolumeResidual | None]:
    """Yield one residual per case, from the whole way; None where nothing was found.

    Parameters
    ----------
    segmenter : Segmenter
        Made with the `unit_card` of its bundle.
    cases : iterable of Case
        Prepared cases of patients that the network has not seen.
    """
    for case in cases:
        yield _residual(segmenter, case)


def _residual(segmenter: Segmenter, case: Case) -> VolumeResidual | None:
    volume = volume_of(case)
    found = segmenter.segment(volume)
    if found.volume_range is None:
        return None
    known = case.label_zyx != IGNORED
    whole_ml = volume_ml(found.hematoma)
    known_ml, true_ml = (
        volume_ml(HematomaMask(voxels_zyx=voxels, grid=volume.grid))
        for voxels in (found.hematoma.voxels_zyx & known, case.label_zyx == 1)
    )
    return VolumeResidual(
        patient_id=case.patient_id,
        found_ml=known_ml,
        true_ml=true_ml,
        scale_ml=found.volume_range.high_ml - whole_ml,
    )


def fit_volume_error(
    found: Sequence[VolumeResidual], *, floor_ml: float, cohort: str
) -> VolumeError:
    """Return the error whose quantile is the residual of rank ceil((n + 1) * 0.95) of n patients.

    Parameters
    ----------
    found : sequence of VolumeResidual
        Of patients that the network has not seen.
    floor_ml : float
        Floor that their scales were made with.
    cohort : str
        Who they are.

    Raises
    ------
    ValueError
        If the patients are too few for the level.
    """
    worst = sorted(residual.normalised for residual in _worst_of_patients(found))
    return VolumeError(
        quantile=worst[conformal_rank(len(worst), LEVEL) - 1],
        floor_ml=floor_ml,
        patients=len(worst),
        cohort=cohort,
    )


def coverage(error: VolumeError, found: Sequence[VolumeResidual]) -> RangeCoverage:
    """Return how often ranges held the truth in patients that they were not fitted on.

    Raises
    ------
    ValueError
        If there are no patients.
    """
    return _counted([(one, error.quantile) for one in _worst_of_patients(found)])


def leave_one_out_coverage(found: Sequence[VolumeResidual]) -> RangeCoverage:
    """Return the coverage of each patient by the quantile of all others.

    Raises
    ------
    ValueError
        If the others are too few for the level.
    """
    patients = _worst_of_patients(found)
    # the quantile of the others is the residual of this rank among them
    rank = conformal_rank(len(patients) - 1, LEVEL)
    judged = []
    for left_out in patients:
        others = sorted(one.normalised for one in patients if one is not left_out)
        judged.append((left_out, others[rank - 1]))
    return _counted(judged)


def _worst_of_patients(found: Sequence[VolumeResidual]) -> list[VolumeResidual]:
    """Return the largest residual of each patient."""
    worst: dict[str, VolumeResidual] = {}
    for one in found:
        known = worst.get(one.patient_id)
        if known is None or one.normalised > known.normalised:
            worst[one.patient_id] = one
    return list(worst.values())


def _counted(judged: Sequence[tuple[VolumeResidual, float]]) -> RangeCoverage:
    """Return the coverage of patients, each with the quantile that it was judged by."""
    from scipy.stats import binomtest  # type: ignore[import-untyped] # scipy ships no types

    if not judged:
        raise ValueError("Coverage needs at least one patient, got none")
    covered = sum(one.normalised <= quantile for one, quantile in judged)
    interval = binomtest(covered, len(judged)).proportion_ci(0.95, method="exact")
    return RangeCoverage(
        covered=covered,
        patients=len(judged),
        low_95=float(interval.low),
        high_95=float(interval.high),
        median_reach_ml=float(np.median([quantile * one.scale_ml for one, quantile in judged])),
    )
