"""The recipe of a refit, read from a TOML file."""

from dataclasses import dataclass, field
from pathlib import Path

from training.recipe_file import read_recipe_file


@dataclass(frozen=True, slots=True, kw_only=True)
class RefitRecipe:
    """Everything that decides what a refit yields, but for the network and the data.

    Attributes
    ----------
    steps : int
        Optimiser steps.
    learning_rate, weight_decay : float
        Of AdamW; the rate rises for a twentieth of the steps and falls as a cosine.
    scans_per_step, voxels_per_step : int
        Each step looks at so many voxels of so many scans.
    dice_share, others_share : float
        Weight of the soft Dice, and of holding on to what the published network says of the
        other classes, beside the cross-entropy of hematoma.
    ema_decay : float
        Of the averaged weights, which are the ones that are kept.
    kept_share : float
        How much of the published layers stays: the result is the mean of both, so weighted.
        Keeps what the network knows of bleeds that the training patients do not have [1]_.
    weights : dict of str to float
        How often scans of each source are drawn, by the source's name.
    inserted : dict of str to int
        Copies of each scan with small simulated bleeds drawn into it, by the source's name.
    scans : dict of str to int
        At most so many scans of a source, evenly chosen; all where it is not named.
    validation_fraction, validation_fractions
        Share of patients held out, and that of single sources; they are not read.
    seed : int
        Of every random choice.

    References
    ----------
    .. [1] M. Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022.
    """

    steps: int = 2000
    learning_rate: float = 2e-3
    weight_decay: float = 1e-4
    scans_per_step: int = 24
    voxels_per_step: int = 8192
    dice_share: float = 0.3
    others_share: float = 0.3
    ema_decay: float = 0.995
    kept_share: float = 0.0
    weights: dict[str, float] = field(default_factory=dict)
    inserted: dict[str, int] = field(default_factory=dict)
    scans: dict[str, int] = field(default_factory=dict)
    validation_fraction: float = 0.2
    validation_fractions: dict[str, float] = field(default_factory=dict)
    seed: int = 1


def read_refit_recipe(path: Path) -> RefitRecipe:
    """Return the recipe in a TOML file.

    Raises
    ------
    ValueError
        If a key is unknown; the message names it.
    """
    return read_recipe_file(RefitRecipe, path)
