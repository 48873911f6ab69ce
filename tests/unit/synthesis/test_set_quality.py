"""Copies, probes, feature networks and the report on a synthetic set."""

import json
import math

import numpy as np
import pytest
import torch
from diffusion_builder import slice_image, tiny_generator
from torch import nn
from torchvision.models.inception import InceptionA

from pipeline.model_bundle import builtin_bundle_path
from training.synthesis.quality.features import Described, load_features
from training.synthesis.quality.inception import PooledBlock
from training.synthesis.quality.marks import STATISTIC_NAMES, strongest_marks
from training.synthesis.quality.memorisation import check_memorisation
from training.synthesis.quality.probe import (
    Probe,
    logistic_regression,
    probe_images,
    statistics_of,
)
from training.synthesis.quality.report import judge, write_report
from training.synthesis.quality.sampler_contest import compare_samplers
from training.synthesis.samplers import Sampler

REAL = [slice_image(number, side=32) for number in range(40)]
PATIENTS = [f"p{number // 2}" for number in range(40)]
NEW = [slice_image(number, side=32) for number in range(100, 140)]


class MeanAndSpread:
    """Describes an image by two numbers, and calls it bright or dark."""

    name = "mean and spread"

    def describe(self, images_yx):
        features = np.array([[one.mean(), one.std()] for one in images_yx])
        share = 1 / (1 + np.exp(-(features[:, 0] - 110)))
        return Described(features=features, probabilities=np.stack([share, 1 - share], axis=1))


def test_copies_are_found_even_mirrored_and_noisy():
    """Learnt slices, mirrored and with a little noise, are all called copies."""
    rng = np.random.default_rng(1)
    copies = [
        np.clip(one[:, ::-1] + rng.normal(0, 2, one.shape), 0, 255).astype(np.uint8)
        for one in REAL
    ]

    found = check_memorisation(copies, REAL, patients=PATIENTS)

    assert found.copies == 1
    assert found.nearest.tolist() == list(range(40))
    assert found.median_ratio < 0.3


def test_new_patients_are_as_near_as_patients_are():
    """Slices of the same kind but of nobody who was learnt: few are too near."""
    found = check_memorisation(NEW, REAL, patients=PATIENTS)

    assert found.copies == 0
    assert found.too_near <= 0.15
    assert found.median_ratio == pytest.approx(1, abs=0.2)


