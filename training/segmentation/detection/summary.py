"""From slice scores to the numbers of a report."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.cohort.labelled_series import SHOWN
from training.evaluation.detection import LabelledSlices, compare_detectors, slice_auc
from training.segmentation.detection.scan import SliceScore, known

#: A slice counts as found from this volume of mask on: smaller specks nobody acts on.
FOUND_ML = 0.1


def summarise(rows: Sequence[SliceScore], *, seed: int = 1) -> dict[str, Any]:
    """Return each model's detection, and the first one's comparison with every other.

    Parameters
    ----------
    rows : sequence of SliceScore
        Of one or several models; only slices that all of them have judged are compared.
    seed : int
        Of the bootstrap over patients.

    Raises
    ------
    ValueError
        If the slices are all positive or all negative.
    """
    models = list(dict.fromkeys(row.model for row in rows))
    chosen = {model: _by_slice(rows, model) for model in models}
    keys = sorted(set.intersection(*(set(table) for table in chosen.values())))
    first = chosen[models[0]]
    slices = LabelledSlices(
        positive=np.array([first[key].label == SHOWN for key in keys]),
        patients=tuple(patient for patient, _ in keys),
    )
    scores = {model: _scores(table, keys) for model, table in chosen.items()}
    report: dict[str, Any] = {
        "slices": len(keys),
        "positive_slices": int(slices.positive.sum()),
        "patients": len(set(slices.patients)),
        "found_from_ml": FOUND_ML,
        "models": {},
        "differences": {},
    }
    for model, table in chosen.items():
        report["models"][model] = {
            "auc": asdict(slice_auc(slices, scores[model], seed=seed)),
            **_at_work([table[key] for key in keys]),
        }
    for other in models[1:]:
        comparison = compare_detectors(slices, scores[models[0]], scores[other], seed=seed)
        report["differences"][f"{models[0]} minus {other}"] = {
            "auc": asdict(comparison.difference),
            "p_value": comparison.p_value,
            "delong_p_value": comparison.delong_p_value,
        }
    return report


def _at_work(rows: Sequence[SliceScore]) -> dict[str, Any]:
    """Return sensitivity and specificity of the masks, and what is found where nothing is."""
    hits = [row.found_ml >= FOUND_ML for row in rows if row.label == SHOWN]
    clean = [row.found_ml < FOUND_ML for row in rows if row.label != SHOWN]
    by_patient: dict[str, list[SliceScore]] = defaultdict(list)
    for row in rows:
        by_patient[row.patient].append(row)
    bleeding = {
        patient for patient, mine in by_patient.items() if any(row.label == SHOWN for row in mine)
    }
    found_ml = {
        patient: round(sum(row.found_ml for row in mine), 2)
        for patient, mine in by_patient.items()
    }
    false_ml = [found_ml[patient] for patient in found_ml if patient not in bleeding]
    return {
        "slice_sensitivity": float(np.mean(hits)),
        "slice_specificity": float(np.mean(clean)),
        "patients_found": f"{sum(found_ml[patient] > 0 for patient in bleeding)}"
        f" of {len(bleeding)}",
        "patients_with_false_alarm": f"{sum(value > 0 for value in false_ml)} of {len(false_ml)}",
        "mean_false_volume_ml": float(np.mean(false_ml)) if false_ml else 0.0,
        "found_ml": found_ml,
    }


def _by_slice(rows: Sequence[SliceScore], model: str) -> dict[tuple[str, int], SliceScore]:
    return {(row.patient, row.position): row for row in known(rows) if row.model == model}


def _scores(
    table: dict[tuple[str, int], SliceScore], keys: Sequence[tuple[str, int]]
) -> NDArray[np.float64]:
    return np.array([table[key].expected_ml for key in keys])
