"""The classifier: a bundle in, probabilities and maps out."""

import dataclasses

import numpy as np
import pytest
import torch
from mask_builder import ball, bleeding_brain
from vit_builder import TINY_VIT, tiny_vit

from pipeline.classification.classifier import Classifier
from pipeline.classification.grad_cam import grad_cam
from pipeline.classification.transform import to_batch, to_roi
from pipeline.classification.vit import logits
from pipeline.errors import ModelBundleError
from pipeline.model_bundle import ModelBundle, ModelCard
from pipeline.prediction import HeLabel, HePrediction
from pipeline.triplet import SliceTriplet, crop_triplet

CARD = ModelCard(
    name="tiny",
    version="1",
    task="classification",
    architecture="vit",
    architecture_arguments=TINY_VIT,
    window=(40.0, 80.0),
    input_size=32,
    class_names=("HE", "NHE"),
    threshold=0.3,
    training_cohort="none",
    licence="Apache-2.0",
    intended_use="test",
    demonstration=True,
)
CPU = torch.device("cpu")


@pytest.fixture
def bundle(tmp_path) -> ModelBundle:
    """Return a tiny transformer with random weights."""
    return ModelBundle(card=CARD, weights=tiny_vit(seed=3).state_dict(), path=tmp_path)


@pytest.fixture(scope="module")
def triplet() -> SliceTriplet:
    """Three slices through a ball of blood near the border, so that no region is square."""
    mask = ball(
        radius_mm=14,
        spacing_zyx_mm=(5.0, 0.5, 0.5),
        shape_zyx=(9, 120, 160),
        centre_zyx_mm=(20.0, 18.0, 40.0),
    )
    found = crop_triplet(bleeding_brain(mask), mask)
    assert len(found.slices) == 3
    assert all(part.image_yx.shape[0] < part.image_yx.shape[1] for part in found.slices)
    return found


def test_the_first_column_is_the_probability_of_expansion(bundle, triplet):
    """Transform, network, softmax, column 0; threshold of the card."""
    batch = to_batch([part.image_yx for part in triplet.slices], input_size=32)
    expected = torch.softmax(logits(tiny_vit(seed=3), batch), dim=1)[:, 0].tolist()

    found = Classifier(bundle, device=CPU).classify(triplet)

    assert found.slice_probabilities == pytest.approx(expected, abs=1e-6)
    assert found.probability == pytest.approx(sum(expected) / 3, abs=1e-6)
    assert found.threshold == 0.3


def test_an_incomplete_triplet_is_judged_by_the_slices_there_are(bundle, triplet):
    """One slice gives one probability, the same as within the triplet."""
    classifier = Classifier(bundle, device=CPU)
    alone = SliceTriplet(slices=triplet.slices[1:2])

    found = classifier.classify(alone).slice_probabilities

    assert found == pytest.approx(classifier.classify(triplet).slice_probabilities[1:2], abs=1e-6)


def test_maps_lie_on_the_pixels_of_their_slices(bundle, triplet):
    """Each map has the shape and place of its slice, lies in [0, 1] and reaches 1."""
    classifier = Classifier(bundle, device=CPU)
    batch = to_batch([part.image_yx for part in triplet.slices], input_size=32)
    expected = grad_cam(tiny_vit(seed=3), batch)

    found = classifier.explain(triplet, classifier.classify(triplet))

    for heat, part, map_yx in zip(found.slices, triplet.slices, expected, strict=True):
        assert (heat.position, heat.slice_index, heat.roi) == (
            part.position,
            part.slice_index,
            part.roi,
        )
        assert heat.heat_yx.shape == part.image_yx.shape
        assert heat.heat_yx.dtype == np.float32
        assert heat.heat_yx.min() >= 0
        assert heat.heat_yx.max() == pytest.approx(1)
        assert not heat.heat_yx.flags.writeable
        on_slice = to_roi(map_yx, roi_shape_yx=part.image_yx.shape)
        assert np.corrcoef(heat.heat_yx.ravel(), on_slice.ravel())[0, 1] == pytest.approx(1)


def test_judging_twice_gives_the_same(bundle, triplet):
    """Nothing is random at inference, and explaining changes nothing."""
    classifier = Classifier(bundle, device=CPU)
    first = classifier.classify(triplet)

    classifier.explain(triplet, first)

    assert classifier.classify(triplet) == first


def test_a_prediction_for_other_slices_is_not_explained(bundle, triplet):
    """A map belongs to the slice whose probability it explains."""
    prediction = HePrediction(slice_probabilities=(0.5,), threshold=0.3)

    with pytest.raises(ValueError, match="1 slices, the triplet has 3"):
        Classifier(bundle, device=CPU).explain(triplet, prediction)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"class_names": ("NHE", "HE")}, "class_names"),
        ({"window": (45.0, 90.0)}, "window"),
        ({"input_size": 64}, "input_size"),
        ({"architecture_arguments": {**TINY_VIT, "depth": 3}}, "Weights"),
        ({"architecture": "no_such_network"}, "no_such_network"),
    ],
)
def test_a_bundle_that_does_not_fit_is_refused(bundle, change, named):
    """The message names what does not fit."""
    wrong = ModelBundle(
        card=dataclasses.replace(CARD, **change), weights=bundle.weights, path=bundle.path
    )

    with pytest.raises(ModelBundleError, match=named):
        Classifier(wrong, device=CPU)


def test_a_segmentation_card_is_refused(bundle):
    """Whatever it holds, it is no classifier."""
    card = dataclasses.replace(CARD)
    object.__setattr__(card, "task", "segmentation")

    with pytest.raises(ModelBundleError, match="task"):
        Classifier(ModelBundle(card=card, weights=bundle.weights, path=bundle.path), device=CPU)


def test_the_class_order_is_that_of_the_labels():
    """HE is column 0, NHE column 1: the order of the released training code."""
    assert (HeLabel.HE, HeLabel.NHE) == (0, 1)


def test_warming_up_changes_no_answer(bundle):
    """A pass over a black slice leaves weights and answers as they were."""
    classifier = Classifier(bundle, device=CPU)
    slices = [np.full((20, 30), 120, dtype=np.uint8)]
    before = classifier.judge(slices)

    classifier.warm_up()

    assert classifier.judge(slices) == before
