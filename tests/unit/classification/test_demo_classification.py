"""The classifier that is shipped: an honest card, and weights that work."""

import numpy as np
import pytest
import torch
from mask_builder import ball, bleeding_brain

from pipeline.classification.classifier import Classifier
from pipeline.model_bundle import ModelBundle, builtin_bundle_path, load_bundle
from pipeline.slice_input import DEFAULT_MARGIN_MM
from pipeline.triplet import crop_triplet

pytestmark = pytest.mark.weights


@pytest.fixture(scope="module")
def bundle() -> ModelBundle:
    """Return the shipped bundle."""
    return load_bundle(builtin_bundle_path("demo-classification"), task="classification")


def test_the_card_hides_nothing(bundle):
    """Simulated only, research only, scores of held-out patients with intervals."""
    card = bundle.card

    assert card.demonstration
    assert "Simulated only" in card.training_cohort
    assert f"margin of {DEFAULT_MARGIN_MM:g} mm" in card.training_cohort
    assert "RESEARCH USE ONLY" in card.intended_use
    held_out = card.metrics["held_out"]
    assert held_out["expanded"] >= 20
    for measure in ("auc", "sensitivity", "specificity"):
        value = held_out[measure]
        assert 0 <= value["low_95"] <= value["value"] <= value["high_95"] <= 1
    assert held_out["auc"]["low_95"] > 0.5


def test_the_bundle_is_small(bundle):
    """At most 12 of the 40 MB that all bundles may take together."""
    assert sum(path.stat().st_size for path in bundle.path.iterdir()) < 12e6


def test_a_ball_of_blood_is_judged_and_explained(bundle):
    """Three probabilities, three maps that reach 1, the same every time."""
    mask = ball(radius_mm=18, spacing_zyx_mm=(5.0, 0.5, 0.5), shape_zyx=(15, 200, 200))
    triplet = crop_triplet(bleeding_brain(mask), mask)
    classifier = Classifier(bundle, device=torch.device("cpu"))

    prediction = classifier.classify(triplet)
    saliency = classifier.explain(triplet, prediction)

    assert len(prediction.slice_probabilities) == 3
    assert prediction == classifier.classify(triplet)
    for heat in saliency.slices:
        assert np.isfinite(heat.heat_yx).all()
        assert heat.heat_yx.max() in (pytest.approx(1), 0)
