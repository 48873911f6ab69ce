"""A deep ensemble of classifiers as one bundle: better calibrated, and it knows its doubt.

References
----------
.. [1] B. Lakshminarayanan, A. Pritzel, C. Blundell, "Simple and Scalable Predictive Uncertainty
   Estimation using Deep Ensembles", NeurIPS 2017.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import torch

from pipeline.classification.classifier import Classifier
from pipeline.classification.familiarity import stored_reference
from pipeline.classification.members import load_members, member_states
from pipeline.model_bundle import ModelBundle, save_bundle
from training.classification.case import TripletCase
from training.classification.evaluation import evaluate
from training.classification.metrics import operating_point, youden_threshold
from training.classification.release import probability_statistics

#: Fields in which members must agree: they see the same picture.
_SHARED = (
    *("architecture", "architecture_arguments", "input_size", "slice_input", "window"),
    *("class_names", "training_cohort", "demonstration"),
)

_HINT = "; members are trained with the same recipe and patients, each with its own --seed"


def join_classifiers(
    path: Path,
    bundles: Sequence[ModelBundle],
    validation: Sequence[TripletCase],
    *,
    name: str,
    version: str,
) -> ModelBundle:
    """Write an ensemble [1]_ of single classifiers and return its bundle.

    Members' calibrated probabilities are averaged. Threshold and operating points are chosen
    anew on validation cases, which no member may have learned from. Familiarity stays that of
    the first member.

    Raises
    ------
    ValueError
        If there are fewer than two, one is an ensemble itself, or they see different pictures.
    """
    if len(bundles) < 2:  # noqa: PLR2004  one is no ensemble
        raise ValueError(f"An ensemble needs two classifiers, got {len(bundles)}")
    first = bundles[0].card
    for bundle in bundles:
        if bundle.card.members is not None:
            raise ValueError(f"{bundle.card.name} is an ensemble already")
        for field in _SHARED:
            if getattr(bundle.card, field) != getattr(first, field):
                raise ValueError(f"{bundle.path} and {bundles[0].path} differ in {field}{_HINT}")
    weights = member_states([load_members(bundle)[0].state_dict() for bundle in bundles])
    reference = stored_reference(bundles[0].weights)
    if reference is not None:
        weights |= reference.tensors()
    wanted = [
        float(point.name.removeprefix("sensitivity-")) / 100
        for point in first.operating_points or ()
    ]
    card = dataclasses.replace(
        first,
        name=name,
        version=version,
        members=len(bundles),
        operating_points=None,
        training_statistics=None,
        metrics={"members": [bundle.card.metrics for bundle in bundles]},
    )
    joined = save_bundle(path, card, weights)
    found = evaluate(Classifier(joined, device=torch.device("cpu")), validation)
    chosen = dataclasses.replace(
        card,
        threshold=youden_threshold(found.expanded, found.probabilities),
        operating_points=tuple(
            operating_point(found.expanded, found.probabilities, wanted_sensitivity=one)
            for one in wanted
        )
        or None,
        training_statistics=probability_statistics(found.probabilities, first.training_cohort),
    )
    return save_bundle(path, chosen, weights)
