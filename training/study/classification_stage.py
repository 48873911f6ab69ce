"""Stage "classification": one classifier for each ratio, judged on every set of patients."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from pipeline.classification.classifier import Classifier
from pipeline.model_bundle import load_bundle
from pipeline.models import choose_device
from training.classification.case import TripletCase, load_cases
from training.classification.evaluation import Scores, evaluate, score
from training.classification.evaluation_files import scores_record
from training.classification.experiments import (
    FEWEST_TO_COMPARE,
    NO_SYNTHETIC,
    ExperimentPlan,
    run_experiments,
)
from training.classification.fitting import EpochRecord
from training.classification.initial_weights import find_initial_weights
from training.classification.recipe import Recipe, read_recipe
from training.classification.split import Split, split_by_part
from training.study.auc_figure import AucRow, draw_aucs
from training.study.best_possible import IdealReader, ideal_readers, ideal_sheet
from training.study.classification_tables import (
    MODELS,
    delong_measures,
    delong_sheet,
    score_measures,
    score_sheet,
)
from training.study.equal_training import development_split, set_choices
from training.study.outcome import Measure, Outcome, Picture
from training.study.participants import CLINICAL_TABLE, DEVELOPMENT
from training.study.saliency import explain
from training.study.stage import Stage, StageImpossibleError, StageRoom, StudySettings
from training.study.synthesis_stage import set_folder

#: All external patients together.
POOLED = "external"

#: Part of the stage that the fits take, for the bar.
_FITS = 0.85

_FOREST = "auc.png"

_FIGURES = (
    ("roc.png", "ROC curves with 95 % bands (npj Fig. 6A-F)"),
    ("measures.png", "measures with 95 % intervals (npj Fig. 6A-F)"),
    ("confusion.png", "confusion matrices (npj Fig. 6G)"),
    ("reliability.png", "reliability; not in the publication"),
    ("decision.png", "decision curves; not in the publication"),
)


def _run(room: StageRoom) -> Outcome:
    settings = room.settings
    triplets = room.need("slices")[0]
    recipe = _recipe(settings)
    try:
        split = split_by_part(load_cases([triplets / DEVELOPMENT]), development_split(settings))
    except ValueError as error:  # a side lacks an outcome
        raise StageImpossibleError(str(error)) from error
    remarks = _remarks(recipe, split)
    judged = _judged(settings, triplets, remarks)
    sets = _sets(room, remarks)
    ratios = tuple(
        one
        for one in settings.budget.budget.classification.ratios
        if one == NO_SYNTHETIC or one in sets
    )
    if not ratios:
        raise StageImpossibleError("no ratio can be reached without synthetic slices")
    plan = ExperimentPlan(
        recipe=recipe,
        split=split,
        ratios=ratios,
        synthetic=tuple(sets.values()),
        judged=judged,
        initial=find_initial_weights(settings.initial, recipe.network.architecture),
        cohort=None if settings.is_simulated else "Cohort of the study",
        device=choose_device(settings.device),
    )
    if plan.initial is None:
        remarks.append("The network starts from random weights; the study from ImageNet's.")

    def learns(ratio: str, record: EpochRecord) -> None:
        share = (ratios.index(ratio) + record.epoch / recipe.schedule.epochs) / len(ratios)
        words = (
            f"{MODELS[ratio]}: epoch {record.epoch}, validation AUC {record.validation_auc:.3f}"
        )
        room.follow(words, _FITS * share)

    record = run_experiments(plan, output=room.folder, version="study", on_epoch=learns)
    room.follow("Training patients", _FITS)
    scores = {"training": _on_training(room.folder, ratios, split)}
    scores |= {name: found["scores"] for name, found in record["sets"].items()}
    return _outcome(room, plan, record, scores, remarks)


def _outcome(
    room: StageRoom,
    plan: ExperimentPlan,
    record: Mapping[str, Any],
    scores: Mapping[str, Mapping[str, Any]],
    remarks: Sequence[str],
) -> Outcome:
    settings = room.settings
    names = {name: _set_title(settings, name) for name in scores}
    everybody = {"validation": plan.split.validation, **plan.judged}
    readers = ideal_readers(settings, everybody)
    _draw_forest(room.folder / _FOREST, names, scores, readers)
    sheets = [
        score_sheet(names, scores),
        delong_sheet(names, {name: one["delong"] for name, one in record["sets"].items()}),
    ]
    ideal = ideal_sheet(settings, names, readers)
    sheets += [] if ideal is None else [ideal]
    pictures = [
        Picture(
            file=_FOREST,
            caption="AUC with 95 % intervals; hollow: as published; star: best possible AUC of "
            "these simulated patients."
            if readers
            else "AUC with 95 % intervals; hollow: as published.",
        ),
        *_figures(room.folder, names),
    ]
    explained = explain(room, plan)
    if explained is not None:
        sheets.append(explained.sheet)
        pictures.append(explained.picture)
    measures: list[Measure] = []
    for name, found in scores.items():
        measures += score_measures(name, names[name], found)
    for name, one in record["sets"].items():
        measures += delong_measures(name, names[name], one["delong"])
    return Outcome(
        headline=_headline(scores, names),
        measures=tuple(measures),
        sheets=tuple(sheets),
        pictures=tuple(pictures),
        remarks=tuple(remarks),
        facts={"ratios": ",".join(plan.ratios)},
    )


def _judged(
    settings: StudySettings, triplets: Path, remarks: list[str]
) -> dict[str, list[TripletCase]]:
    """Return the external patients by set, and together.

    A set that lacks an outcome has no AUC and counts together with the others only.
    """
    found: dict[str, list[TripletCase]] = {}
    pooled: list[TripletCase] = []
    for role in settings.participants.roles:
        if role == DEVELOPMENT or not (triplets / role).is_dir():
            continue
        cases = load_cases([triplets / role])
        pooled += cases
        title, fewest = settings.participants.title(role), _fewest(cases)
        if not fewest:
            remarks.append(
                f"{title} lacks an outcome and counts among all external patients only."
            )
            continue
        found[role] = cases
        if fewest < FEWEST_TO_COMPARE:
            remarks.append(f"{title} has one patient of an outcome: no test between classifiers.")
    if _fewest(pooled) and list(found.values()) != [pooled]:
        found[POOLED] = pooled
    return found


def _fewest(cases: Sequence[TripletCase]) -> int:
    """Return how many cases the rarer outcome has."""
    expanded = sum(case.label.name == "HE" for case in cases)
    return min(expanded, len(cases) - expanded)


def _sets(room: StageRoom, remarks: list[str]) -> dict[str, Path]:
    """Return the folders of augmented sets by ratio."""
    wanted = [
        one for one in room.settings.budget.budget.classification.ratios if one != NO_SYNTHETIC
    ]
    synthesis = room.earlier.get("synthesis")
    place = None if synthesis is None or synthesis.outcome is None else synthesis.folder
    found = {one: place / set_folder(one) for one in wanted} if place is not None else {}
    standing = {one: folder for one, folder in found.items() if folder.is_dir()}
    absent = [one for one in wanted if one not in standing]
    if absent:
        remarks.append(f"No classifier of {', '.join(absent)}: there is no synthetic set for it.")
    return standing


def _on_training(folder: Path, ratios: Sequence[str], split: Split) -> dict[str, Any]:
    """Return scores on the patients that were learnt, as the publication has them."""
    found = {}
    for ratio in ratios:
        bundle = load_bundle(folder / ratio.replace(":", "-") / "bundle")
        judged: Scores = score(
            evaluate(Classifier(bundle, device=torch.device("cpu")), split.training)
        )
        found[MODELS[ratio]] = scores_record(judged)
    return found


def _draw_forest(
    path: Path,
    names: Mapping[str, str],
    scores: Mapping[str, Mapping[str, Any]],
    readers: Mapping[str, IdealReader],
) -> None:
    rows = [
        AucRow(
            key=name,
            title=names[name],
            aucs={model: record["auc"] for model, record in found.items()},
            best_possible=readers[name].auc.value if name in readers else None,
        )
        for name, found in scores.items()
    ]
    draw_aucs(path, rows)


def _figures(folder: Path, names: Mapping[str, str]) -> list[Picture]:
    """Return the figures of the external sets; without any, of the validation patients."""
    outside = [name for name in names if name.startswith(POOLED)] or ["validation"]
    return [
        Picture(file=f"{name}/{file}", caption=f"{names[name]}: {words}.")
        for name in outside
        for file, words in _FIGURES
        if (folder / name / file).is_file()
    ]


def _headline(scores: Mapping[str, Mapping[str, Any]], names: Mapping[str, str]) -> str:
    name = POOLED if POOLED in scores else list(scores)[-1]
    told = ", ".join(
        f"{model} {record['auc']['value']:.3f}" for model, record in scores[name].items()
    )
    return f"AUC in {names[name].lower()}: {told}."


def _set_title(settings: StudySettings, name: str) -> str:
    own = {
        "training": "Training patients",
        "validation": "Validation patients",
        POOLED: "All external patients",
    }
    return own.get(name) or settings.participants.title(name)


def _remarks(recipe: Recipe, split: Split) -> list[str]:
    schedule = recipe.schedule
    choosing = sum(case.label.name == "HE" for case in split.validation)
    return [
        (
            f"{recipe.network.architecture} of {recipe.network.input_size} px, {schedule.epochs} "
            f"epochs, batch {schedule.batch_size}; the study: ViT-B/16 of 224 px from ImageNet "
            "weights, 100 epochs, batch 256."
        ),
        (
            f"Epoch, calibration and threshold are chosen on {len(split.validation)} validation "
            f"patients, {choosing} of them HE; the study names no validation patients. Values of "
            "training patients are optimistic by nature."
        ),
        "Intervals of the AUC are a bootstrap over patients, of shares Wilson's.",
    ]


def _recipe(settings: StudySettings) -> Recipe:
    return read_recipe(settings.budget.recipe(settings.budget.budget.classification.recipe))


def _choices(settings: StudySettings) -> dict[str, object]:
    return {
        **set_choices(settings),
        "classification": dataclasses.asdict(settings.budget.budget.classification),
        "recipe": dataclasses.asdict(_recipe(settings)),
    }


def _files(settings: StudySettings) -> list[Path]:
    clinical = settings.participants.folder / CLINICAL_TABLE
    given = [] if settings.initial is None else [settings.initial]
    return [clinical, settings.truth, *given]


CLASSIFICATION = Stage(
    name="classification",
    title="Classifiers of three ratios",
    shows="npj Fig. 6, Table 3",
    version=1,
    after=("slices", "synthesis"),
    choices=_choices,
    files=_files,
    run=_run,
)
