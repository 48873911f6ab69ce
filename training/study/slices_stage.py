"""Stage "slices": the three slices of each baseline hematoma, as the classifier sees them."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from pipeline.classification.transform import to_batch
from pipeline.prediction import HeLabel
from pipeline.slice_input import SliceInput
from training.classification.case import case_path, save_case
from training.classification.imported_cohort import (
    FollowedPatient,
    followed_patients,
    read_imported_cases,
)
from training.classification.recipe import read_recipe
from training.cohort.folder import SPLIT_FILE
from training.cohort.patient_split import Part, write_split
from training.study.equal_training import development_split, set_choices
from training.study.outcome import Outcome, Picture, Sheet, counted
from training.study.participants import COHORT_TABLE, DEVELOPMENT
from training.study.stage import Stage, StageImpossibleError, StageRoom, StudySettings
from training.synthesis.sample_sheet import to_grey, write_sheet
from training.synthesis.triplet_files import TripletFile, find_triplets, of_part

_PICTURE = "slices.png"

#: Columns of the picture, and the side of a slice in it, in pixels.
_COLUMNS, _SIDE = 8, 96


def _run(room: StageRoom) -> Outcome:
    settings = room.settings
    split = development_split(settings)
    recipe = settings.budget.recipe(settings.budget.budget.classification.recipe)
    how = read_recipe(recipe).slices
    rows = _cut(room, how)
    place = room.folder / DEVELOPMENT
    if not place.is_dir():
        raise StageImpossibleError("no development patient has a baseline and a follow-up scan")
    write_split(place / SPLIT_FILE, split, how="ichtrain study")
    training = of_part(find_triplets([place]), split, Part.TRAIN)
    he, nhe = (_slices(training, label) for label in (HeLabel.HE, HeLabel.NHE))
    if not he or not nhe:
        raise StageImpossibleError(f"{he} HE and {nhe} NHE slices are there to learn from")
    _draw(room.folder / _PICTURE, training)
    return Outcome(
        headline=f"{he} HE and {nhe} NHE slices to learn from, 1:{nhe / he:.1f}.",
        measures=(
            counted("slices.real.he", "HE slices to learn from", he),
            counted("slices.real.nhe", "NHE slices to learn from", nhe),
        ),
        sheets=(
            Sheet(
                title="Patients with baseline and follow-up",
                header=("set", "HE", "NHE"),
                rows=tuple(rows),
            ),
        ),
        pictures=(
            Picture(
                file=_PICTURE,
                caption="Largest slices of training patients; above HE, below NHE.",
            ),
        ),
        remarks=_remarks(how),
    )


def _cut(room: StageRoom, how: SliceInput) -> list[tuple[str, str, str]]:
    """Cut the slices of every set; return title and numbers of HE and NHE patients of each.

    Raises
    ------
    StageImpossibleError
        If nobody's outcome is known.
    """
    people = room.settings.participants
    try:
        followed = followed_patients(people.folder)
    except ValueError as error:
        raise StageImpossibleError(str(error)) from error
    rows = []
    for role in people.roles:
        ids = {one.patient_id for one in people.of_role(role)}
        wanted = [one for one in followed if one.patient_id in ids]
        folder = room.folder / role
        missing = [one for one in wanted if not case_path(folder, one.baseline_scan).exists()]
        cases = read_imported_cases(people.folder, missing, how=how)
        for number, case in enumerate(cases, start=1):
            save_case(folder, case)
            room.follow(f"Slices of {role}: {number}/{len(missing)}", number / len(followed))
        rows.append((people.title(role), *_counts(wanted)))
    return rows


def _remarks(how: SliceInput) -> tuple[str, ...]:
    return (
        (
            "Slices are cut around the cohort's masks, as in the study around masks that the "
            "model had drawn and a radiologist corrected."
        ),
        (
            f"Cut: {how.roi} with {how.margin_mm:g} mm around, resized by {how.resizing}; the "
            "study cut rectangles and does not say how much around."
        ),
    )


def _counts(group: Sequence[FollowedPatient]) -> tuple[str, str]:
    he = sum(one.label is HeLabel.HE for one in group)
    return str(he), str(len(group) - he)


def _slices(cases: Sequence[TripletFile], label: HeLabel) -> int:
    return sum(one.slices for one in cases if one.label is label)


def _draw(path: Path, cases: Sequence[TripletFile]) -> None:
    """Draw middle slices, a row of each outcome."""
    shown = []
    for label in (HeLabel.HE, HeLabel.NHE):
        images = [one.images_yx()[one.slices // 2] for one in cases if one.label is label]
        found = list(to_grey(to_batch(images[:_COLUMNS], input_size=_SIDE)))
        shown += found + [found[0] * 0] * (_COLUMNS - len(found))
    write_sheet(path, shown, columns=_COLUMNS)


def _choices(settings: StudySettings) -> dict[str, object]:
    recipe = settings.budget.recipe(settings.budget.budget.classification.recipe)
    return {**set_choices(settings), "slices": dataclasses.asdict(read_recipe(recipe).slices)}


def _files(settings: StudySettings) -> tuple[Path, ...]:
    people = settings.participants
    return (people.folder / COHORT_TABLE, *people.scan_paths())


SLICES = Stage(
    name="slices",
    title="Slices for the classifier",
    shows="npj Results",
    version=1,
    choices=_choices,
    files=_files,
    run=_run,
)
