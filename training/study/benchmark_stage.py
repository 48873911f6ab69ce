"""Stage "benchmark": architectures trained alike and compared on the same held-out patients."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import torch

from training.cohort.folder import load_cohort
from training.segmentation.architectures import ARCHITECTURES
from training.segmentation.benchmark.conditions import Conditions, conditions, keep_conditions
from training.segmentation.benchmark.contest import run_contest
from training.segmentation.benchmark.contestant import Contestant, choose_contestants
from training.segmentation.benchmark.examination import Examiner
from training.segmentation.benchmark.hardware import describe_hardware
from training.segmentation.benchmark.held_out import SIMULATED, HeldOut, held_out_scans
from training.segmentation.benchmark.report import write_report
from training.segmentation.benchmark.summary import ContestantSummary
from training.segmentation.run_result import RunProgress
from training.study.equal_training import (
    development_split,
    first_patients,
    lay_out,
    segmentation_files,
    set_choices,
    training_for,
)
from training.study.outcome import Measure, Outcome, Picture, Sheet, interval, measured
from training.study.participants import DEVELOPMENT
from training.study.stage import OnProgress, Stage, StageRoom, StudySettings
from training.study.training_curves import draw_training_curves

#: Whom the others are compared with, where it takes part: the publication's choice.
_REFERENCE = "umamba-enc"

#: Part of a contestant's turn that its training takes, for the bar.
_TRAINING = 0.85

_PICTURES = (
    (
        "training.png",
        "Networks of nnU-Net's loop: pseudo-Dice and losses over the epochs (npj Fig. 3A-B).",
    ),
    ("overlap.png", "Dice and IoU of the held-out scans (npj Fig. 3C)."),
    ("examples.png", "Best, median and worst case (npj Fig. 3D)."),
    ("bland_altman.png", "Error of the volume; not in the publication."),
)


class _Listener:
    """Turns what the benchmark tells into one share of the stage."""

    def __init__(self, follow: OnProgress, contestants: int) -> None:
        self._follow, self._all, self._done = follow, contestants, 0

    def begins(self, contestant: Contestant) -> None:
        """Show whose turn it is."""
        self._tell(contestant.title, 0.0)

    def trains(self, contestant: Contestant, progress: RunProgress) -> None:
        """Show how far the training is."""
        words = f"{contestant.title}: epoch {progress.epoch}/{progress.epochs}"
        self._tell(words, _TRAINING * progress.share)

    def examined(self, contestant: Contestant, scans: int, of: int) -> None:
        """Show how many scans are done."""
        words = f"{contestant.title}: held-out scan {scans}/{of}"
        self._tell(words, _TRAINING + (1 - _TRAINING) * scans / of)

    def ends(self, contestant: Contestant, failure: str | None) -> None:
        """Count a contestant."""
        self._done += 1
        self._tell(f"{contestant.title}: {failure or 'done'}", 0.0)

    def _tell(self, words: str, share: float) -> None:
        self._follow(words, (self._done + share) / self._all)


def _run(room: StageRoom) -> Outcome:
    settings = room.settings
    chosen = settings.budget.budget.benchmark
    cohort = _cohort(room)
    trained_on = load_cohort(cohort)
    held_out = held_out_scans(trained_on, limit=chosen.examined_patients or None)
    if settings.is_simulated:
        held_out = _called_simulated(held_out)
    training = training_for(settings, cohort, chosen)
    device = torch.device(settings.device)
    made = conditions(trained_on, held_out, training, hardware=describe_hardware(device))
    keep_conditions(room.folder, made)
    contestants = choose_contestants(",".join(chosen.architectures), (), known=ARCHITECTURES)
    finished, failed = run_contest(
        contestants,
        training,
        Examiner(scans=held_out.scans, device=device, clock=room.clock),
        output=room.folder,
        audience=_Listener(room.follow, len(contestants)),
    )
    if not finished:
        raise RuntimeError(f"every architecture failed, the first by {failed[0].reason}")
    room.follow("Report", 1.0)
    summaries = write_report(
        room.folder, finished, failed, held_out, conditions=made, reference=_REFERENCE
    )
    runs = {one.contestant.title: one.training.folder for one in finished if one.training}
    draw_training_curves(room.folder / _PICTURES[0][0], runs)
    fallen = [f"{one.contestant.title} failed: {one.reason}." for one in failed]
    return _outcome(room.folder, summaries, [*_remarks(made), *fallen])


def _cohort(room: StageRoom) -> Path:
    """Return a cohort folder of the development patients who take part."""
    settings = room.settings
    limit = settings.budget.budget.benchmark.patients
    taking_part = first_patients(settings.participants.of_role(DEVELOPMENT), limit)
    return lay_out(
        room.folder,
        settings.participants,
        development_split(settings),
        patients=[one.patient_id for one in taking_part],
    )


def _called_simulated(held_out: HeldOut) -> HeldOut:
    """Return the scans under the source that figures call simulated, whatever an import did."""
    scans = tuple(dataclasses.replace(scan, source=SIMULATED) for scan in held_out.scans)
    return dataclasses.replace(held_out, scans=scans)


def _outcome(
    folder: Path, summaries: Sequence[ContestantSummary], remarks: Sequence[str]
) -> Outcome:
    measures: list[Measure] = []
    for one in summaries:
        name, title = one.contestant.name, one.contestant.title
        for measure, words in (("dice", "Dice"), ("iou", "IoU")):
            if measure in one.measures:
                key = f"benchmark.{name}.{measure}"
                measures.append(measured(key, f"{title}: {words}", one.measures[measure]))
    best = max(summaries, key=_mean_dice)
    pictures = [
        Picture(file=name, caption=words) for name, words in _PICTURES if (folder / name).is_file()
    ]
    return Outcome(
        headline=f"{best.contestant.title} has the best mean Dice, {_mean_dice(best):.3f}, of "
        f"{len(summaries)} architectures on {best.bleeding_scans} held-out scans.",
        measures=tuple(measures),
        sheets=(_sheet(summaries),),
        pictures=tuple(pictures),
        remarks=tuple(remarks),
        facts={"best": best.contestant.name},
    )


def _sheet(summaries: Sequence[ContestantSummary]) -> Sheet:
    rows = []
    for one in summaries:
        of, against = one.measures, one.versus.get("dice")
        minutes = one.training_seconds
        rows.append(
            (
                one.contestant.title,
                interval(of["dice"]) if "dice" in of else "-",
                "-" if against is None else f"{against.p_holm:.3f}",
                interval(of["iou"]) if "iou" in of else "-",
                interval(of["hd95_mm"], decimals=1) if "hd95_mm" in of else "-",
                interval(of["absolute_error_ml"], decimals=1) if of else "-",
                f"{one.parameters / 1e6:.2f}",
                "-" if minutes is None else f"{minutes / 60:.1f}",
            )
        )
    return Sheet(
        title="Held-out scans with hematoma",
        header=(
            *("", "Dice (95 % CI)", "p against U-Mamba Enc", "IoU", "HD95, mm"),
            *("volume error, mL", "parameters, million", "training, min"),
        ),
        rows=tuple(rows),
        note="Intervals by a bootstrap over patients; p of Wilcoxon's signed-rank test of the "
        "patients' Dice, by Holm corrected; minutes where other work may have run beside.",
    )


def _mean_dice(one: ContestantSummary) -> float:
    found = one.measures.get("dice")
    return -1.0 if found is None else found.value


def _remarks(made: Conditions) -> list[str]:
    return [
        *made.describe(),
        (
            "The study trained 500 epochs of 250 steps of 2 patches of 20 x 320 x 256 voxels of "
            "5 x 0.5 x 0.5 mm on 1,000 scans of 500 patients, 800 to learn and 200 to judge on."
        ),
        (
            "The study's Dice of 0.937 and IoU of 0.934 cannot be means of the same scans: to a "
            "Dice of 0.937 belongs an IoU of about 0.88."
        ),
    ]


def _choices(settings: StudySettings) -> dict[str, object]:
    return {
        **set_choices(settings),
        "benchmark": dataclasses.asdict(settings.budget.budget.benchmark),
    }


BENCHMARK = Stage(
    name="benchmark",
    title="Benchmark of segmentation",
    shows="npj Fig. 3",
    version=1,
    choices=_choices,
    files=segmentation_files,
    run=_run,
)
