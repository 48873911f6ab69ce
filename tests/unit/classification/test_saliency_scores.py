"""Grad-CAM of the trained head: red is important, and it lies where the sign is."""

import dataclasses

import numpy as np
import pytest
import torch
from triplet_builder import cases, tiny_recipe

from pipeline.classification.classifier import Classifier
from training.classification.fitting import fit
from training.classification.release import release_classifier
from training.classification.saliency_scores import judge_saliency, summarise_saliency
from training.classification.saliency_sheet import draw_saliency_sheet, overlay
from training.classification.split import Split


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    """Return a classifier that learned that a bright spot on the left expands."""
    folder = tmp_path_factory.mktemp("saliency")
    split = Split(training=tuple(cases(36)), validation=tuple(cases(18, first=36)))
    recipe = tiny_recipe(epochs=12)
    fitted = fit(split, recipe, output=folder, on_epoch=[].append)
    bundle = release_classifier(folder / "bundle", fitted, recipe, split, version="1")
    return Classifier(bundle, device=torch.device("cpu"))


def with_masks(some):
    """Return cases whose mask is the bright spot."""
    return [
        dataclasses.replace(one, masks_yx=tuple(image == 230 for image in one.images_yx))
        for one in some
    ]


def test_red_is_important():
    """Full saliency has more red than blue, none has more blue than red."""
    heat = np.array([[0.0, 1.0]], dtype=np.float32)

    found = overlay(np.full((1, 2), 128, dtype=np.uint8), heat)

    red, blue = found[..., 0], found[..., 2]
    assert red[0, 1] - blue[0, 1] > 0.15
    assert blue[0, 0] - red[0, 0] > 0.15


def test_the_numbers_lie_in_their_ranges_and_the_area_is_the_masks(classifier):
    """The spot covers 8 x 8 of 32 x 32 pixels."""
    rng = np.random.default_rng(0)
    found = [
        judge_saliency(classifier, one, rng=rng)
        for one in with_masks(cases(12, first=200))
        if one.signs["left"]
    ]

    for one in found:
        assert one.area == pytest.approx(1 / 16, abs=0.005)
        assert 0 <= one.inside <= 1
        assert 0 <= one.deletion <= 1

    summary = summarise_saliency(found, draws=200)
    assert summary.cases == 4
    assert summary.deletion_gain.value == pytest.approx(
        summary.random_deletion.value - summary.deletion.value
    )


class Spotlight:
    """A classifier that sees nothing but how much of the spot is there."""

    def judge(self, images):
        """Return as probability which share of its 64 pixels has its brightness."""
        values = [float((image == 230).sum()) / 64 for image in images]
        return type("Opinion", (), {"probability": float(np.mean(values))})()

    def heat_maps(self, images):
        """Return the brightness beyond the background."""
        return [np.where(image == 230, 1.0, 0.0).astype(np.float32) for image in images]


def test_a_perfect_map_lies_inside_and_is_deleted_at_once():
    """All saliency inside; without the spot (6 % of the picture) the opinion falls at once.

    Eleven steps: at 0 % the whole spot is there, from 10 % on nothing of it. At random half of
    it is there on the average.
    """
    one = with_masks(cases(1))[0]

    found = judge_saliency(Spotlight(), one, rng=np.random.default_rng(0))

    assert (found.inside, found.points_inside) == (1, 1)
    assert found.deletion == pytest.approx(1 / 11)
    assert found.random_deletion == pytest.approx(0.5, abs=0.3)
    assert found.random_deletion > found.deletion + 0.1


class BlackHoles(Spotlight):
    """A classifier that looks for dark spots in the bright middle, a sign of expansion."""

    def judge(self, images):
        """Return the share of dark pixels in the middle, shape (8, 8)."""
        values = [float((image[12:20, 12:20] < 130).mean()) for image in images]
        return type("Opinion", (), {"probability": float(np.mean(values))})()


def test_deletion_makes_no_sign_of_its_own():
    """A hematoma without a dark spot has none while it is taken away, in whatever order."""
    image = np.full((32, 32), 90, np.uint8)
    image[8:24, 8:24] = 230
    one = dataclasses.replace(cases(1)[0], images_yx=(image,) * 3, masks_yx=(image == 230,) * 3)

    found = judge_saliency(BlackHoles(), one, rng=np.random.default_rng(0))

    assert (found.deletion, found.random_deletion) == (0, 0)


def test_without_masks_there_is_nothing_to_compare_with(classifier):
    """A case whose masks were not kept gives no number, and none at all is refused."""
    bare = cases(1)[0]

    assert judge_saliency(classifier, bare, rng=np.random.default_rng(0)) is None
    with pytest.raises(ValueError, match="No case has a mask"):
        summarise_saliency([])


def test_the_sheet_is_drawn(classifier, tmp_path):
    """Two cases, three slices each."""
    draw_saliency_sheet(tmp_path / "sheet.png", classifier, with_masks(cases(2)))

    assert (tmp_path / "sheet.png").stat().st_size > 10000
