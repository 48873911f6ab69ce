"""The Brier score with an interval over patients."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.statistics.estimate import Estimate
from training.evaluation.bootstrap import bootstrap_statistic


def brier(
    positive: NDArray[np.bool_],
    probabilities: NDArray[np.float64],
    *,
    patients: Sequence[str],
    rng: np.random.Generator,
    draws: int = 2000,
) -> Estimate:
    """Return the mean squared error of probabilities with its interval over patients."""
    errors = (probabilities - positive) ** 2
    return bootstrap_statistic(
        lambda cases: float(errors[cases].mean()), patients, rng=rng, draws=draws
    )
