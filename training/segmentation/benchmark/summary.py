"""What the rows of a benchmark say about each contestant, and about each against a reference."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from pipeline.statistics.estimate import Estimate
from training.evaluation.agreement import BlandAltman, bland_altman, volume_icc
from training.evaluation.bootstrap import bootstrap_mean, bootstrap_statistic
from training.evaluation.paired import PairedComparison, compare_paired, holm
from training.segmentation.benchmark.contest import Finished
from training.segmentation.benchmark.contestant import Contestant
from training.segmentation.benchmark.scan_row import ScanRow

#: Measures that are compared in pairs, over scans with hematoma; a missed one has Dice 0 and,
#: as distance, the diagonal of the scan.
PAIRED_MEASURES: MappingProxyType[str, Callable[[ScanRow], float]] = MappingProxyType(
    {
        "dice": lambda row: row.score.dice or 0.0,
        "iou": lambda row: row.score.iou or 0.0,
        "hd95_mm": lambda row: row.score.hd95_mm or 0.0,
        "absolute_error_ml": lambda row: abs(row.score.error_ml),
    }
)

#: Fewer scans have no limits of agreement.
_FEWEST = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Versus:
    """A contestant against the reference in one measure.

    Attributes
    ----------
    comparison : PairedComparison
        Contestant minus reference.
    p_holm : float
        The p-value corrected for the number of contestants.
    """

    comparison: PairedComparison
    p_holm: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ContestantSummary:
    """How one contestant did. Means have 95 % intervals by a bootstrap over patients.

    Attributes
    ----------
    contestant : Contestant
        Who.
    scans, bleeding_scans, missed : int
        Scans, those with hematoma, and those of them in which nothing at all was found.
    measures : mapping of str to Estimate
        Means of `PAIRED_MEASURES` over scans with hematoma.
    medians : mapping of str to float
        Their medians.
    limits : BlandAltman or None
        Bias and limits of the volume, mL, over scans with hematoma.
    icc : Estimate or None
        ICC(2,1) of the volume over scans with hematoma.
    lesion_sensitivity : Estimate or None
        Share of true lesions that were found.
    false_lesions : Estimate
        False lesions per scan, over all scans.
    false_alarms, quiet_scans : int
        Scans without hematoma in which one was found, and how many there are.
    parameters : int
        Numbers learnt.
    seconds, peak_memory_mb : float
        Median time and highest memory per volume.
    training_seconds : float or None
        What the training took.
    training_iterations : int or None
        Optimiser steps of the training.
    versus : mapping of str to Versus
        Against the reference, by measure; empty for the reference itself.
    """

    contestant: Contestant
    scans: int
    bleeding_scans: int
    missed: int
    measures: Mapping[str, Estimate]
    medians: Mapping[str, float]
    limits: BlandAltman | None
    icc: Estimate | None
    lesion_sensitivity: Estimate | None
    false_lesions: Estimate
    false_alarms: int
    quiet_scans: int
    parameters: int
    seconds: float
    peak_memory_mb: float
    training_seconds: float | None
    training_iterations: int | None
    versus: Mapping[str, Versus] = field(default_factory=dict)


def summarise(
    finished: Sequence[Finished], *, reference: str, seed: int = 0, draws: int = 2000
) -> list[ContestantSummary]:
    """Return one summary per contestant, in their order.

    Parameters
    ----------
    finished : sequence of Finished
        All on the same scans.
    reference : str
        Whom the others are compared with; nobody is, if it is not among them.
    seed, draws : int
        Of the bootstrap.
    """
    against = _comparisons(finished, reference=reference, seed=seed, draws=draws)
    return [
        _summary(one, against.get(one.contestant.name, {}), seed=seed, draws=draws)
        for one in finished
    ]


def bleeding(rows: Sequence[ScanRow]) -> list[ScanRow]:
    """Return the rows of scans with hematoma."""
    return [row for row in rows if row.score.true_ml > 0]


def _summary(
    one: Finished, versus: Mapping[str, Versus], *, seed: int, draws: int
) -> ContestantSummary:
    rows = bleeding(one.rows)
    quiet = [row for row in one.rows if row.score.true_ml == 0]
    measured = [row.score.predicted_ml for row in rows]
    true = [row.score.true_ml for row in rows]
    patients = [row.score.patient_id for row in rows]
    enough = len(rows) >= _FEWEST and len(set(true)) > 1
    training = one.training
    return ContestantSummary(
        contestant=one.contestant,
        scans=len(one.rows),
        bleeding_scans=len(rows),
        missed=sum(row.score.predicted_ml == 0 for row in rows),
        measures={
            name: _mean([of(row) for row in rows], patients, seed=seed, draws=draws)
            for name, of in PAIRED_MEASURES.items()
            if rows
        },
        medians={
            name: median(of(row) for row in rows) for name, of in PAIRED_MEASURES.items() if rows
        },
        limits=bland_altman(measured, true, patients, seed=seed, draws=draws) if enough else None,
        icc=volume_icc(measured, true, patients, seed=seed, draws=draws) if enough else None,
        lesion_sensitivity=_lesion_sensitivity(one.rows, seed=seed, draws=draws),
        false_lesions=_mean(
            [float(row.score.lesions.false) for row in one.rows],
            [row.score.patient_id for row in one.rows],
            seed=seed,
            draws=draws,
        ),
        false_alarms=sum(row.score.predicted_ml > 0 for row in quiet),
        quiet_scans=len(quiet),
        parameters=one.parameters,
        seconds=median(row.seconds for row in one.rows),
        peak_memory_mb=max(row.peak_memory_mb for row in one.rows),
        training_seconds=training.seconds if training else None,
        training_iterations=training.iterations if training else None,
        versus=versus,
    )


def _mean(values: Sequence[float], patients: Sequence[str], *, seed: int, draws: int) -> Estimate:
    found = bootstrap_mean(values, patients, rng=np.random.default_rng(seed), draws=draws)
    return Estimate(value=found.mean, low=found.low, high=found.high)


def _lesion_sensitivity(rows: Sequence[ScanRow], *, seed: int, draws: int) -> Estimate | None:
    """Return the share of all true lesions that were found, None where there is none."""
    true = np.array([row.score.lesions.true for row in rows])
    found = np.array([row.score.lesions.found for row in rows])
    if not true.any():
        return None

    def share(cases: NDArray[np.intp]) -> float | None:
        total = int(true[cases].sum())
        return float(found[cases].sum()) / total if total else None

    patients = [row.score.patient_id for row in rows]
    return bootstrap_statistic(share, patients, rng=np.random.default_rng(seed), draws=draws)


def _comparisons(
    finished: Sequence[Finished], *, reference: str, seed: int, draws: int
) -> dict[str, dict[str, Versus]]:
    """Return each contestant's comparisons with the reference, by name and measure."""
    rows_of = {one.contestant.name: bleeding(one.rows) for one in finished}
    base = rows_of.pop(reference, None)
    if not base:
        return {}
    patients = [row.score.patient_id for row in base]
    against: dict[str, dict[str, Versus]] = {name: {} for name in rows_of}
    for measure, of in PAIRED_MEASURES.items():
        compared = {
            name: compare_paired(
                [of(row) for row in rows],
                [of(row) for row in base],
                patients,
                rng=np.random.default_rng(seed),
                draws=draws,
            )
            for name, rows in rows_of.items()
        }
        corrected = holm({name: found.p_value for name, found in compared.items()})
        for name, found in compared.items():
            against[name][measure] = Versus(comparison=found, p_holm=corrected[name])
    return against
