"""The files of an evaluation: scores.json, predictions.csv and the figures."""

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.statistics.calibration import reliability
from pipeline.statistics.estimate import Estimate
from training.classification.evaluation import Evaluation, Scores
from training.evaluation.decision_curve import decision_curve
from training.evaluation.diagnostic_figures import draw_confusions, draw_measures
from training.evaluation.probability_figures import draw_decision_curves, draw_reliability
from training.evaluation.roc_figure import RocEntry, draw_roc

if TYPE_CHECKING:
    from rich.table import Table

_DECIMALS = 4

#: Thresholds of the decision curve.
_DECISION_THRESHOLDS = np.linspace(0.02, 0.6, 59)


def interval_record(estimate: Estimate) -> dict[str, float]:
    """Return an estimate as it stands in JSON files and on cards."""
    return {
        "value": round(estimate.value, _DECIMALS),
        "low_95": round(estimate.low, _DECIMALS),
        "high_95": round(estimate.high, _DECIMALS),
    }


def scores_record(scores: Scores) -> dict[str, Any]:
    """Return scores as JSON values; shares of nothing and lines that do not fit are None."""
    line = scores.calibration
    shares = scores.diagnostics.shares
    return {
        "patients": scores.patients,
        "hematomas": scores.cases,
        "expanded": scores.expanded,
        "auc": interval_record(scores.auc),
        "auc_delong": None if scores.auc_delong is None else interval_record(scores.auc_delong),
        "ideal_auc": None if scores.ideal_auc is None else interval_record(scores.ideal_auc),
        **{
            str(measure): None if share.wilson is None else interval_record(share.wilson)
            for measure, share in shares.items()
        },
        "by_bootstrap": {
            str(measure): None if share.bootstrap is None else interval_record(share.bootstrap)
            for measure, share in shares.items()
        },
        "confusion": {
            "true_positives": scores.diagnostics.confusion.true_positives,
            "false_positives": scores.diagnostics.confusion.false_positives,
            "true_negatives": scores.diagnostics.confusion.true_negatives,
            "false_negatives": scores.diagnostics.confusion.false_negatives,
        },
        "brier": interval_record(scores.brier),
        "calibration_slope": None if line is None else interval_record(line.slope),
        "calibration_intercept": None if line is None else interval_record(line.intercept),
        "calibration_error": round(scores.calibration_error, _DECIMALS),
        "mean_probability": round(scores.mean_probability, _DECIMALS),
    }


def write_evaluation(output: Path, evaluation: Evaluation, scores: Scores) -> None:
    """Write ``scores.json`` and ``predictions.csv``."""
    output.mkdir(parents=True, exist_ok=True)
    record = {**scores_record(scores), "threshold": evaluation.threshold}
    if evaluation.unfamiliarity is not None:
        record["unfamiliar_share"] = round(float((evaluation.unfamiliarity > 1).mean()), _DECIMALS)
    text = json.dumps(record, indent=2)
    (output / "scores.json").write_text(text + "\n", encoding="utf-8")
    with (output / "predictions.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["case_id", "expanded", "he_probability", "unfamiliarity", "spread"])
        for index, case_id in enumerate(evaluation.case_ids):
            writer.writerow(
                [
                    case_id,
                    int(evaluation.expanded[index]),
                    f"{evaluation.probabilities[index]:.6f}",
                    _cell(evaluation.unfamiliarity, index),
                    _cell(evaluation.spread, index),
                ]
            )


def scores_table(scores: Scores, *, threshold: float) -> "Table":
    """Return the scores as a table for the terminal."""
    from rich.table import Table

    table = Table("measure", "value", title="By hematoma, RESEARCH USE ONLY")
    table.add_row("patients", str(scores.patients))
    table.add_row("hematomas (expanded)", f"{scores.cases} ({scores.expanded})")
    table.add_row("AUC", str(scores.auc))
    if scores.ideal_auc is not None:
        table.add_row("AUC of the ideal reader", str(scores.ideal_auc))
    for measure, share in scores.diagnostics.shares.items():
        table.add_row(f"{measure} at {threshold:.3f}", str(share.wilson or "-"))
    table.add_row("Brier score", str(scores.brier))
    if scores.calibration is not None:
        table.add_row("calibration slope", str(scores.calibration.slope))
        table.add_row("calibration intercept", str(scores.calibration.intercept))
    table.add_row("mean probability", f"{scores.mean_probability:.3f}")
    return table


def draw_evaluations(
    output: Path, found: Mapping[str, tuple[Evaluation, Scores]], *, title: str
) -> None:
    """Draw ROC curves, measures, confusion matrices, reliability and decision curves.

    Parameters
    ----------
    output : Path
        Folder of ``roc.png`` and so on; made if absent.
    found : mapping of str to (Evaluation, Scores)
        By the name of the classifier; all on the same cases.
    title : str
        Says who was judged.
    """
    output.mkdir(parents=True, exist_ok=True)
    entries = [
        RocEntry(
            name=name,
            positive=one.expanded,
            scores=one.probabilities,
            patients=one.patient_ids,
            auc=scores.auc,
            working_point=(1 - scores.specificity.value, scores.sensitivity.value),
        )
        for name, (one, scores) in found.items()
    ]
    draw_roc(output / "roc.png", entries, title=title)
    diagnostics = {name: scores.diagnostics for name, (_, scores) in found.items()}
    areas = {name: scores.auc for name, (_, scores) in found.items()}
    draw_measures(output / "measures.png", diagnostics, aucs=areas, title=title)
    draw_confusions(output / "confusion.png", diagnostics, title=title)
    groups = {
        name: reliability(one.expanded, one.probabilities, groups=min(10, len(one.expanded)))
        for name, (one, _) in found.items()
    }
    draw_reliability(output / "reliability.png", groups, title=title)
    curves = {
        name: decision_curve(one.expanded, one.probabilities, thresholds=_DECISION_THRESHOLDS)
        for name, (one, _) in found.items()
    }
    draw_decision_curves(output / "decision.png", curves, title=title)


def _cell(values: "np.ndarray | None", index: int) -> str:
    return "" if values is None else f"{values[index]:.4f}"
