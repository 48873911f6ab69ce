"""The recipe of a SLEX-Net training, read from a TOML file."""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.model_card import Intensity
from pipeline.volume import Vector
from training.recipe_file import read_recipe_file
from training.segmentation.augmentation import Augmentation
from training.segmentation.experiment import Budget

_TRIPLET = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class SlexSchedule:
    """How long and how fast is learnt; the defaults are those of the published code.

    Attributes
    ----------
    epochs : int
        Passes over the targets.
    iterations : int or None
        Optimiser steps in an epoch; None: as many as the targets make.
    limit_minutes : float or None
        Training ends here even if epochs are left; time of earlier runs into the same folder
        counts.
    batch_size : int
        Triplets in a step.
    learning_rate, betas, weight_decay
        Of Adam.
    decay_epochs, decay : int, float
        After every so many epochs the learning rate is multiplied by the decay.
    validate_every, checkpoint_every : int
        In epochs and in steps.
    validation_limit : int or None
        At most so many scans are validated on; None: all.
    """

    epochs: int = 100
    iterations: int | None = None
    limit_minutes: float | None = None
    batch_size: int = 2
    learning_rate: float = 1e-5
    betas: tuple[float, float] = (0.97, 0.999)
    weight_decay: float = 6e-4
    decay_epochs: int = 20
    decay: float = 0.1
    validate_every: int = 1
    checkpoint_every: int = 200
    validation_limit: int | None = None

    def __post_init__(self) -> None:
        for name in ("epochs", "iterations", "limit_minutes", "batch_size", "learning_rate"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be positive, got {value}")
        for name in ("decay_epochs", "validate_every", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SlexRecipe:
    """Everything that decides what a training yields, but for the data themselves.

    Attributes
    ----------
    architecture_arguments : dict
        Of `SlexNet`, e.g. ``width``.
    spacing_zyx_mm : Vector
        Grid of network and card. The published code shrinks 400 pixels of 0.42 mm to 224, that
        is 0.75 mm.
    patch_size_zyx : tuple of int
        3 slices of a size that holds a head, each a multiple of 16 pixels.
    clip_low_hu, clip_high_hu, mean_hu, sd_hu : float
        Fixed normalisation. (The published one is by each triplet's own mean and deviation,
        which makes the same blood look different beside bone.)
    class_weights : tuple of float
        Of background and hematoma in the cross-entropy.
    healthy_share : float
        Share of the slices without hematoma that an epoch visits, drawn anew for each. With 1
        all are visited, as the published code does; with 0 none, as its comment wants.
    validation_fraction : float
        Share of patients held out where the caller sets none aside.
    seed : int
        Of the weights and of every random choice.
    schedule : SlexSchedule
        See there.
    augmentation : Augmentation or None
        None: none, as published.

    Raises
    ------
    ValueError
        If a value is impossible; the message names it.
    """

    architecture_arguments: dict[str, Any] = field(default_factory=dict)
    spacing_zyx_mm: Vector = (5.0, 0.75, 0.75)
    patch_size_zyx: tuple[int, int, int] = (3, 288, 240)
    clip_low_hu: float = -20.0
    clip_high_hu: float = 100.0
    mean_hu: float = 25.0
    sd_hu: float = 30.0
    class_weights: tuple[float, float] = (0.1, 1.0)
    healthy_share: float = 1.0
    validation_fraction: float = 0.2
    seed: int = 1
    schedule: SlexSchedule = field(default_factory=SlexSchedule)
    augmentation: Augmentation | None = None

    def __post_init__(self) -> None:
        if self.patch_size_zyx[0] != _TRIPLET or any(
            size % 16 for size in self.patch_size_zyx[1:]
        ):
            raise ValueError(
                "patch_size_zyx: 3 slices of multiples of 16 pixels expected, "
                f"got {self.patch_size_zyx}"
            )
        for name in ("healthy_share", "validation_fraction"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} lies in [0, 1], got {getattr(self, name)}")

    @property
    def intensity(self) -> Intensity:
        """The normalisation as the card states it."""
        return Intensity(
            clip_low_hu=self.clip_low_hu,
            clip_high_hu=self.clip_high_hu,
            mean=self.mean_hu,
            sd=self.sd_hu,
        )

    def within(self, budget: Budget) -> "SlexRecipe":
        """Return the recipe with the lengths that a budget grants; None leaves its own."""
        wanted = {
            "epochs": budget.epochs,
            "iterations": budget.iterations,
            "limit_minutes": budget.minutes,
        }
        granted = {name: value for name, value in wanted.items() if value is not None}
        schedule = dataclasses.replace(self.schedule, **granted)  # type: ignore[arg-type]  # None is filtered out above
        return dataclasses.replace(self, schedule=schedule)


def read_slex_recipe(path: Path) -> SlexRecipe:
    """Return the recipe in a TOML file.

    Raises
    ------
    ValueError
        If the file is no TOML, a key is unknown or a value impossible; the message names it.
    """
    tables = {"schedule": SlexSchedule, "augmentation": Augmentation}
    return read_recipe_file(SlexRecipe, path, tables)
