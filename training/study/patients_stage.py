"""Stage "patients": the characteristics by centre, and of those who expanded and who did not."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.evaluation.group_tests import (
    GroupDifference,
    anova,
    chi_square,
    kruskal_wallis,
    mann_whitney,
)
from training.study.outcome import Measure, Outcome, Sheet, probability
from training.study.participants import CLINICAL_TABLE, COHORT_TABLE, Participants, Patient
from training.study.stage import Stage, StageRoom, StudySettings

Values = NDArray[np.float64]

_YES, _NO = ("yes", "y", "true", "1"), ("no", "n", "false", "0")
_MALE, _FEMALE = ("m", "male"), ("f", "female")


class Scale(StrEnum):
    """How a characteristic is told and tested, as the npj study does."""

    SHARE = "n (%), chi-square test"
    MEAN = "mean ± SD, one-way ANOVA"
    MEDIAN = "median (IQR), Kruskal-Wallis test, of two groups Mann-Whitney U test"


@dataclass(frozen=True, slots=True, kw_only=True)
class Characteristic:
    """One row of the table.

    Attributes
    ----------
    name : str
        Column of the clinical table, or `male`, `expanded`, `baseline_ml`, `follow_up_ml`.
    words : str
        In the table.
    scale : Scale
        How it is told.
    """

    name: str
    words: str
    scale: Scale


CHARACTERISTICS = (
    Characteristic(name="male", words="Male", scale=Scale.SHARE),
    Characteristic(name="age_years", words="Age, years", scale=Scale.MEAN),
    Characteristic(name="expanded", words="Hematoma expansion", scale=Scale.SHARE),
    Characteristic(name="baseline_ml", words="Baseline volume, mL", scale=Scale.MEDIAN),
    Characteristic(name="follow_up_ml", words="Follow-up volume, mL", scale=Scale.MEDIAN),
    Characteristic(name="hypertension", words="Hypertension", scale=Scale.SHARE),
    Characteristic(name="diabetes", words="Diabetes", scale=Scale.SHARE),
    Characteristic(name="antithrombotic", words="Antithrombotic drugs", scale=Scale.SHARE),
    Characteristic(name="systolic_mmhg", words="Systolic pressure, mmHg", scale=Scale.MEAN),
    Characteristic(name="gcs", words="Glasgow coma scale", scale=Scale.MEDIAN),
    Characteristic(name="onset_to_baseline_h", words="Onset to baseline, h", scale=Scale.MEDIAN),
    Characteristic(name="onset_to_follow_up_h", words="Onset to follow-up, h", scale=Scale.MEDIAN),
)

_OWN: dict[str, Callable[[Patient], float | None]] = {
    "expanded": lambda one: None if one.expanded is None else float(one.expanded),
    "baseline_ml": lambda one: one.baseline_ml,
    "follow_up_ml": lambda one: one.follow_up_ml,
}


def values_of(people: Participants, group: Sequence[Patient], name: str) -> Values:
    """Return a characteristic of those patients of whom it is known.

    Raises
    ------
    ValueError
        If a cell of the clinical table is neither a number nor yes or no; names the column.
    """
    if name in _OWN:
        found = [_OWN[name](one) for one in group]
    else:
        column = "sex" if name == "male" else name
        cells = [people.clinical.get(one.patient_id, {}).get(column, "") for one in group]
        found = [_sex(cell) if name == "male" else _number(cell, column) for cell in cells]
    return np.array([one for one in found if one is not None], dtype=np.float64)


def told(values: Values, scale: Scale) -> tuple[str, float | None]:
    """Return a group's values as the table prints them, and their main number."""
    if not len(values):
        return "not known", None
    if scale is Scale.SHARE:
        share = float(values.mean())
        return f"{int(values.sum())} ({100 * share:.1f} %)", share
    if scale is Scale.MEAN:
        mean = float(values.mean())
        spread = f"{values.std(ddof=1):.2f}" if len(values) > 1 else "-"
        return f"{mean:.2f} ± {spread}", mean
    low, middle, high = (float(one) for one in np.percentile(values, (25, 50, 75)))
    return f"{middle:.2f} ({high - low:.2f})", middle


