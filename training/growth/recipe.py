"""The recipe of a growth forecast, read from a TOML file."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.growth.network import PAPER_WIDTHS, GrowthUNet
from pipeline.model_card import Intensity
from pipeline.volume import Vector
from training.growth.arms import PLANS, Arm
from training.growth.followed import Criteria
from training.growth.losses import LossWeights
from training.growth.prepare import Preparation
from training.growth.shrinking import Shrinking
from training.recipe_file import from_table, read_recipe_file


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """Which patches are looked at; the defaults are the paper's.

    Attributes
    ----------
    patches_per_case : int
        Drawn once from every pair; an epoch goes through all of them.
    ring_share : float
        Share of patches whose centre lies where the hematoma grew; the others lie in the brain.
    patches_per_epoch : int or None
        An epoch looks at so many of them at most, other ones each time; None for all. Gives arms
        with more pairs no more steps.
    validation_patches_per_case : int
        Of pairs that decide when to stop.
    """

    patches_per_case: int = 500
    ring_share: float = 0.8
    patches_per_epoch: int | None = None
    validation_patches_per_case: int = 500

    def __post_init__(self) -> None:
        if not 0 <= self.ring_share <= 1:
            raise ValueError(f"ring_share lies in [0, 1], got {self.ring_share}")
        for name in ("patches_per_case", "validation_patches_per_case"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if self.patches_per_epoch is not None and self.patches_per_epoch < 1:
            raise ValueError(f"patches_per_epoch must be positive, got {self.patches_per_epoch}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Turning:
    """Classical augmentation: rotations and mirror images.

    Attributes
    ----------
    most_degrees : float
        Largest angle about each axis.
    turned_share, mirrored_share : float
        Shares of patches that are turned, and mirrored from left to right. Heads are nearly
        symmetric that way and no other.
    """

    most_degrees: float = 15.0
    turned_share: float = 0.75
    mirrored_share: float = 0.5

    def __post_init__(self) -> None:
        for name in ("turned_share", "mirrored_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} lies in [0, 1], got {getattr(self, name)}")
        if not 0 <= self.most_degrees <= 180:  # noqa: PLR2004  half a turn
            raise ValueError(f"most_degrees lies in [0, 180], got {self.most_degrees}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """How long and how fast is learnt; the defaults are the paper's.

    Attributes
    ----------
    epochs : int
        At most.
    patience : int
        Training stops when so many epochs bring no better validation loss.
    batch_size : int
        Patches in a step.
    learning_rate : float
        Of Adam, constant.
    validation_share : float
        Share of the training patients that decide when to stop.
    checkpoint_every : int
        Steps between checkpoints within an epoch.
    """

    epochs: int = 150
    patience: int = 10
    batch_size: int = 8
    learning_rate: float = 1e-4
    validation_share: float = 0.2
    checkpoint_every: int = 100

    def __post_init__(self) -> None:
        for name in ("epochs", "patience", "batch_size", "learning_rate", "checkpoint_every"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if not 0 < self.validation_share < 1:
            raise ValueError(f"validation_share lies in (0, 1), got {self.validation_share}")


@dataclass(frozen=True, slots=True, kw_only=True)
class GrowthRecipe:
    """Everything that decides what a training yields, but for the pairs and the arm.

    Attributes
    ----------
    name : str
        Of the model.
    seed : int
        Of weights and of every random choice.
    spacing_zyx_mm : Vector
        Voxel size of the pairs.
    patch_size_zyx : tuple of int
        In voxels.
    widths : tuple of int
        Channels of the network's levels.
    clip_low_hu, clip_high_hu : float
        Grey values outside are cut off; between them they go from 0 to 1.
    criteria, shrinking, sampling, turning, loss, course
        See there.

    Raises
    ------
    ValueError
        If a value is impossible or the patch cannot be halved as often as the network does.
    """

    name: str = "growth-unet"
    seed: int = 1
    spacing_zyx_mm: Vector = (1.0, 1.0, 1.0)
    patch_size_zyx: tuple[int, int, int] = (64, 64, 64)
    widths: tuple[int, ...] = PAPER_WIDTHS
    clip_low_hu: float = 0.0
    clip_high_hu: float = 100.0
    criteria: Criteria = field(default_factory=Criteria)
    shrinking: Shrinking = field(default_factory=Shrinking)
    sampling: Sampling = field(default_factory=Sampling)
    turning: Turning = field(default_factory=Turning)
    loss: LossWeights = field(default_factory=LossWeights)
    course: Course = field(default_factory=Course)

    def __post_init__(self) -> None:
        if self.clip_low_hu >= self.clip_high_hu:
            raise ValueError(f"Grey values {self.clip_low_hu}..{self.clip_high_hu} are no range")
        multiple = 2 ** (len(self.widths) - 1)
        sizes: list[int] = list(self.patch_size_zyx)
        if len(sizes) != 3 or any(size < 1 or size % multiple for size in sizes):  # noqa: PLR2004  z, y, x
            raise ValueError(f"patch_size_zyx is three multiples of {multiple}, got {sizes}")

    @property
    def intensity(self) -> Intensity:
        """How Hounsfield units become numbers from 0 to 1."""
        return Intensity(
            clip_low_hu=self.clip_low_hu,
            clip_high_hu=self.clip_high_hu,
            mean=self.clip_low_hu,
            sd=self.clip_high_hu - self.clip_low_hu,
        )

    @property
    def preparation(self) -> Preparation:
        """How the pairs are made."""
        return Preparation(
            spacing_zyx_mm=self.spacing_zyx_mm,
            criteria=self.criteria,
            shrinking=self.shrinking,
            seed=self.seed,
        )

    def network_arguments(self, arm: Arm) -> dict[str, object]:
        """Return what an arm's network is built with."""
        return {
            "widths": list(self.widths),
            "motion": PLANS[arm].motion.value,
            "patch_size_zyx": list(self.patch_size_zyx),
        }

    def network(self, arm: Arm) -> GrowthUNet:
        """Return an arm's network, untrained."""
        return GrowthUNet(
            self.widths, motion=PLANS[arm].motion, patch_size_zyx=self.patch_size_zyx
        )


_TABLES: dict[str, type[Any]] = {
    "criteria": Criteria,
    "shrinking": Shrinking,
    "sampling": Sampling,
    "turning": Turning,
    "loss": LossWeights,
    "course": Course,
}


def read_growth_recipe(path: Path) -> GrowthRecipe:
    """Return the recipe in a TOML file.

    Raises
    ------
    ValueError
        If the file is no TOML, a key is unknown or a value impossible; the message names it.
    """
    return read_recipe_file(GrowthRecipe, path, _TABLES)


def recipe_from_fields(content: Mapping[str, Any], *, where: str) -> GrowthRecipe:
    """Return the recipe that `dataclasses.asdict` and JSON have taken apart.

    Raises
    ------
    ValueError
        If a key is unknown or a value impossible; the message begins with `where`.
    """
    fields = dict(content)
    for name, kind in _TABLES.items():
        if name in fields:
            fields[name] = from_table(kind, fields[name], where=f"{where}, {name}")
    return from_table(GrowthRecipe, fields, where=where)
