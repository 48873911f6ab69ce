"""The evaluation: a released classifier on patients it has never seen."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.classification.classifier import Classifier
from pipeline.statistics.calibration import (
    CalibrationLine,
    calibration_error,
    calibration_line,
    reliability,
)
from pipeline.statistics.confusion import DiagnosticMeasure
from pipeline.statistics.delong import delong
from pipeline.statistics.estimate import Estimate
from training.classification.case import TripletCase
from training.classification.ideal_reader import ideal_chances
from training.classification.slices import expanded
from training.evaluation.auc_interval import auc_with_interval
from training.evaluation.brier import brier
from training.evaluation.diagnostic import Diagnostics, diagnose
from training.synthesis.provenance import require_real


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evaluation:
    """What a classifier said about each case, and what became of it.

    Attributes
    ----------
    case_ids : tuple of str
        Which case.
    patient_ids : tuple of str
        Whose case; the intervals are over patients.
    expanded : ndarray of bool, shape (N,)
        Whether the hematoma expanded.
    probabilities : ndarray of float64, shape (N,)
        Probability of expansion: the mean over the slices.
    threshold : float
        From which on the classifier says HE.
    unfamiliarity : ndarray of float64, shape (N,), or None
        Distance from the training cases over the limit of the card; None without a limit.
    spread : ndarray of float64, shape (N,), or None
        Standard deviation over an ensemble; None for one network.
    ideal : ndarray of float64, shape (N,), or None
        What the ideal reader says of simulated cases; None where nobody knows it.
    """

    case_ids: tuple[str, ...]
    patient_ids: tuple[str, ...]
    expanded: NDArray[np.bool_]
    probabilities: NDArray[np.float64]
    threshold: float
    unfamiliarity: NDArray[np.float64] | None = None
    spread: NDArray[np.float64] | None = None
    ideal: NDArray[np.float64] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """How good that is, hematoma by hematoma, with 95 % intervals.

    Attributes
    ----------
    patients, cases, expanded : int
        How many patients there are, how many hematomas they have (one each, but for
        simulated heads that were used repeatedly), and how many of these expanded.
    auc : Estimate
        Area under the ROC curve; bootstrap over patients.
    auc_delong : Estimate or None
        The same with DeLong's interval; None with fewer than two cases of an outcome.
    diagnostics : Diagnostics
        Accuracy, sensitivity, specificity and predictive values at the threshold.
    brier : Estimate
        Mean squared error of the probability; bootstrap over patients.
    calibration : CalibrationLine or None
        Slope and intercept; None where no line fits.
    calibration_error : float
        Expected distance of promise and truth, in groups of equal size.
    mean_probability : float
        To be compared with the share that expanded.
    ideal_auc : Estimate or None
        What the ideal reader of simulated cases reaches on them, DeLong; None for real ones.
    """

    patients: int
    cases: int
    expanded: int
    auc: Estimate
    auc_delong: Estimate | None
    diagnostics: Diagnostics
    brier: Estimate
    calibration: CalibrationLine | None
    calibration_error: float
    mean_probability: float
    ideal_auc: Estimate | None = None

    @property
    def sensitivity(self) -> Estimate:
        """Sensitivity with Wilson's interval."""
        return self._wilson(DiagnosticMeasure.SENSITIVITY)

    @property
    def specificity(self) -> Estimate:
        """Specificity with Wilson's interval."""
        return self._wilson(DiagnosticMeasure.SPECIFICITY)

    def _wilson(self, measure: DiagnosticMeasure) -> Estimate:
        found = self.diagnostics.shares[measure].wilson
        if found is None:  # an AUC needs both outcomes, so neither share can be of nothing
            raise ValueError(f"No case gives a {measure}")
        return found


def evaluate(classifier: Classifier, cases: Sequence[TripletCase]) -> Evaluation:
    """Return what the classifier says, by the same way that the node takes.

    Raises
    ------
    SyntheticLeakError
        If a case is synthetic: nobody is judged on those.
    """
    require_real((case.patient_id for case in cases), where="evaluation")
    predictions = [classifier.judge(case.images_yx) for case in cases]
    far = [one.unfamiliarity for one in predictions if one.unfamiliarity is not None]
    spread = [one.spread for one in predictions if one.spread is not None]
    return Evaluation(
        case_ids=tuple(case.case_id for case in cases),
        patient_ids=tuple(case.patient_id for case in cases),
        expanded=expanded(cases),
        probabilities=np.array([prediction.probability for prediction in predictions]),
        threshold=predictions[0].threshold,
        unfamiliarity=np.array(far) if far else None,
        spread=np.array(spread) if spread else None,
        ideal=ideal_chances(cases),
    )


def of_opinions(evaluation: Evaluation, opinions: NDArray[np.float64]) -> Evaluation:
    """Return an evaluation with the mean and spread of other opinions, shape (members, N)."""
    return replace(evaluation, probabilities=opinions.mean(axis=0), spread=opinions.std(axis=0))


def score(evaluation: Evaluation, *, seed: int = 0, draws: int = 2000) -> Scores:
    """Return the scores of an evaluation.

    Raises
    ------
    ValueError
        If one of the outcomes does not occur.
    """
    outcome, probabilities = evaluation.expanded, evaluation.probabilities
    patients, ideal = evaluation.patient_ids, evaluation.ideal

    def fresh() -> np.random.Generator:
        return np.random.default_rng(seed)

    area = auc_with_interval(outcome, probabilities, patients=patients, rng=fresh(), draws=draws)
    return Scores(
        patients=len(set(patients)),
        cases=len(outcome),
        expanded=int(outcome.sum()),
        auc=area,
        auc_delong=_delong_interval(outcome, probabilities),
        diagnostics=diagnose(
            outcome,
            probabilities >= evaluation.threshold,
            patients=patients,
            rng=fresh(),
            draws=draws,
        ),
        brier=brier(outcome, probabilities, patients=patients, rng=fresh(), draws=draws),
        calibration=_line(outcome, probabilities),
        calibration_error=calibration_error(reliability(outcome, probabilities)),
        mean_probability=float(probabilities.mean()),
        ideal_auc=None if ideal is None else _delong_interval(outcome, ideal),
    )


def _delong_interval(
    outcome: NDArray[np.bool_], probabilities: NDArray[np.float64]
) -> Estimate | None:
    try:
        return delong(outcome, probabilities[None]).interval()
    except ValueError:  # a single case of an outcome has no variance
        return None


def _line(
    outcome: NDArray[np.bool_], probabilities: NDArray[np.float64]
) -> CalibrationLine | None:
    try:
        return calibration_line(outcome, probabilities)
    except ValueError:  # perfect separation, or one probability for all
        return None
