"""The fitted error of a segmentation's volume, and the range that follows from it.

The range is a split-conformal prediction interval [1]_ [2]_ with a scale of its own for every
scan (locally weighted conformal inference, section 5.2 of [2]_): how much the volume would change
if the network's probability were read more strictly or more generously. On patients that the
network has not seen, the error of the volume is divided by that scale; a high quantile of these
residuals, corrected for the finite number of patients, times the scale of a new scan gives the
range. It holds the true volume with at least the stated probability as long as the new patient
is drawn like those that it was fitted on, whatever the errors' distribution and however bad the
network; it promises nothing for patients of another kind, and nothing about scans in which the
network found no hematoma, from which none is fitted.

References
----------
.. [1] V. Vovk, A. Gammerman, G. Shafer, "Algorithmic Learning in a Random World", Springer 2005.
.. [2] J. Lei, M. G'Sell, A. Rinaldo, R. J. Tibshirani, L. Wasserman, "Distribution-Free
   Predictive Inference for Regression", JASA 113 (2018) 1094-1111.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import GeometryError
from pipeline.finding import VolumeRange
from pipeline.measurement import volume_ml
from pipeline.volume import HematomaMask, occupied_box

#: Probabilities between which the volume of a hematoma is in doubt: what only a tenth would call
#: hematoma, and what only a tenth would not. The usual way to state a spread by its 10th and 90th
#: percentile; a fitted quantile stands for the pair it was fitted with, which is on the card.
OUTER_PROBABILITY, INNER_PROBABILITY = 0.1, 0.9

#: Below this probability, or so near to 1, the entropy of a voxel is under 1.5e-5 nats.
_SURE = 1e-6

#: Probability with which a range holds the true volume. Fixed: every sentence says 95 %.
LEVEL = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeError:
    """How far volumes of one model were off, as fitted on patients that it had not seen.

    Attributes
    ----------
    quantile : float
        Residual in multiples of the scale, at `LEVEL` with the finite-sample correction.
    floor_ml : float
        Added to every scale, so that a sharp probability does not promise a perfect volume.
    outer_probability, inner_probability : float
        Levels of the probability map whose volumes make the scale.
    patients : int
        Patients that the quantile was fitted on.
    cohort : str
        Who they were.

    Raises
    ------
    ValueError
        If a number is impossible, the cohort is not named, or the patients are too few for the
        level: n patients can vouch for n / (n + 1) at most.
    """

    quantile: float
    floor_ml: float
    outer_probability: float = OUTER_PROBABILITY
    inner_probability: float = INNER_PROBABILITY
    patients: int
    cohort: str

    def __post_init__(self) -> None:
        check_fit(
            quantile=self.quantile,
            floor_ml=self.floor_ml,
            patients=self.patients,
            cohort=self.cohort,
        )
        if not 0 < self.outer_probability < self.inner_probability < 1:
            raise ValueError(
                f"Probabilities rise within (0, 1), got {self.outer_probability} and "
                f"{self.inner_probability}"
            )

    def range_of(self, volume: float, *, scale_ml: float) -> VolumeRange:
        """Return the range round a measured volume in mL; its lower end is never negative."""
        return range_around(volume, self.quantile * scale_ml)


def check_fit(*, quantile: float, floor_ml: float, patients: int, cohort: str) -> None:
    """Refuse what no fit of residuals can have given.

    Raises
    ------
    ValueError
        If a number is impossible, the cohort is not named, or the patients are too few.
    """
    if not (0 <= quantile < math.inf and 0 < floor_ml < math.inf):
        raise ValueError(
            f"Quantile and floor must be finite, the floor positive, got {quantile} "
            f"and {floor_ml} mL"
        )
    conformal_rank(patients, LEVEL)
    if not cohort:
        raise ValueError("A fitted error names its cohort, got none")


def range_around(volume: float, reach: float) -> VolumeRange:
    """Return the range of so many mL to either side of a volume; it begins at 0 mL at least."""
    return VolumeRange(low_ml=max(0.0, volume - reach), high_ml=volume + reach, level=LEVEL)


def conformal_rank(patients: int, level: float) -> int:
    """Return which of the ascending residuals is the quantile: ceil((n + 1) * level).

    With n exchangeable residuals the next one exceeds that of rank k with probability
    1 - k / (n + 1) at most (Lei et al. 2018, section 2.2).

    Raises
    ------
    ValueError
        If the level is no probability, or the patients are too few for it.
    """
    if not 0 < level < 1:
        raise ValueError(f"The level of a range lies in (0, 1), got {level}")
    # 20 * 0.95 must be 19, not 19.000000000000004
    rank = math.ceil(round((patients + 1) * level, 9))
    if rank > patients:
        needed = math.ceil(round(level / (1 - level), 9))
        raise ValueError(
            f"A range of {level:.0%} needs at least {needed} patients, got {patients}"
        )
    return rank


def volume_scale_ml(
    probability_zyx: NDArray[np.float32],
    hematoma: HematomaMask,
    *,
    floor_ml: float,
    outer_probability: float = OUTER_PROBABILITY,
    inner_probability: float = INNER_PROBABILITY,
) -> float:
    """Return how much the volume hangs on the cutoff: half the spread between two levels.

    The inner volume counts voxels of the hematoma from the inner probability on; the outer
    one counts the connected parts (26 neighbours) above the outer probability that hold a voxel of
    the hematoma, and the hematoma itself. What the network suspects elsewhere does not count.

    Parameters
    ----------
    probability_zyx : ndarray of float32, shape (Z, Y, X)
        Probability of hematoma.
    hematoma : HematomaMask
        What was called hematoma.
    floor_ml : float
        Added to the spread.
    outer_probability, inner_probability : float
        The levels.

    Returns
    -------
    float
        Millilitres, at least `floor_ml`.

    Raises
    ------
    GeometryError
        If the probability has another shape than the mask.
    """
    if probability_zyx.shape != hematoma.voxels_zyx.shape:
        raise GeometryError(
            f"Probability has shape {probability_zyx.shape}, its mask {hematoma.voxels_zyx.shape}"
        )
    kept = hematoma.voxels_zyx
    outer = _parts_with(kept, kept | (probability_zyx >= outer_probability))
    inner = kept & (probability_zyx >= inner_probability)
    outer_ml, inner_ml = (
        volume_ml(HematomaMask(voxels_zyx=voxels, grid=hematoma.grid)) for voxels in (outer, inner)
    )
    return (outer_ml - inner_ml) / 2 + floor_ml


def binary_entropy(probability_zyx: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the entropy -p ln p - (1 - p) ln(1 - p) of each voxel in nats, float32.

    0 where the network is sure, which is said of what lies below 1.5e-5 nats; ln 2 = 0.693 where
    it knows nothing.
    """
    entropy = np.zeros_like(probability_zyx, dtype=np.float32)
    # Most of a picture is air and bone; logarithms of such voxels would be seconds of waste.
    unsure = (probability_zyx > _SURE) & (probability_zyx < 1 - _SURE)
    p = probability_zyx[unsure].astype(np.float32)
    entropy[unsure] = -(p * np.log(p) + (1 - p) * np.log1p(-p))
    return entropy


def _parts_with(seed_zyx: NDArray[np.bool_], wide_zyx: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the connected parts of the wide mask that hold a voxel of the seed."""
    from scipy import ndimage  # type: ignore[import-untyped] # scipy ships no types

    found = np.zeros_like(wide_zyx)
    box = occupied_box(wide_zyx)
    if box is not None:
        labels, count = ndimage.label(wide_zyx[box], structure=np.ones((3, 3, 3), dtype=bool))
        keep = np.zeros(count + 1, dtype=bool)
        keep[labels[seed_zyx[box]]] = True
        found[box] = keep[labels]
    return found
