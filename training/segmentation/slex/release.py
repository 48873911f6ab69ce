"""From a training of SLEX-Net to a bundle that the node can load."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.model_bundle import ModelBundle, save_bundle
from pipeline.model_card import ModelCard
from training.segmentation.slex.recipe import SlexRecipe

SUMMARY = "summary.json"

#: What a card says as long as nobody has said more.
_DRAFT = {
    "name": "slex-net",
    "version": "0",
    "licence": "not decided",
    "intended_use": "RESEARCH USE ONLY. A training run, not judged on held-out patients.",
    "demonstration": True,
    "probability_cutoff": 0.5,
    "minimum_component_ml": 0.0,
}

_CONVOLUTION_AXES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class SlexSummary:
    """What a training run amounted to.

    Attributes
    ----------
    sources : tuple of str
        Data sets that were trained on.
    training_scans, training_patients, validation_scans, validation_patients : int
        How many.
    epochs, iterations, seconds
        Finished over all runs into the folder.
    best_epoch : int
        Epoch of the weights that are kept.
    validation_dice : float or None
        Their mean Dice on the validation scans with hematoma, by which they were chosen.
    """

    sources: tuple[str, ...]
    training_scans: int
    training_patients: int
    validation_scans: int
    validation_patients: int
    epochs: int
    iterations: int
    seconds: float
    best_epoch: int
    validation_dice: float | None


def release_slex(
    path: Path,
    recipe: SlexRecipe,
    folder: Path,
    *,
    facts: Mapping[str, Any] | None = None,
) -> ModelBundle:
    """Write the best weights of a run, convolutions halved in precision, with their card.

    Parameters
    ----------
    path : Path
        Folder of the bundle.
    recipe : SlexRecipe
        What the weights were trained with.
    folder : Path
        Of the run, as `train_slex` left it.
    facts : mapping, optional
        Fields of the card that replace the draft: name, version, licence, intended_use,
        demonstration, probability_cutoff, minimum_component_ml, training_cohort, metrics,
        volume_error. Metrics given here are added to the validation's.

    Raises
    ------
    FileNotFoundError
        If the run has not ended.
    """
    import torch

    from training.segmentation.slex.trainer import BEST_WEIGHTS

    summary = read_summary(folder)
    given = dict(facts or {})
    metrics = {**_metrics(summary), **given.pop("metrics", {})}
    card = ModelCard(
        task="segmentation",
        architecture="SlexNet",
        architecture_arguments=recipe.architecture_arguments,
        spacing_zyx_mm=recipe.spacing_zyx_mm,
        patch_size_zyx=recipe.patch_size_zyx,
        intensity=recipe.intensity,
        class_names=("background", "hematoma"),
        **{**_DRAFT, "training_cohort": _cohort(summary), "metrics": metrics, **given},
    )
    weights = torch.load(folder / BEST_WEIGHTS, map_location="cpu", weights_only=True)
    # The statistics of batch normalisation may leave the range of half precision.
    kept = {
        name: value.to(torch.float16) if value.ndim == _CONVOLUTION_AXES else value
        for name, value in weights.items()
    }
    return save_bundle(path, card, kept)


def write_summary(folder: Path, summary: SlexSummary) -> None:
    """Write what a run amounted to."""
    text = json.dumps(dataclasses.asdict(summary), indent=2) + "\n"
    (folder / SUMMARY).write_text(text)


def read_summary(folder: Path) -> SlexSummary:
    """Return what `write_summary` wrote."""
    content = json.loads((folder / SUMMARY).read_text())
    return SlexSummary(**{**content, "sources": tuple(content["sources"])})


def _cohort(summary: SlexSummary) -> str:
    return (
        f"{summary.training_scans} scans of {summary.training_patients} patients from "
        f"{', '.join(summary.sources)}; {summary.validation_scans} scans of "
        f"{summary.validation_patients} other patients chose the epoch."
    )


def _metrics(summary: SlexSummary) -> dict[str, Any]:
    """Return what the card may claim: nothing beyond the validation that chose the weights."""
    validation: dict[str, Any] = {
        "scans": summary.validation_scans,
        "epoch": summary.best_epoch,
        "note": "chose the epoch, hence optimistic",
    }
    if summary.validation_dice is not None:
        validation["dice"] = {"mean": round(summary.validation_dice, 4)}
    return {"validation": validation, "held_out": "not measured"}
