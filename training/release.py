"""From trained weights to a bundle that the node can load."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.model_bundle import ModelBundle, save_bundle
from pipeline.model_card import Intensity, ModelCard

if TYPE_CHECKING:
    from torch import Tensor

    from training.segmentation.recipe import Recipe


def release_segmentation(
    path: Path,
    recipe: "Recipe",
    weights: "Mapping[str, Tensor]",
    *,
    facts: Mapping[str, Any],
) -> ModelBundle:
    """Write weights, halved in precision, with their card and return the bundle.

    Parameters
    ----------
    path : Path
        Folder of the bundle.
    recipe : Recipe
        What the weights were trained with.
    weights : mapping of str to Tensor
        State of the network.
    facts : mapping
        The card's fields that no recipe knows: name, version, training_cohort, metrics,
        licence, intended_use, demonstration, probability_cutoff, minimum_component_ml.
    """
    import torch

    card = ModelCard(
        task="segmentation",
        architecture=recipe.architecture,
        architecture_arguments=recipe.architecture_arguments,
        spacing_zyx_mm=recipe.spacing_zyx_mm,
        patch_size_zyx=recipe.tile_size_zyx,
        intensity=Intensity(
            clip_low_hu=recipe.clip_low_hu,
            clip_high_hu=recipe.clip_high_hu,
            mean=recipe.mean_hu,
            sd=recipe.sd_hu,
        ),
        class_names=("background", "hematoma"),
        **facts,
    )
    halved = {
        name: value.to(torch.float16) if value.is_floating_point() else value
        for name, value in weights.items()
    }
    return save_bundle(path, card, halved)