def test_slices_of_one_patient_do_not_set_the_limit():
    """Each patient's two slices are equal; the limit is still that between patients."""
    twice = [slice_image(number // 2, side=32) for number in range(40)]

    found = check_memorisation(NEW, twice, patients=PATIENTS)

    assert found.limit > 5
    with pytest.raises(ValueError, match="two patients"):
        check_memorisation(NEW, twice, patients=["p"] * 40)


@pytest.mark.parametrize("probe", list(Probe))
def test_a_probe_finds_a_shortcut(probe):
    """Images with a brighter frame are told apart."""
    framed = [one.copy() for one in NEW[:20]]
    for one in framed:
        one[:3] = one[:, :3] = 150

    found = probe_images(probe, framed, REAL[:20], patients=PATIENTS[:20])

    assert found.auc.value > 0.9


def test_a_probe_finds_nothing_where_there_is_nothing():
    """Other images of the same kind are not told apart."""
    found = probe_images(Probe.STATISTICS, NEW, REAL, patients=PATIENTS)

    assert found.auc.low < 0.6
    assert found.auc.value < 0.75


def test_the_logistic_regression_is_at_the_minimum():
    """The slope of the penalised likelihood vanishes there; a single share gives its logit."""
    rng = np.random.default_rng(2)
    design = np.column_stack([rng.normal(size=(60, 3)), np.ones(60)])
    target = rng.random(60) < 1 / (1 + np.exp(-2 * design[:, 0]))

    weights = logistic_regression(design, target)
    share = 1 / (1 + np.exp(-design @ weights))
    constant = logistic_regression(np.ones((10, 1)), np.arange(10) < 8)

    assert design.T @ (share - target) + weights * [1, 1, 1, 0] == pytest.approx(0, abs=1e-6)
    assert constant[0] == pytest.approx(math.log(8 / 2))


def test_statistics_know_size_levels_and_texture():
    """White noise has equal bands; a constant image has none; half black is said so."""
    rng = np.random.default_rng(3)
    noise = rng.integers(0, 256, (64, 48)).astype(np.uint8)
    half = np.zeros((32, 32), dtype=np.uint8)
    half[16:] = 255

    found = statistics_of(noise)

    assert found.shape == (24,)
    assert found[:3] == pytest.approx([math.log(64), math.log(48), 64 / 48 - 1])
    assert np.ptp(found[16:]) < 1
    assert statistics_of(half)[14:16] == pytest.approx([0.5, 0.5])
    assert (statistics_of(np.full((8, 8), 7, dtype=np.uint8))[16:] < -15).all()


def test_the_fid_network_leaves_the_padding_out():
    """Of a constant image the pooled branch sees the constant at the border, too.

    The whole network was compared with the blocks of mseitzer/pytorch-fid (random weights,
    299 x 299): features and probabilities were equal to the bit.
    """
    block = PooledBlock(InceptionA(4, 2), greatest=False).eval()
    seen = []
    nn.Module.register_forward_hook(block.branch_pool, lambda _, given, __: seen.append(given[0]))

    with torch.inference_mode():
        output = block(torch.ones(1, 4, 5, 5))

    assert output.shape == (1, 64 + 64 + 96 + 2, 5, 5)
    assert torch.allclose(seen[-1], torch.ones(1, 4, 5, 5))
    assert not torch.allclose(seen[0], torch.ones(1, 4, 5, 5))  # torchvision's own
    assert set(block.state_dict()) == set(InceptionA(4, 2).state_dict())


def test_our_classifiers_features_are_named_as_such(tmp_path):
    """Nobody takes them for Inception's."""
    network = load_features(builtin_bundle_path("demo-classification"))

    described = network.describe(REAL[:3])

    assert "not Inception" in network.name
    assert described.features.shape[0] == 3
    assert described.probabilities.sum(axis=1) == pytest.approx([1, 1, 1])
    with pytest.raises(ValueError, match="neither"):
        load_features(tmp_path)
    (tmp_path / "weights.pth").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="cannot be read"):
        load_features(tmp_path / "weights.pth")
    torch.save({"a": torch.zeros(1)}, tmp_path / "weights.pth")
    with pytest.raises(ValueError, match="no Inception"):
        load_features(tmp_path / "weights.pth")


def test_the_report_holds_every_number_beside_its_aim(tmp_path):
    """Images of the same kind as the real ones score as real ones do among themselves."""
    quality, memorised = judge(
        NEW, REAL, patients=PATIENTS, network=MeanAndSpread(), probes=[Probe.STATISTICS]
    )
    write_report(tmp_path, quality, memorised, synthetic=NEW, real=REAL)

    content = json.loads((tmp_path / "quality.json").read_text())

    assert content["features"] == "mean and spread"
    assert quality.frechet < 1
    assert 1 <= quality.score.mean <= 2
    assert [one.probe for one in quality.probes] == [Probe.STATISTICS]
    assert (tmp_path / "nearest.png").exists()
    assert "mean and spread" in (tmp_path / "quality.md").read_text()


def test_the_strongest_mark_is_named():
    """Darker slices have less of the mean grey, larger ones more height."""
    dark = [one - np.uint8(60) for one in NEW]
    large = [one.repeat(2, axis=0) for one in NEW]

    grey = {one.name: one.auc for one in strongest_marks(dark, REAL)}
    size = strongest_marks(large, REAL)[0]
    of_nothing = strongest_marks(REAL, REAL)

    assert grey["mean grey"] == 0
    assert (size.name, size.auc) == ("height", 1.0)
    assert all(one.auc == pytest.approx(0.5) for one in of_nothing)
    assert len(STATISTIC_NAMES) == len(statistics_of(REAL[0]))


def test_samplers_are_compared_by_distance_and_time(tmp_path):
    """All steps first, then each fast sampler with each count, by the clock that is given."""
    seconds = iter(range(100))

    results = compare_samplers(
        tiny_generator(tmp_path),
        [slice_image(number, side=16) for number in range(8)],
        network=MeanAndSpread(),
        count=4,
        steps=(9, 4, 50),
        clock=lambda: float(next(seconds)),
    )

    assert [(one.sampler, one.steps) for one in results] == [
        (Sampler.DDPM, 20),
        *((Sampler.DDIM, count) for count in (4, 9, 20)),
        *((Sampler.DPM_SOLVER, count) for count in (4, 9, 20)),
    ]
    assert {one.seconds_each for one in results} == {0.25}
    assert all(math.isfinite(one.frechet) for one in results)
