"""The evaluation: a released classifier on patients it has never seen."""

import csv
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.classification.classifier import Classifier
from training.classification.case import TripletCase
from training.classification.metrics import sensitivity, specificity
from training.classification.slices import expanded
from training.evaluation.estimate import Estimate
from training.evaluation.roc import auc_with_interval


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
    """

    case_ids: tuple[str, ...]
    patient_ids: tuple[str, ...]
    expanded: NDArray[np.bool_]
    probabilities: NDArray[np.float64]
    threshold: float


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
    sensitivity, specificity : Estimate
        At the threshold; Wilson's intervals.
    brier : float
        Mean squared error of the probability.
    mean_probability : float
        To be compared with the share that expanded.
    """

    patients: int
    cases: int
    expanded: int
    auc: Estimate
    sensitivity: Estimate
    specificity: Estimate
    brier: float
    mean_probability: float


def evaluate(classifier: Classifier, cases: Sequence[TripletCase]) -> Evaluation:
    """Return what the classifier says, by the same way that the node takes."""
    predictions = [classifier.judge(case.images_yx) for case in cases]
    return Evaluation(
        case_ids=tuple(case.case_id for case in cases),
        patient_ids=tuple(case.patient_id for case in cases),
        expanded=expanded(cases),
        probabilities=np.array([prediction.probability for prediction in predictions]),
        threshold=predictions[0].threshold,
    )


def score(evaluation: Evaluation, *, seed: int = 0) -> Scores:
    """Return the scores of an evaluation.

    Raises
    ------
    ValueError
        If one of the outcomes does not occur.
    """
    outcome, probabilities = evaluation.expanded, evaluation.probabilities
    at_threshold = {"threshold": evaluation.threshold}
    return Scores(
        patients=len(set(evaluation.patient_ids)),
        cases=len(outcome),
        expanded=int(outcome.sum()),
        auc=auc_with_interval(
            outcome,
            probabilities,
            patients=evaluation.patient_ids,
            rng=np.random.default_rng(seed),
        ),
        sensitivity=sensitivity(outcome, probabilities, **at_threshold),
        specificity=specificity(outcome, probabilities, **at_threshold),
        brier=float(((probabilities - outcome) ** 2).mean()),
        mean_probability=float(probabilities.mean()),
    )


def write_evaluation(output: Path, evaluation: Evaluation, scores: Scores) -> None:
    """Write ``scores.json`` and ``predictions.csv``."""
    output.mkdir(parents=True, exist_ok=True)
    text = json.dumps({**asdict(scores), "threshold": evaluation.threshold}, indent=2)
    (output / "scores.json").write_text(text + "\n", encoding="utf-8")
    with (output / "predictions.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["case_id", "expanded", "he_probability"])
        for case_id, outcome, probability in zip(
            evaluation.case_ids, evaluation.expanded, evaluation.probabilities, strict=True
        ):
            writer.writerow([case_id, int(outcome), f"{probability:.6f}"])
