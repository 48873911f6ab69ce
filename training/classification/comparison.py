"""Several classifiers on the same patients: who ranks better, and whose doubt can be believed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.statistics.delong import delong
from pipeline.statistics.estimate import Estimate
from training.classification.evaluation import Evaluation
from training.evaluation.bootstrap import bootstrap_statistic

#: Name of the reader who knows all visible signs of simulated cases.
IDEAL = "ideal reader"


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedClassifier:
    """One classifier beside the others.

    Attributes
    ----------
    name : str
        Its name.
    auc : Estimate
        With DeLong's interval.
    lead : Estimate or None
        By how much its AUC exceeds that of the first classifier, DeLong; None for the first.
    p_value : float or None
        Of the lead being nothing, two-sided.
    brier : Estimate
        Mean squared distance of probability and outcome; bootstrap over patients.
    error : Estimate or None
        Root mean square distance from the ideal reader's probability; simulated cases only.
    doubt_ranks_error : Estimate or None
        Spearman's correlation of the spread with that distance: 1 where doubt grows with
        error, 0 where it tells nothing. None without a spread or an ideal reader.
    """

    name: str
    auc: Estimate
    lead: Estimate | None
    p_value: float | None
    brier: Estimate
    error: Estimate | None
    doubt_ranks_error: Estimate | None


def compare(
    found: Mapping[str, Evaluation],
    *,
    seed: int = 0,
    draws: int = 2000,
) -> list[ComparedClassifier]:
    """Return the classifiers side by side, and last the ideal reader where there is one.

    Parameters
    ----------
    found : mapping of str to Evaluation
        Opinions on the same cases in the same order, by the classifier's name.
    seed, draws : int
        Of the bootstrap over patients.

    Raises
    ------
    ValueError
        If the classifiers judged different cases, or an outcome has fewer than two.
    """
    first = next(iter(found.values()))
    if any(one.case_ids != first.case_ids for one in found.values()):
        raise ValueError("Only opinions on the same cases can be compared")
    ideal = first.ideal
    opinions = {name: one.probabilities for name, one in found.items()}
    spreads = {name: one.spread for name, one in found.items()}
    if ideal is not None:
        opinions[IDEAL], spreads[IDEAL] = ideal, None
    areas = delong(first.expanded, np.stack(list(opinions.values())))

    def over_patients(values: NDArray[np.float64]) -> Estimate:
        return _mean(values, first.patient_ids, seed=seed, draws=draws)

    rows = []
    for number, (name, said) in enumerate(opinions.items()):
        away = None if ideal is None or name == IDEAL else np.abs(said - ideal)
        spread = spreads[name]
        rows.append(
            ComparedClassifier(
                name=name,
                auc=areas.interval(number),
                lead=areas.difference(number, 0) if number else None,
                p_value=areas.p_value(number, 0) if number else None,
                brier=over_patients((said - first.expanded) ** 2),
                error=None if away is None else _root(over_patients(away**2)),
                doubt_ranks_error=None
                if away is None or spread is None
                else _correlation(spread, away, first.patient_ids, seed=seed, draws=draws),
            )
        )
    return rows


def _mean(
    values: NDArray[np.float64], patients: Sequence[str], *, seed: int, draws: int
) -> Estimate:
    return bootstrap_statistic(
        lambda cases: float(values[cases].mean()),
        patients,
        rng=np.random.default_rng(seed),
        draws=draws,
    )


def _root(squared: Estimate) -> Estimate:
    return Estimate(
        value=float(np.sqrt(squared.value)),
        low=float(np.sqrt(squared.low)),
        high=float(np.sqrt(squared.high)),
    )


def _correlation(
    spread: NDArray[np.float64],
    away: NDArray[np.float64],
    patients: Sequence[str],
    *,
    seed: int,
    draws: int,
) -> Estimate:
    from scipy.stats import spearmanr  # type: ignore[import-untyped] # scipy ships no types

    return bootstrap_statistic(
        lambda cases: float(spearmanr(spread[cases], away[cases]).statistic),
        patients,
        rng=np.random.default_rng(seed),
        draws=min(draws, 500),
    )
