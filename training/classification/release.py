"""The release: a fitted classifier with its card, as a bundle that the node loads."""

import dataclasses
from pathlib import Path
from typing import Any

from pipeline.model_bundle import ModelBundle, ModelCard, save_bundle
from pipeline.prediction import HeLabel
from pipeline.slice_input import DEFAULT_MARGIN_MM
from pipeline.windowing import BRAIN_WINDOW
from training.classification.evaluation import Scores
from training.classification.fitting import FittedClassifier
from training.classification.recipe import Recipe
from training.classification.split import Split
from training.evaluation.estimate import Estimate

INTENDED_USE = (
    "RESEARCH USE ONLY. Demonstrates the pipeline; trained on simulated hematomas alone, "
    "its probability says nothing about a real patient."
)
LICENCE = "Apache-2.0"


def release_classifier(
    path: Path, fitted: FittedClassifier, recipe: Recipe, split: Split, *, version: str
) -> ModelBundle:
    """Write weights and card to a folder and return the bundle."""
    return save_bundle(
        path,
        classifier_card(fitted, recipe, split, version=version),
        fitted.network.state_dict(),
    )


def classifier_card(
    fitted: FittedClassifier, recipe: Recipe, split: Split, *, version: str
) -> ModelCard:
    """Return the card of a classifier that was fitted on simulated cases."""
    return ModelCard(
        name=recipe.name,
        version=version,
        task="classification",
        architecture=recipe.network.architecture,
        architecture_arguments=dict(recipe.network.arguments),
        window=(BRAIN_WINDOW.level_hu, BRAIN_WINDOW.width_hu),
        input_size=recipe.network.input_size,
        class_names=tuple(label.name for label in HeLabel),
        threshold=fitted.threshold,
        training_cohort=_cohort(split),
        metrics={
            "validation": {"auc": fitted.record.validation_auc, "epoch": fitted.record.epoch}
        },
        licence=LICENCE,
        intended_use=INTENDED_USE,
        demonstration=True,
    )


def with_scores(bundle: ModelBundle, scores: Scores) -> ModelBundle:
    """Return the bundle, written anew, with the scores of held-out patients on its card."""
    held_out: dict[str, Any] = {
        "patients": scores.patients,
        "hematomas": scores.cases,
        "expanded": scores.expanded,
        "auc": _interval(scores.auc),
        "sensitivity": _interval(scores.sensitivity),
        "specificity": _interval(scores.specificity),
        "brier": round(scores.brier, 4),
        "mean_probability": round(scores.mean_probability, 4),
        "masks": "true hematoma masks of the simulator",
    }
    card = dataclasses.replace(bundle.card, metrics={**bundle.card.metrics, "held_out": held_out})
    return save_bundle(bundle.path, card, bundle.weights)


def _interval(estimate: Estimate) -> dict[str, float]:
    return {
        "value": round(estimate.value, 4),
        "low_95": round(estimate.low, 4),
        "high_95": round(estimate.high, 4),
    }


def _cohort(split: Split) -> str:
    patients = {case.patient_id for case in split.training}
    expanded = sum(case.label is HeLabel.HE for case in split.training)
    choosing = sum(case.label is HeLabel.HE for case in split.validation)
    return (
        f"Simulated only: {len(split.training)} hematomas ({expanded} expanding) in "
        f"{len(patients)} heads; epoch, calibration and threshold chosen on "
        f"{len(split.validation)} other simulated hematomas ({choosing} expanding). Triplets were "
        f"cut around true masks with a margin of {DEFAULT_MARGIN_MM:g} mm."
    )
