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
    """A classifier that sees nothing but the brightness of the spot, and says so."""

    def judge(self, images):
        """Return as probability how bright the brightest pixel is."""
        values = [float(image.max()) / 255 for image in images]
        return type("Opinion", (), {"probability": float(np.mean(values))})()

    def heat_maps(self, images):
        """Return the brightness beyond the background."""
        return [np.where(image == 230, 1.0, 0.0).astype(np.float32) for image in images]


def test_a_perfect_map_lies_inside_and_is_deleted_at_once():
    """All saliency inside; without the spot (6 % of the picture) the opinion falls at once.

    Eleven steps: at 0 % the brightest pixel is 230, from 10 % on at most 119 (the background),
    at random the spot survives until its last block is gone.
    """
    one = with_masks(cases(1))[0]

    found = judge_saliency(Spotlight(), one, rng=np.random.default_rng(0))

    assert (found.inside, found.points_inside) == (1, 1)
    assert found.deletion <= (230 + 10 * 119) / 11 / 255 + 1e-9
    assert found.random_deletion > found.deletion + 0.1


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
