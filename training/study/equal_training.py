"""The trainings of the segmentation stages: cohort folder, hyper-parameters, budget."""

from collections.abc import Collection
from pathlib import Path
from typing import Any, Protocol

from training.cohort.folder import SPLIT_FILE
from training.cohort.patient_split import PatientSplit, write_split
from training.segmentation.benchmark.training_port import EqualTraining, read_recipes
from training.segmentation.experiment import Budget, Experiment, read_experiment
from training.study.participants import (
    DEVELOPMENT,
    Participants,
    Patient,
    divide_development,
    place_by_chance,
)
from training.study.stage import StudySettings


class Lengths(Protocol):
    """Limits of a training, as budgets of stages have them."""

    @property
    def epochs(self) -> int | None:
        """Epochs."""

    @property
    def iterations(self) -> int | None:
        """Steps in an epoch."""

    @property
    def minutes(self) -> float | None:
        """Longest time."""


def development_split(settings: StudySettings) -> PatientSplit:
    """Return how the development patients are divided, the same in every stage."""
    budget = settings.budget.budget
    return divide_development(
        settings.participants.of_role(DEVELOPMENT),
        validation=budget.validation,
        test=budget.test,
    )


def lay_out(
    folder: Path, people: Participants, split: PatientSplit, *, patients: Collection[str]
) -> Path:
    """Make a cohort folder of links to the scans of some development patients and return it."""
    chosen = frozenset(patients)
    place = folder / DEVELOPMENT
    place.mkdir(parents=True, exist_ok=True)
    for one in people.of_role(DEVELOPMENT):
        for scan in one.scans if one.patient_id in chosen else ():
            link = place / f"{scan}.npz"
            link.unlink(missing_ok=True)
            link.symlink_to((people.folder / link.name).resolve())
    limited = PatientSplit(
        train=split.train & chosen, validation=split.validation & chosen, test=split.test & chosen
    )
    write_split(place / SPLIT_FILE, limited, how="ichtrain study")
    return place


def training_for(settings: StudySettings, cohort: Path, lengths: Lengths) -> EqualTraining:
    """Return what trains any architecture with the benchmark's hyper-parameters.

    Raises
    ------
    ValueError
        If a recipe is faulty.
    """
    file = settings.budget
    chosen = file.budget.benchmark
    experiment = (
        read_experiment(file.recipe(chosen.experiment)) if chosen.experiment else Experiment()
    )
    return EqualTraining(
        cohorts=(cohort,),
        experiment=experiment,
        recipes=read_recipes(
            [f"{name}={file.recipe(recipe)}" for name, recipe in chosen.recipes.items()]
        ),
        budget=Budget(
            epochs=lengths.epochs, iterations=lengths.iterations, minutes=lengths.minutes
        ),
        seed=file.budget.seed,
        device=settings.device,
    )


def segmentation_files(settings: StudySettings) -> tuple[Path, ...]:
    """Return the files that decide the segmentation stages' results."""
    file = settings.budget
    chosen = file.budget.benchmark
    names = (chosen.experiment, *chosen.recipes.values())
    return (
        *settings.participants.scan_paths(),
        *(file.recipe(name) for name in names if name),
    )


def set_choices(settings: StudySettings) -> dict[str, Any]:
    """Return what decides who is in which set."""
    budget = settings.budget.budget
    people = settings.participants
    return {
        "seed": budget.seed,
        "validation": budget.validation,
        "test": budget.test,
        "sets": {
            role: [[one.patient_id, one.expanded] for one in people.of_role(role)]
            for role in people.roles
        },
    }


def first_patients(patients: Collection[Patient], limit: int) -> list[Patient]:
    """Return at most so many patients, chosen by a hash; all of them where the limit is 0."""
    ordered = sorted(patients, key=lambda one: place_by_chance(one.patient_id))
    return ordered[:limit] if limit else ordered