def difference(groups: Sequence[Values], scale: Scale) -> GroupDifference | None:
    """Return the test of groups; None where it cannot be made."""
    try:
        if scale is Scale.SHARE:
            return chi_square(np.array([[one.sum(), (1 - one).sum()] for one in groups]))
        if scale is Scale.MEAN:
            return anova(groups)
        if len(groups) == 2:  # noqa: PLR2004  two groups have a test of their own
            return mann_whitney(groups[0], groups[1])
        return kruskal_wallis(groups)
    except ValueError:  # an empty group, or nothing varies
        return None


def _run(room: StageRoom) -> Outcome:
    people = room.settings.participants
    rows: list[tuple[str, ...]] = []
    by_outcome: list[tuple[str, ...]] = []
    measures: list[Measure] = []
    absent: list[str] = []
    for number, one in enumerate(CHARACTERISTICS):
        room.follow(one.words, number / len(CHARACTERISTICS))
        if not len(values_of(people, people.patients, one.name)):
            absent.append(one.words)
            continue
        cells, found = _by_centre(people, one)
        rows.append(cells)
        measures += found
        if one.name != "expanded":
            by_outcome.append(_by_outcome(people, one))
    titles = tuple(
        f"{people.title(role)} (n = {len(people.of_role(role))})" for role in people.roles
    )
    known = {flag: _with_outcome(people, expanded=flag) for flag in (True, False)}
    heads = ("", f"HE (n = {len(known[True])})", f"NHE (n = {len(known[False])})", "p")
    remarks = [f"Not known of this cohort: {', '.join(absent)}."] if absent else []
    return Outcome(
        headline=f"{len(rows)} characteristics of {len(people.patients)} patients.",
        measures=tuple(measures),
        sheets=(
            Sheet(
                title="By set (npj Table 1)",
                header=("", *titles, "p"),
                rows=tuple(rows),
                note="; ".join(Scale) + ".",
            ),
            Sheet(
                title="Of those who expanded and who did not, all sets",
                header=heads,
                rows=tuple(by_outcome),
                note="Not in the publication.",
            ),
        ),
        remarks=tuple(remarks),
    )


def _by_centre(people: Participants, one: Characteristic) -> tuple[tuple[str, ...], list[Measure]]:
    """Return a row of the table, and its measures."""
    groups = {role: values_of(people, people.of_role(role), one.name) for role in people.roles}
    cells, measures = [one.words], []
    for role, values in groups.items():
        text, value = told(values, one.scale)
        cells.append(text)
        key, words = f"patients.{role}.{one.name}", f"{one.words}, {people.title(role)}"
        measures.append(Measure(key=key, words=words, text=text, value=value))
    test = difference(list(groups.values()), one.scale) if len(groups) > 1 else None
    if test is None:
        return (*cells, "-"), measures
    p_value = probability(test.p_value)
    measures.append(
        Measure(
            key=f"patients.p.{one.name}",
            words=f"{one.words}: p of {test.test} between the sets",
            text=p_value,
        )
    )
    return (*cells, p_value), measures


def _by_outcome(people: Participants, one: Characteristic) -> tuple[str, ...]:
    groups = [
        values_of(people, _with_outcome(people, expanded=flag), one.name) for flag in (True, False)
    ]
    test = difference(groups, one.scale)
    p_value = "-" if test is None else probability(test.p_value)
    return (one.words, *(told(values, one.scale)[0] for values in groups), p_value)


def _with_outcome(people: Participants, *, expanded: bool) -> list[Patient]:
    return [one for one in people.patients if one.expanded is expanded]


def _sex(cell: str | None) -> float | None:
    """Return 1 for men and 0 for women; None for others and where it is not known."""
    word = (cell or "").strip().lower()
    return float(word in _MALE) if word in _MALE or word in _FEMALE else None


def _number(cell: str | None, column: str) -> float | None:
    word = (cell or "").strip().lower()
    if not word:
        return None
    if word in _YES or word in _NO:
        return float(word in _YES)
    try:
        return float(word)
    except ValueError:
        raise ValueError(
            f"{CLINICAL_TABLE}, {column}: a number or yes or no is expected"
        ) from None


def _choices(settings: StudySettings) -> dict[str, object]:
    return {"development": settings.participants.development}


def _files(settings: StudySettings) -> tuple[Path, ...]:
    folder = settings.participants.folder
    return (folder / COHORT_TABLE, folder / CLINICAL_TABLE)


PATIENTS = Stage(
    name="patients",
    title="Characteristics",
    shows="npj Table 1",
    version=1,
    choices=_choices,
    files=_files,
    run=_run,
)
