"""The best AUC that a reader of the images can reach, where the patients are simulated."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.prediction import HeLabel
from pipeline.statistics.delong import delong
from pipeline.statistics.estimate import Estimate
from training.classification.case import TripletCase
from training.study.outcome import Sheet, interval
from training.study.participants import IDEAL_COLUMN
from training.study.stage import StudySettings


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
    """Return the table of ideal readers and of the simulation's own truth; None without either.

    Raises
    ------
    ValueError
        If the truth file is not one of `ichtrain phantom`.
    """
    rows = [
        (f"{names[name]}: these {one.patients} patients", interval(one.auc), "")
        for name, one in readers.items()
    ]
    rows += _truth(settings.truth)
    if not rows:
        return None
    return Sheet(
        title="Best possible AUC (simulated patients)",
        header=("of whom", "from the image (95 % CI)", "knowing all"),
        rows=tuple(rows),
        note="What a reader would reach who knows every visible sign and its weight. Expansion "
        "also depends on the chart and on what nobody knows. Of patients without number: by the "
        "simulation's own risk, with its standard error.",
    )


def _truth(path: Path) -> list[tuple[str, str, str]]:
    """Return the ideal observers in a simulated cohort's file, none without one."""
    if not path.is_file():
        return []
    try:
        observers = json.loads(path.read_text(encoding="utf-8"))["observers"]
        return [
            (f"Any patients: {one['name']}", _number(one["image_auc"]), _number(one["full_auc"]))
            for one in observers
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is no truth file of `ichtrain phantom`: {error}") from error


def _number(estimate: Mapping[str, float]) -> str:
    return f"{estimate['value']:.3f} ± {estimate['standard_error']:.3f}"
