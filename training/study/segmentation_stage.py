"""Stage "segmentation": the best architecture at full length, judged on every set."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from pipeline.models import choose_device
from pipeline.statistics.estimate import Estimate
from training.cohort.folder import read_scan_file
from training.evaluation.bootstrap import bootstrap_mean
from training.segmentation.benchmark.contest import Finished
from training.segmentation.benchmark.contestant import TITLES, Contestant
from training.segmentation.benchmark.examination import Examiner
from training.segmentation.benchmark.example_figure import draw_examples
from training.segmentation.benchmark.scan_row import ScanRow
from training.segmentation.benchmark.summary import PAIRED_MEASURES, bleeding
from training.segmentation.run_result import RunProgress, RunResult
from training.study.equal_training import (
    development_split,
    first_patients,
    lay_out,
    segmentation_files,
    set_choices,
    training_for,
)
from training.study.outcome import Measure, Outcome, Picture, Sheet, interval, measured
from training.study.participants import DEVELOPMENT, Patient
from training.study.stage import Stage, StageImpossibleError, StageRoom, StudySettings
from training.study.training_curves import draw_training_curves

#: Part of the stage that the training takes, for the bar.
_TRAINING = 0.7

_CURVES, _OVERLAP = "training.png", "overlap.png"


def _run(room: StageRoom) -> Outcome:
    settings = room.settings
    chosen = settings.budget.budget.segmentation
    name = chosen.architecture or room.need("benchmark")[1].facts["best"]
    split = development_split(settings)
    people = settings.participants
    everybody = [one.patient_id for one in people.of_role(DEVELOPMENT)]
    cohort = lay_out(room.folder, people, split, patients=everybody)
    title = TITLES.get(name, name)

    def learns(progress: RunProgress) -> None:
        words = f"{title}: epoch {progress.epoch}/{progress.epochs}, loss {progress.loss:.3f}"
        room.follow(words, _TRAINING * progress.share)

    result = training_for(settings, cohort, chosen)(name, room.folder / "run", on_progress=learns)
    sets = _sets(settings)
    rows = _examined(room, result, sets)
    room.follow("Figures", 1.0)
    draw_training_curves(room.folder / _CURVES, {title: result.folder})
    _draw_overlap(room.folder / _OVERLAP, rows, _titles(settings))
    examples = _draw_examples(room, result, rows)
    return _outcome(room, title, result, rows, examples)


def _sets(settings: StudySettings) -> dict[str, list[Patient]]:
    """Return the patients of each set that is judged on."""
    people, split = settings.participants, development_split(settings)
    limit = settings.budget.budget.segmentation.examined_patients
    own = people.of_role(DEVELOPMENT)
    groups = {
        "training": [one for one in own if one.patient_id in split.train],
        "validation": [one for one in own if one.patient_id in split.validation],
        "test": [one for one in own if one.patient_id in split.test],
    }
    groups |= {role: list(people.of_role(role)) for role in people.roles if role != DEVELOPMENT}
    return {name: first_patients(group, limit) for name, group in groups.items() if group}


def _titles(settings: StudySettings) -> dict[str, str]:
    people = settings.participants
    titles = {"training": "Training patients", "validation": "Validation patients"}
    titles |= {"test": "Test patients"}
    return titles | {role: people.title(role) for role in people.roles if role != DEVELOPMENT}


def _examined(
    room: StageRoom, result: RunResult, sets: Mapping[str, Sequence[Patient]]
) -> dict[str, list[ScanRow]]:
    """Return a row for each scan of each set."""
    folder = room.settings.participants.folder
    total = sum(len(one.scans) for group in sets.values() for one in group)
    done = 0
    rows: dict[str, list[ScanRow]] = {}
    for name, group in sets.items():
        scans = tuple(
            read_scan_file(folder / f"{scan}.npz") for one in group for scan in one.scans
        )
        examiner = Examiner(
            scans=scans, device=choose_device(room.settings.device), clock=room.clock
        )

        def seen(number: int, name: str = name, before: int = done) -> None:
            share = (before + number) / total
            room.follow(f"Scans of {name}: {number}", _TRAINING + (1 - _TRAINING) * share)

        rows[name] = examiner.examine(name, result.bundle, room.folder / name, on_scan=seen)
        done += len(scans)
    if not any(bleeding(found) for found in rows.values()):
        raise StageImpossibleError("no scan that could be judged on has a hematoma")
    return {name: found for name, found in rows.items() if bleeding(found)}


def _mean(rows: Sequence[ScanRow], measure: str, *, seed: int) -> Estimate:
    found = bootstrap_mean(
        [PAIRED_MEASURES[measure](row) for row in bleeding(rows)],
        [row.score.patient_id for row in bleeding(rows)],
        rng=np.random.default_rng(seed),
    )
    return Estimate(value=found.mean, low=found.low, high=found.high)


def _outcome(
    room: StageRoom,
    title: str,
    result: RunResult,
    rows: Mapping[str, Sequence[ScanRow]],
    examples: Sequence[Picture],
) -> Outcome:
    settings = room.settings
    seed, titles = settings.budget.budget.seed, _titles(settings)
    measures: list[Measure] = []
    lines = []
    for name, found in rows.items():
        means = {key: _mean(found, key, seed=seed) for key in PAIRED_MEASURES}
        for key, words in (("dice", "Dice"), ("iou", "IoU")):
            words_of_set = f"{words}, {titles[name]}"
            measures.append(measured(f"segmentation.{name}.{key}", words_of_set, means[key]))
        missed = sum(row.score.predicted_ml == 0 for row in bleeding(found))
        lines.append(
            (
                titles[name],
                str(len(bleeding(found))),
                interval(means["dice"]),
                interval(means["iou"]),
                interval(means["hd95_mm"], decimals=1),
                interval(means["absolute_error_ml"], decimals=1),
                str(missed),
            )
        )
    header = ("set", "scans", "Dice (95 % CI)", "IoU", "HD95, mm", "volume error, mL", "missed")
    pictures = [
        Picture(file=_CURVES, caption="Training curves (npj Fig. 4A)."),
        Picture(file=_OVERLAP, caption="Dice and IoU by set (npj Fig. 4B)."),
        *examples,
    ]
    outside = [name for name in rows if name.startswith("external")] or [list(rows)[-1]]
    told = ", ".join(
        f"{_mean(rows[name], 'dice', seed=seed).value:.3f} in {titles[name]}" for name in outside
    )
    return Outcome(
        headline=f"{title}: mean Dice {told}.",
        measures=tuple(measures),
        sheets=(Sheet(title="By set (npj Fig. 4B)", header=header, rows=tuple(lines)),),
        pictures=tuple(one for one in pictures if (room.folder / one.file).is_file()),
        remarks=_remarks(room, result),
        facts={"architecture": result.architecture, "bundle": "run/bundle"},
    )


def _remarks(room: StageRoom, result: RunResult) -> tuple[str, ...]:
    limit = room.settings.budget.budget.segmentation.examined_patients
    remarks = [
        (
            f"{result.iterations} optimiser steps in {result.epochs} epochs, "
            f"{result.parameters / 1e6:.2f} million parameters, {result.seconds / 60:.1f} min on "
            f"{room.settings.device}; the study took 125,000 steps."
        ),
        (
            "Validation patients are kept out of the training here; the study trained its full "
            "model on all development patients and names no others."
        ),
        (
            "The study corrected the model's masks by hand, trained on them and judged against "
            "such masks again, which lifts Dice; here the cohort's own masks are the truth."
        ),
    ]
    if limit:
        remarks.append(f"At most {limit} patients of each set were segmented.")
    return tuple(remarks)


def _draw_overlap(
    path: Path, rows: Mapping[str, Sequence[ScanRow]], titles: Mapping[str, str]
) -> None:
    """Draw boxes and single scans of Dice and IoU, one column a set."""
    figure = Figure(figsize=(max(6.0, 2.6 * len(rows)), 4.0), layout="constrained")
    rng = np.random.default_rng(0)
    for axes, (measure, words) in zip(
        figure.subplots(1, 2, sharey=True), (("dice", "Dice"), ("iou", "IoU")), strict=True
    ):
        for place, found in enumerate(rows.values(), start=1):
            values = np.array([PAIRED_MEASURES[measure](row) for row in bleeding(found)])
            axes.boxplot(values, positions=[place], widths=0.5, showfliers=False)
            jitter = rng.uniform(-0.14, 0.14, len(values))
            axes.plot(place + jitter, values, ".", color=f"C{place - 1}", alpha=0.7)
        axes.set_xticks(
            range(1, len(rows) + 1), [titles[name] for name in rows], rotation=20, ha="right"
        )
        axes.set(title=words, ylim=(-0.02, 1.02))
        axes.grid(axis="y", color="0.92")
    figure.savefig(path, dpi=130)


def _draw_examples(
    room: StageRoom, result: RunResult, rows: Mapping[str, Sequence[ScanRow]]
) -> list[Picture]:
    """Draw best, median and worst case of each set but the training patients."""
    settings, pictures = room.settings, []
    folder, titles = settings.participants.folder, _titles(settings)
    kind = "simulated heads" if settings.is_simulated else "real heads"
    for name, found in rows.items():
        if name == "training":
            continue
        one = Finished(
            contestant=Contestant(name=name),
            rows=tuple(found),
            parameters=result.parameters,
            training=result,
        )
        scans = {
            row.score.case_id: read_scan_file(folder / f"{row.score.case_id}.npz") for row in found
        }
        file = f"examples_{name}.png"
        draw_examples(room.folder / file, [one], scans, room.folder, kind=kind)
        pictures.append(Picture(file=file, caption=f"{titles[name]}: cases (npj Fig. 4C)."))
    return pictures


def _choices(settings: StudySettings) -> dict[str, object]:
    budget = settings.budget.budget
    return {
        **set_choices(settings),
        "segmentation": dataclasses.asdict(budget.segmentation),
        "recipes": budget.benchmark.recipes,
    }


SEGMENTATION = Stage(
    name="segmentation",
    title="Full segmentation model",
    shows="npj Fig. 4",
    version=1,
    after=("benchmark",),
    choices=_choices,
    files=segmentation_files,
    run=_run,
)
