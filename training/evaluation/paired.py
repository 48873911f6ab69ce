"""The comparison of two ways to segment the same patients."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats  # type: ignore[import-untyped]  # scipy ships no types

from pipeline.statistics.estimate import Estimate
from training.evaluation.bootstrap import bootstrap_mean


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedComparison:
    """How one way differs from a reference on the same patients.

    Attributes
    ----------
    difference : Estimate
        Mean over patients of value minus reference, with its 95 % bootstrap interval.
    p_value : float
        Two-sided Wilcoxon signed-rank test on the patients' means.
    patients : int
        How many patients were compared.
    """

    difference: Estimate
    p_value: float
    patients: int


def compare_paired(
    values: Sequence[float],
    reference: Sequence[float],
    patients: Sequence[str],
    *,
    rng: np.random.Generator,
    draws: int = 2000,
) -> PairedComparison:
    """Return how values differ from a reference, scan by scan the same, patient by patient.

    A patient counts once, with the mean over their scans, however many scans there are.

    Raises
    ------
    ValueError
        If there are no values or their numbers differ.
    """
    if len(values) != len(reference):
        raise ValueError(f"{len(values)} values cannot be paired with {len(reference)}")
    means = patient_means(np.subtract(values, reference).tolist(), patients)
    differences = list(means.values())
    found = bootstrap_mean(differences, list(means), rng=rng, draws=draws)
    return PairedComparison(
        difference=Estimate(value=found.mean, low=found.low, high=found.high),
        p_value=signed_rank_p_value(np.array(differences)),
        patients=len(means),
    )


def patient_means(values: Sequence[float], patients: Sequence[str]) -> dict[str, float]:
    """Return each patient's mean over their scans.

    Raises
    ------
    ValueError
        If there is not one patient for each value.
    """
    groups: dict[str, list[float]] = defaultdict(list)
    for value, patient in zip(values, patients, strict=True):
        groups[patient].append(value)
    return {patient: float(np.mean(group)) for patient, group in groups.items()}


def signed_rank_p_value(differences: NDArray[np.float64]) -> float:
    """Return the two-sided p-value of Wilcoxon's signed-rank test; 1 if nothing differs.

    Equal pairs are left out, as Wilcoxon did.
    """
    differing = differences[differences != 0]
    if not len(differing):
        return 1.0
    return float(stats.wilcoxon(differing).pvalue)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Return p-values corrected for their number by Holm's step-down method.

    References
    ----------
    .. [1] S. Holm, "A simple sequentially rejective multiple test procedure", Scand. J. Stat. 6
       (1979) 65-70.
    """
    corrected: dict[str, float] = {}
    highest = 0.0
    for rank, (name, value) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        highest = max(highest, min(1.0, value * (len(p_values) - rank)))
        corrected[name] = highest
    return {name: corrected[name] for name in p_values}
