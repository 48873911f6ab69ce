"""How far voxel probabilities, and the doubt told with them, can be believed.

Voxels whose truth is unknown are left out; every scan counts, also one in which nothing was
found (the published SLEX-Net code skips those, which flatters it).
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Probabilities are held this far from 0 and 1 for the logarithm; float32 rounds there anyway.
_LEAST_PROBABILITY = 1e-7

#: Shares of removed voxels at which the sparsification is looked at.
_REMOVALS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class ReliabilityBin:
    """Voxels with probabilities in [low, high); the last bin holds 1 as well.

    Attributes
    ----------
    low, high : float
        Limits of the probability of hematoma.
    voxels : int
        How many; with none the other two are NaN.
    mean_probability, hematoma_share : float
        What was promised and what came true.
    """

    low: float
    high: float
    voxels: int
    mean_probability: float
    hematoma_share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class VoxelCalibration:
    """Calibration of the probability of hematoma over the voxels of some scans.

    Attributes
    ----------
    ece : float
        Expected calibration error: mean over the voxels of the distance between promise and
        truth of their bin [1]_.
    brier : float
        Mean squared difference between probability and truth.
    nll : float
        Mean negative log-likelihood in nats, probabilities held 1e-7 away from 0 and 1.
    bins : tuple of ReliabilityBin
        Of equal width.
    voxels, scans, empty_scans : int
        What was counted; in empty scans no voxel reached a probability of one half.

    References
    ----------
    .. [1] C. Guo et al., "On Calibration of Modern Neural Networks", ICML 2017.
    """

    ece: float
    brier: float
    nll: float
    bins: tuple[ReliabilityBin, ...]
    voxels: int
    scans: int
    empty_scans: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UncertaintyPart:
    """The voxels between two ranks of uncertainty.

    Attributes
    ----------
    voxels : int
        How many.
    mean_entropy : float
        In nats.
    error_rate : float
        Share of them that is called wrongly.
    """

    voxels: int
    mean_entropy: float
    error_rate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorVersusUncertainty:
    """Whether the voxels that are called doubtful are those that are called wrongly.

    Attributes
    ----------
    parts : tuple of UncertaintyPart
        From the least to the most uncertain, of nearly equal size; deciles if there are ten.
    error_rate : float
        Over all voxels.
    sparsification_error : float
        Area between the error rate that is left when the most uncertain voxels are removed and
        the one left when the wrong ones are removed first, over all removed shares (AUSE [1]_);
        0 is perfect. Useless doubt leaves the error rate as it is.

    References
    ----------
    .. [1] E. Ilg et al., "Uncertainty Estimates and Multi-Hypotheses Networks for Optical Flow",
       ECCV 2018.
    """

    parts: tuple[UncertaintyPart, ...]
    error_rate: float
    sparsification_error: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CalibrationSums:
    """What `calibrate` needs of one scan, so that scans need not stay in memory.

    Attributes
    ----------
    voxels, probability, hematoma : ndarray of float64, shape (bins,)
        Count, summed probability and summed truth of each bin.
    squared_error, log_loss : float
        Summed over the voxels.
    empty : bool
        Whether no voxel reached a probability of one half.
    """

    voxels: NDArray[np.float64]
    probability: NDArray[np.float64]
    hematoma: NDArray[np.float64]
    squared_error: float
    log_loss: float
    empty: bool


def calibration_sums(
    probability: NDArray[np.floating[Any]],
    truth: NDArray[np.bool_],
    *,
    known: NDArray[np.bool_] | None = None,
    bins: int = 10,
) -> CalibrationSums:
    """Return the sums of one scan.

    Parameters
    ----------
    probability : ndarray
        Of hematoma, in [0, 1].
    truth, known : ndarray of bool, same shape
        Hematoma, and where that is known (None: everywhere). A head mask as `known` leaves out
        the air, whose many easy voxels make every error small.
    bins : int
        Of the reliability diagram.

    Raises
    ------
    ValueError
        If the shapes differ, a probability lies outside [0, 1], or there are no bins.
    """
    if bins < 1:
        raise ValueError(f"At least one bin is needed, got {bins}")
    chance, real = _known_voxels(probability, truth, known)
    if chance.size and not (chance.min() >= 0 and chance.max() <= 1):
        raise ValueError(f"Probabilities lie in [0, 1], got {chance.min()}..{chance.max()}")
    places = np.minimum((chance * bins).astype(np.intp), bins - 1)
    held = np.clip(chance, _LEAST_PROBABILITY, 1 - _LEAST_PROBABILITY)
    return CalibrationSums(
        voxels=np.bincount(places, minlength=bins).astype(np.float64),
        probability=np.bincount(places, weights=chance, minlength=bins).astype(np.float64),
        hematoma=np.bincount(places, weights=real, minlength=bins).astype(np.float64),
        squared_error=float(((chance - real) ** 2).sum()),
        log_loss=float(-np.log(np.where(real, held, 1 - held)).sum()),
        empty=not bool((chance >= 0.5).any()),  # noqa: PLR2004  the more probable class
    )


def calibrate(scans: Sequence[CalibrationSums]) -> VoxelCalibration:
    """Return the calibration over the voxels of all scans together.

    Raises
    ------
    ValueError
        If there is no voxel, or scans were summed with different numbers of bins.
    """
    if len({len(scan.voxels) for scan in scans}) > 1:
        raise ValueError("Scans were summed with different numbers of bins")
    counts = np.sum([scan.voxels for scan in scans], axis=0)
    voxels = int(np.sum(counts))
    if voxels == 0:
        raise ValueError("There is no voxel whose truth is known")
    promised = np.sum([scan.probability for scan in scans], axis=0)
    came = np.sum([scan.hematoma for scan in scans], axis=0)
    edges = np.linspace(0, 1, len(counts) + 1)
    rows = zip(edges[:-1], edges[1:], counts, promised, came, strict=True)
    return VoxelCalibration(
        ece=float(np.abs(promised - came).sum() / voxels),
        brier=sum(scan.squared_error for scan in scans) / voxels,
        nll=sum(scan.log_loss for scan in scans) / voxels,
        bins=tuple(_bin(*map(float, row)) for row in rows),
        voxels=voxels,
        scans=len(scans),
        empty_scans=sum(scan.empty for scan in scans),
    )


def error_versus_uncertainty(
    probability: NDArray[np.floating[Any]],
    entropy: NDArray[np.floating[Any]],
    truth: NDArray[np.bool_],
    *,
    known: NDArray[np.bool_] | None = None,
    parts: int = 10,
) -> ErrorVersusUncertainty:
    """Return how errors at a cutoff of one half go with the uncertainty.

    Among equally uncertain voxels the errors are spread evenly: their order means nothing.
    The voxels of several scans may be given together, joined as lines.

    Parameters
    ----------
    probability, entropy : ndarray
        Of hematoma, and the doubt about it, whatever its unit.
    truth, known : ndarray of bool, same shape
        As in `calibration_sums`.
    parts : int
        Into so many the voxels are divided by their rank; 10 gives deciles.

    Raises
    ------
    ValueError
        If shapes differ or there are fewer voxels than parts.
    """
    chance, real = _known_voxels(probability, truth, known)
    doubt, _ = _known_voxels(entropy, truth, known)
    if parts < 1 or len(chance) < parts:
        raise ValueError(f"{len(chance)} voxels cannot make {parts} parts")
    wrong = (chance >= 0.5) != real  # noqa: PLR2004  the more probable class
    _, group, sizes = np.unique(doubt, return_inverse=True, return_counts=True)
    rates = np.bincount(group, weights=wrong) / sizes
    order = np.argsort(doubt, kind="stable")
    errors, ordered = rates[group][order], doubt[order]
    limits = np.linspace(0, len(errors), parts + 1).round().astype(int)
    return ErrorVersusUncertainty(
        parts=tuple(
            UncertaintyPart(
                voxels=int(stop - start),
                mean_entropy=float(ordered[start:stop].mean()),
                error_rate=float(errors[start:stop].mean()),
            )
            for start, stop in itertools.pairwise(limits)
        ),
        error_rate=float(wrong.mean()),
        sparsification_error=_sparsification_error(errors),
    )


def _known_voxels(
    values: NDArray[np.floating[Any]],
    truth: NDArray[np.bool_],
    known: NDArray[np.bool_] | None,
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return values and truth of the known voxels as two lines."""
    chosen = np.ones(truth.shape, dtype=bool) if known is None else known
    if not values.shape == truth.shape == chosen.shape:
        raise ValueError(f"Shapes differ: {values.shape}, {truth.shape}, {chosen.shape}")
    return values[chosen].astype(np.float64), truth[chosen].astype(bool)


def _bin(low: float, high: float, count: float, promised: float, came: float) -> ReliabilityBin:
    return ReliabilityBin(
        low=low,
        high=high,
        voxels=int(count),
        mean_probability=promised / count if count else float("nan"),
        hematoma_share=came / count if count else float("nan"),
    )


def _sparsification_error(errors: NDArray[np.float64]) -> float:
    """Return the area between the curve of errors sorted by doubt and the best one possible."""
    count = len(errors)
    kept = count - np.arange(_REMOVALS) * count // _REMOVALS
    total = errors.sum()
    left = np.cumsum(errors)[kept - 1] / kept
    # Wrong voxels removed first: none is left once as many are gone as there were wrong ones.
    best = np.maximum(total - (count - kept), 0) / kept
    shares = 1 - kept / count
    return float(np.trapezoid(left - best, shares))
