"""The best AUC that a reader of the images can reach, where the patients are simulated."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.prediction import HeLabel
from training.classification.case import TripletCase
from training.evaluation.delong import delong
from training.evaluation.estimate import Estimate
from training.study.outcome import Sheet, interval
from training.study.participants import ideal_auc
from training.study.stage import StudySettings

#: Column of the clinical table: the chance of expansion, as far as images can tell it.
IDEAL_COLUMN = "ideal_he_probability"


@dataclass(frozen=True, slots=True, kw_only=True)
class IdealReader:
    """How well the ideal reader does on the very patients of a set.

    Attributes
    ----------
    patients : int
        Those of whom the chance is known.
    auc : Estimate
        DeLong's interval.
    """

    patients: int
    auc: Estimate


def ideal_readers(
    settings: StudySettings, sets: Mapping[str, Sequence[TripletCase]]
) -> dict[str, IdealReader]:
    """Return the ideal reader of each set of which the chances are known."""
    clinical = settings.participants.clinical
    found = {}
    for name, cases in sets.items():
        cells = [
            (case.label is HeLabel.HE, clinical.get(case.patient_id, {}).get(IDEAL_COLUMN, ""))
            for case in cases
        ]
        known = [(expanded, float(cell)) for expanded, cell in cells if cell]
        expanded = np.array([one for one, _ in known], dtype=bool)
        chances = np.array([chance for _, chance in known], dtype=np.float64)
        try:
            auc = delong(expanded, chances[None]).interval()
        except ValueError:  # too few of an outcome
            continue
        found[name] = IdealReader(patients=len(known), auc=auc)
    return found


def ideal_sheet(
    settings: StudySettings, names: Mapping[str, str], readers: Mapping[str, IdealReader]
) -> Sheet | None:
    """Return the table of ideal readers and of the simulation's own truth; None without either."""
    truth = ideal_auc(settings.truth)
    rows = [
        (f"{names[name]}: these {one.patients} patients", interval(one.auc))
        for name, one in readers.items()
    ]
    rows += [] if truth is None else list(_numbers(truth))
    if not rows:
        return None
    return Sheet(
        title="Best possible AUC (simulated patients)",
        header=("of whom", "AUC"),
        rows=tuple(rows),
        note="What a reader would reach who knows every visible sign and its weight. Expansion "
        "also depends on what no image shows.",
    )


def _numbers(truth: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Return every number of a simulation's truth with its place in the file."""
    found: list[tuple[str, str]] = []
    for name, value in truth.items():
        words = f"{prefix}{name}".replace("_", " ")
        if isinstance(value, Mapping):
            found += _numbers(value, f"{words}, ")
        elif isinstance(value, float):
            found.append((f"{words} (truth of the simulation)", f"{value:.3f}"))
    return found
