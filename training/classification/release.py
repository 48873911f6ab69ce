"""The release: a fitted classifier with its card, as a bundle that the node loads."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.model_bundle import ModelBundle, ModelCard, save_bundle
from pipeline.prediction import HeLabel
from pipeline.training_statistics import Measure, TrainingStatistics, distribution_of
from training.classification.evaluation import Scores
from training.classification.evaluation_files import scores_record
from training.classification.fitting import FittedClassifier
from training.classification.recipe import Recipe
from training.classification.split import Split
from training.synthesis.provenance import is_synthetic

INTENDED_USE = (
    "RESEARCH USE ONLY. Demonstrates the pipeline; trained on simulated hematomas alone, "
    "its probability says nothing about a real patient."
)
INTENDED_USE_REAL = "RESEARCH USE ONLY. A classifier of a study, not approved for any patient."
LICENCE = "Apache-2.0"


def release_classifier(
    path: Path,
    fitted: FittedClassifier,
    recipe: Recipe,
    split: Split,
    *,
    version: str,
    cohort: str | None = None,
) -> ModelBundle:
    """Write weights and card to a folder and return the bundle.

    `cohort` names the data of real patients; None says that all of them were simulated.
    """
    weights = fitted.network.state_dict()
    if fitted.reference is not None:
        weights = {**weights, **fitted.reference.tensors()}
    card = classifier_card(fitted, recipe, split, version=version, cohort=cohort)
    return save_bundle(path, card, weights)


def classifier_card(
    fitted: FittedClassifier,
    recipe: Recipe,
    split: Split,
    *,
    version: str,
    cohort: str | None = None,
) -> ModelCard:
    """Return the card of a fitted classifier."""
    window = recipe.slices.window
    return ModelCard(
        name=recipe.name,
        version=version,
        task="classification",
        architecture=recipe.network.architecture,
        architecture_arguments=dict(recipe.network.arguments),
        window=(window.level_hu, window.width_hu),
        input_size=recipe.network.input_size,
        slice_input=recipe.slices,
        class_names=tuple(label.name for label in HeLabel),
        threshold=fitted.threshold,
        operating_points=fitted.operating_points or None,
        familiarity=fitted.limit,
        training_cohort=_cohort(split, recipe, cohort),
        training_statistics=probability_statistics(
            fitted.validation.after, cohort or "simulated only"
        ),
        metrics={
            "validation": {
                "auc": fitted.record.validation_auc,
                "epoch": fitted.record.epoch,
                "calibration": str(recipe.validation.calibration),
                "log_odds_scale": round(fitted.scaling.scale, 4),
                "log_odds_offset": round(fitted.scaling.offset, 4),
            }
        },
        licence=LICENCE,
        intended_use=INTENDED_USE if cohort is None else INTENDED_USE_REAL,
        demonstration=cohort is None,
    )


def probability_statistics(probabilities: NDArray[np.float64], cohort: str) -> TrainingStatistics:
    """Return the probabilities of validation patients; those of training are too extreme."""
    return TrainingStatistics(
        cohort=f"Validation patients. {cohort}",
        measures={Measure.HE_PROBABILITY: distribution_of(probabilities.tolist())},
    )


def with_scores(bundle: ModelBundle, scores: Scores, *, name: str = "held_out") -> ModelBundle:
    """Return the bundle, written anew, with the scores of held-out patients on its card.

    `name` tells these patients from others whose scores stand there already.
    """
    held_out: dict[str, Any] = {
        **scores_record(scores),
        "masks": "true hematoma masks of the simulator",
    }
    if not bundle.card.demonstration:
        held_out.pop("masks")
    card = dataclasses.replace(bundle.card, metrics={**bundle.card.metrics, name: held_out})
    return save_bundle(bundle.path, card, bundle.weights)


def _cohort(split: Split, recipe: Recipe, name: str | None) -> str:
    real = [case for case in split.training if not is_synthetic(case.patient_id)]
    synthetic = len(split.training) - len(real)
    patients = {case.patient_id for case in real}
    expanded = sum(case.label is HeLabel.HE for case in real)
    choosing = sum(case.label is HeLabel.HE for case in split.validation)
    kind = "simulated hematomas" if name is None else "hematomas"
    return (
        f"{name or 'Simulated only'}: {len(real)} hematomas ({expanded} expanding) in "
        f"{len(patients)} {'heads' if name is None else 'patients'}"
        + (f", and {synthetic} synthetic slices of expanding ones" if synthetic else "")
        + f"; epoch, calibration and threshold chosen on {len(split.validation)} other {kind} "
        f"({choosing} expanding), so the validation AUC is optimistic. Triplets were cut around "
        f"{'true masks' if name is None else 'masks'} with a margin of "
        f"{recipe.slices.margin_mm:g} mm."
    )
