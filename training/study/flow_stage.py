"""Stage "flow": who was found, who was excluded and for what, and who is in which set."""

import csv
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from training.study.outcome import Measure, Outcome, Picture, Sheet, counted
from training.study.participants import (
    COHORT_TABLE,
    EXCLUSIONS_TABLE,
    Participants,
    Patient,
    divide_development,
)
from training.study.stage import Stage, StageRoom, StudySettings

_PICTURE = "flow.png"

#: Inches: height of a line, and of the boxes' rows.
_LINE, _ROW = 0.2, 1.15


def _run(room: StageRoom) -> Outcome:
    people = room.settings.participants
    budget = room.settings.budget.budget
    exclusions = _exclusions(people.folder / EXCLUSIONS_TABLE)
    found = len(frozenset().union(*people.found.values()))
    split = divide_development(
        people.of_role("development"), validation=budget.validation, test=budget.test
    )
    parts = f"{len(split.train)} to train, {len(split.validation)} to validate"
    parts += f", {len(split.test)} to test" if split.test else ""
    room.follow("Drawing", 0.5)
    _draw(room.folder / _PICTURE, people, found=found, exclusions=exclusions, parts=parts)
    measures = [counted("flow.all.patients", "Patients", len(people.patients))]
    for role in people.roles:
        group = people.of_role(role)
        measures.append(counted(f"flow.{role}.patients", people.title(role), len(group)))
        measures.append(_expanded(role, people.title(role), group))
    remarks = [f"The development set is divided by patient: {parts}."]
    if len(people.roles) == 1:
        remarks.append(
            "The cohort names one centre only, so there is no external validation; the study had "
            "three centres for training and two for validation."
        )
    return Outcome(
        headline=f"{found} patients found, {len(people.patients)} take part; "
        f"centres: {len(people.roles)}.",
        measures=tuple(measures),
        sheets=(
            Sheet(
                title="Exclusions",
                header=("what", "why", "patients", "scans"),
                rows=tuple(exclusions),
                note="A patient falls with all scans; a scan that cannot be used falls alone.",
            ),
        ),
        pictures=(Picture(file=_PICTURE, caption="Flow of patients (npj Fig. 1)."),),
        remarks=tuple(remarks),
    )


def _expanded(role: str, title: str, group: Sequence[Patient]) -> Measure:
    count = sum(one.expanded is True for one in group)
    known = sum(one.expanded is not None for one in group)
    share = count / known if known else None
    text = f"{count} ({100 * share:.1f} %)" if share is not None else "not known"
    return Measure(
        key=f"flow.{role}.expanded",
        words=f"{title}: expanded, of {known} with a known outcome",
        text=text,
        value=share,
    )


def _exclusions(path: Path) -> list[tuple[str, str, str, str]]:
    """Return level, criterion, patients and scans of every exclusion, the most frequent first."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    scans = Counter((row["level"], row["words"]) for row in rows)
    patients: dict[tuple[str, str], set[str]] = {}
    for row in rows:
        patients.setdefault((row["level"], row["words"]), set()).add(row["patient_id"])
    return [
        (level, words, str(len(patients[level, words] - {""})), str(count))
        for (level, words), count in scans.most_common()
    ]


def _draw(
    path: Path,
    people: Participants,
    *,
    found: int,
    exclusions: Sequence[tuple[str, str, str, str]],
    parts: str,
) -> None:
    """Draw boxes: found, excluded beside it, taking part, the sets below."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    beside = [
        f"{words}: {_many(patients, 'patient') if level == 'patient' else _many(scans, level)}"
        for level, words, patients, scans in exclusions
    ]
    sets = [_set_words(people, role) for role in people.roles]
    sets[0] += f"\n{parts}"
    width = max(9.0, 3.1 * len(sets))
    height = 2.4 * _ROW + max(_ROW, _LINE * (len(beside) + 2))
    figure = Figure(figsize=(width, height), dpi=130)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set(xlim=(0, width), ylim=(0, height))
    axes.axis("off")
    box = {"boxstyle": "round,pad=0.5", "facecolor": "white", "edgecolor": "#456"}
    arrow = {"arrowstyle": "->", "color": "#456"}

    def write(x: float, y: float, text: str, align: Any = "center") -> None:  # noqa: ANN401  a literal of matplotlib
        axes.text(x, y, text, ha=align, va="center", fontsize=9, bbox=box)

    top, middle, low = height - 0.45, 1.8 * _ROW, 0.6
    left, half_way = width / 4, (top + middle) / 2
    axes.annotate("", (left, middle + 0.3), (left, top - 0.3), arrowprops=arrow)
    axes.annotate("", (width / 2 - 0.3, half_way), (left, half_way), arrowprops=arrow)
    write(left, top, f"Found\n{found} patients")
    write(width / 2, half_way, "\n".join(["Excluded", *(beside or ["nobody"])]), "left")
    for number, words in enumerate(sets):
        x = width * (number + 0.5) / len(sets)
        axes.annotate("", (x, low + 0.42), (left, middle - 0.3), arrowprops=arrow)
        write(x, low, words)
    write(left, middle, f"Taking part\n{len(people.patients)} patients")
    FigureCanvasAgg(figure).print_png(path)  # type: ignore[no-untyped-call]  # untyped there


def _many(count: str, noun: str) -> str:
    return f"{count} {noun}" if count == "1" else f"{count} {noun}s"


def _set_words(people: Participants, role: str) -> str:
    group = people.of_role(role)
    he = sum(one.expanded is True for one in group)
    nhe = sum(one.expanded is False for one in group)
    return f"{people.title(role)}\n{len(group)} patients: {he} HE, {nhe} NHE"


def _choices(settings: StudySettings) -> dict[str, object]:
    budget = settings.budget.budget
    return {
        "development": settings.participants.development,
        "validation": budget.validation,
        "test": budget.test,
    }


def _files(settings: StudySettings) -> tuple[Path, ...]:
    folder = settings.participants.folder
    return (folder / COHORT_TABLE, folder / EXCLUSIONS_TABLE)


FLOW = Stage(
    name="flow",
    title="Patients",
    shows="npj Fig. 1",
    version=1,
    choices=_choices,
    files=_files,
    run=_run,
)
