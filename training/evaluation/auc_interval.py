"""The area under the ROC curve with an interval over patients."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.statistics.estimate import Estimate
from pipeline.statistics.roc import auc_or_none
from training.evaluation.bootstrap import bootstrap_statistic


def auc_with_interval(
    positive: NDArray[np.bool_],
    scores: NDArray[np.float64],
    *,
    patients: Sequence[str],
    rng: np.random.Generator,
    draws: int = 2000,
) -> Estimate:
    """Return the AUC with its 95 % interval by a bootstrap over patients.

    Raises
    ------
    ValueError
        If one of the outcomes does not occur.
    """

    def of_cases(cases: NDArray[np.intp]) -> float | None:
        return auc_or_none(positive[cases], scores[cases])

    if auc_or_none(positive, scores) is None:
        raise ValueError("An AUC needs cases of both outcomes")
    return bootstrap_statistic(of_cases, patients, rng=rng, draws=draws)
