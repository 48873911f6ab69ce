"""The recipe of a segmentation training, read from a TOML file."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.volume import Vector
from training.recipe_file import read_recipe_file
from training.segmentation.augmentation import Augmentation


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """How long and how fast is learnt.

    Attributes
    ----------
    steps : int
        Optimiser steps.
    limit_minutes : float
        Training ends here even if steps are left; the learning rate falls towards whichever
        end comes first.
    learning_rate, weight_decay : float
        Of AdamW.
    warm_up_steps : int
        Steps of linear increase before the cosine.
    ema_decay : float
        Of the averaged weights, which are the ones that are kept.
    validate_every, checkpoint_every : int
        In steps.
    batch_size : int
        Patches in a step, over all processes that train together. With one, the patches of a
        training follow from each other; with more, each from its number in its step, so that
        they are the same however many processes draw them.
    """

    steps: int = 6000
    limit_minutes: float = 90.0
    learning_rate: float = 2e-3
    weight_decay: float = 1e-4
    warm_up_steps: int = 100
    ema_decay: float = 0.995
    validate_every: int = 400
    checkpoint_every: int = 100
    batch_size: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """Which patches are drawn.

    Attributes
    ----------
    foreground_share : float
        Share of patches whose slab shows labelled hematoma.
    weights : dict of str to float
        How often each source is drawn, by the source's name.
    neck_share : float
        Share of patches from the lower end of a scan, where muscles are as bright as blood.
    inserted_bleed_share, extra_axial_share, ventricular_share : float
        Share of patches of real heads into which each kind of blood is drawn.
    validation_fraction : float
        Share of patients held out.
    validation_fractions : dict of str to float
        The share for single sources, by the source's name, where it differs.
    validation_limit : int
        At most so many scans per source are validated on.
    """

    foreground_share: float = 0.5
    neck_share: float = 0.0
    weights: dict[str, float] = field(default_factory=dict)
    inserted_bleed_share: float = 0.4
    extra_axial_share: float = 0.2
    ventricular_share: float = 0.1
    validation_fraction: float = 0.2
    validation_fractions: dict[str, float] = field(default_factory=dict)
    validation_limit: int = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Everything that decides what a training yields, but for the data themselves.

    Attributes
    ----------
    architecture, architecture_arguments
        As on the model card.
    spacing_zyx_mm : Vector
        Grid of the prepared cases.
    patch_size_zyx, tile_size_zyx : tuple of int
        Patch that is trained on, and tile that the bundle's sliding window will use: large
        enough in the plane for a whole head, so that one tile per slab is enough.
    clip_low_hu, clip_high_hu, mean_hu, sd_hu : float
        Normalisation.
    seed : int
        Of the weights and of every random choice.
    schedule, sampling, augmentation
        See there.
    """

    architecture: str
    architecture_arguments: dict[str, Any]
    spacing_zyx_mm: Vector
    patch_size_zyx: tuple[int, int, int]
    tile_size_zyx: tuple[int, int, int]
    clip_low_hu: float
    clip_high_hu: float
    mean_hu: float
    sd_hu: float
    seed: int = 1
    schedule: Schedule = field(default_factory=Schedule)
    sampling: Sampling = field(default_factory=Sampling)
    augmentation: Augmentation = field(default_factory=Augmentation)


_TABLES: dict[str, type[Any]] = {
    "schedule": Schedule,
    "sampling": Sampling,
    "augmentation": Augmentation,
}


def read_recipe(path: Path) -> Recipe:
    """Return the recipe in a TOML file.

    Raises
    ------
    ValueError
        If a key is unknown or missing; the message names it.
    """
    return read_recipe_file(Recipe, path, _TABLES)
