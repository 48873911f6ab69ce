"""Stage "growth": the forecast of the follow-up hematoma, in a cross-validation by patient."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from pipeline.models import choose_device
from training.growth.arms import PLANS, Arm
from training.growth.evaluation import EVEN, Judged, judge_run, read_mask
from training.growth.figures import draw_examples, draw_spread, typical_patients
from training.growth.folds import make_folds
from training.growth.followed import followed_of
from training.growth.pair import load_pair, pair_path
from training.growth.prepare import prepare_pairs
from training.growth.recipe import GrowthRecipe, read_growth_recipe
from training.growth.run import GrowthRun, begin_run, patients_of, train_fold
from training.growth.table import Row, write_table
from training.growth.trainer import LearningProgress
from training.study.budget import GrowthBudget
from training.study.outcome import Measure, Outcome, Picture, Sheet, probability
from training.study.participants import COHORT_TABLE
from training.study.stage import Stage, StageImpossibleError, StageRoom, StudySettings

_SPREAD, _EXAMPLES = "spread.png", "examples.png"

#: Parts of the stage, for the bar: pairs until here, then trainings until there.
_PAIRS, _TRAININGS = 0.3, 0.9

#: Patients in the figure of examples.
_SHOWN = 3


def _run(room: StageRoom) -> Outcome:
    settings = room.settings
    budget = settings.budget.budget.growth
    if budget is None:
        raise StageImpossibleError(f"{settings.budget.path.name} has no table [growth]")
    recipe = _recipe(settings, budget)
    arms = [Arm(name) for name in budget.arms]
    run, left_out = _pairs(room, recipe, budget)
    _train(room, run, arms)
    judged = judge_run(
        run,
        arms,
        device=choose_device(settings.device),
        on_patient=lambda done, total: room.follow(
            f"Forecasts: {done}/{total}", _TRAININGS + (1 - _TRAININGS) * done / total
        ),
    )
    about = "SIMULATED patients." if settings.is_simulated else "Patients of the study."
    rows = write_table(room.folder, judged, about=about)
    _draw(room.folder, run, judged)
    return _outcome(rows, arms, _remarks(run, recipe, budget, left_out))


def _pairs(
    room: StageRoom, recipe: GrowthRecipe, budget: GrowthBudget
) -> tuple[GrowthRun, dict[str, str]]:
    """Return the run on the pairs of everybody who takes part, and who was left out and why.

    Raises
    ------
    StageImpossibleError
        If there are too few pairs for the folds.
    """
    people = room.settings.participants
    ids = {one.patient_id for one in people.patients}
    try:
        followed = [one for one in followed_of(people.folder) if one.patient_id in ids]
    except ValueError as error:
        raise StageImpossibleError(str(error)) from error
    done = 0

    def count() -> None:
        nonlocal done
        done += 1
        room.follow(f"Pairs: {done}/{len(followed)}", _PAIRS * done / len(followed))

    place = room.folder / "pairs"
    left_out = prepare_pairs(followed, place, recipe.preparation, on_patient=count)
    try:
        folds = make_folds(
            patients_of(place), count=budget.folds, validation_share=recipe.course.validation_share
        )
    except ValueError as error:  # too few patients
        raise StageImpossibleError(f"of {len(followed)} patients {error}") from error
    return begin_run(room.folder / "run", place, recipe, folds), left_out


def _train(room: StageRoom, run: GrowthRun, arms: Sequence[Arm]) -> None:
    work = [(arm, fold) for fold in run.folds for arm in arms]
    for number, (arm, fold) in enumerate(work):

        def follow(
            at: LearningProgress, number: int = number, name: str = f"{arm}, {fold.name}"
        ) -> None:
            part = (number + (at.epoch + at.share) / at.epochs) / len(work)
            words = f"{name}: epoch {at.epoch + 1}/{at.epochs}"
            room.follow(words, _PAIRS + (_TRAININGS - _PAIRS) * part)

        train_fold(run, arm, fold, device=choose_device(room.settings.device), on_progress=follow)


def _draw(folder: Path, run: GrowthRun, judged: Sequence[Judged]) -> None:
    draw_spread(folder / _SPREAD, judged)
    trained = [way for way in judged if way.name != EVEN]
    shown = typical_patients(trained[-1], count=_SHOWN)
    masks = {way.name: [read_mask(run, Arm(way.name), one) for one in shown] for way in trained}
    pairs = [load_pair(pair_path(run.pairs, one)) for one in shown]
    draw_examples(folder / _EXAMPLES, pairs, masks)


def _outcome(rows: Sequence[Row], arms: Sequence[Arm], remarks: Sequence[str]) -> Outcome:
    measures: list[Measure] = []
    for arm, row in zip(arms, rows, strict=False):
        for key, words, mean, spread, digits in _columns(row):
            measures.append(
                Measure(
                    key=f"growth.{arm}.{key}",
                    words=f"{row.words}: {words}",
                    text=_cell(mean, spread, digits),
                    value=mean,
                )
            )
    best = max(rows[: len(arms)], key=lambda row: row.growth_dice)
    table = tuple(
        (
            row.words,
            str(row.patients),
            *(_cell(mean, spread, digits) for _, _, mean, spread, digits in _columns(row)),
            "-" if row.p_growth_dice is None else probability(row.p_growth_dice),
            "-" if row.folding is None else f"{row.folding:.2%}",
        )
        for row in rows
    )
    heads = ("", "patients", "Dice of growth", "error, mL", "absolute error, mL")
    return Outcome(
        headline=f"{best.words}: Dice of the growth {best.growth_dice:.3f} in {best.patients} "
        "patients.",
        measures=tuple(measures),
        sheets=(
            Sheet(
                title="Forecast of the follow-up (Abramova Table 1)",
                header=(*heads, "p of the Dice", "folding"),
                rows=table,
                note="Mean ± SD over patients whom the network has not seen; p of a paired t-test "
                "against the first row. Even growth needs no network: every hematoma grows by "
                "the training patients' mean ratio.",
            ),
        ),
        pictures=(
            Picture(file=_SPREAD, caption="Dice and error of the volume (Abramova Fig. 4)."),
            Picture(file=_EXAMPLES, caption="Forecasts, best to worst."),
        ),
        remarks=tuple(remarks),
    )


def _columns(row: Row) -> tuple[tuple[str, str, float, float | None, int], ...]:
    """Return key, words, mean, SD and digits of the published columns."""
    return (
        ("dice", "Dice of the growth", row.growth_dice, row.growth_dice_sd, 3),
        ("error_ml", "error of the volume, mL", row.error_ml, row.error_ml_sd, 2),
        (
            "absolute_error_ml",
            "absolute error of the volume, mL",
            row.absolute_error_ml,
            row.absolute_error_ml_sd,
            2,
        ),
    )


def _cell(mean: float, spread: float | None, digits: int) -> str:
    return f"{mean:.{digits}f}" + ("" if spread is None else f" ± {spread:.{digits}f}")


def _remarks(
    run: GrowthRun, recipe: GrowthRecipe, budget: GrowthBudget, left_out: dict[str, str]
) -> list[str]:
    reasons = sorted(set(left_out.values()))
    patients = sum(len(fold.testing) for fold in run.folds)
    way = "one left out at a time" if budget.folds is None else f"{budget.folds} folds"
    voxel = recipe.spacing_zyx_mm[0]
    return [
        (
            f"{patients} patients, {way}; the publication: 27 of one hospital, one left out at a "
            "time. The patients are those of all centres; none of them is an external set here."
        ),
        f"{len(left_out)} patients were left out: {'; '.join(reasons) or 'none'}.",
        (
            f"Patches of {recipe.patch_size_zyx[0]} voxels of {voxel:g} mm, "
            f"{recipe.course.epochs} epochs at most; the publication: 64 voxels, 150 epochs, "
            "500 patches a pair."
        ),
        *(f"{arm.value}: {plan.words}." for arm, plan in PLANS.items() if arm in budget.arms),
    ]


def _recipe(settings: StudySettings, budget: GrowthBudget) -> GrowthRecipe:
    recipe = read_growth_recipe(settings.budget.recipe(budget.recipe))
    return dataclasses.replace(recipe, seed=settings.budget.budget.seed)


def _choices(settings: StudySettings) -> dict[str, object]:
    budget = settings.budget.budget.growth
    if budget is None:
        return {"growth": None}
    return {
        "patients": [one.patient_id for one in settings.participants.patients],
        "growth": dataclasses.asdict(budget),
        "recipe": dataclasses.asdict(_recipe(settings, budget)),
    }


def _files(settings: StudySettings) -> tuple[Path, ...]:
    people = settings.participants
    return (people.folder / COHORT_TABLE, *people.scan_paths())


GROWTH = Stage(
    name="growth",
    title="Forecast of growth",
    shows="Abramova Table 1",
    version=1,
    choices=_choices,
    files=_files,
    run=_run,
)
