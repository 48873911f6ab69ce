"""SLEX-Net in the product: from HU to class maps on the source's grid."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from slex_builder import formula_weights

from pipeline.errors import ModelBundleError
from pipeline.model_bundle import load_bundle, save_bundle
from pipeline.model_card import Intensity, ModelCard
from pipeline.segmentation.inference_options import InferenceOptions
from pipeline.segmentation.networks.compact import CompactUNet
from pipeline.segmentation.networks.slex_net import SlexNet
from pipeline.segmentation.segmenter import load_segmenter
from pipeline.segmentation.slex_predictor import SlexPredictor, slex_predictor
from pipeline.volume import CtVolume, regular_grid

CPU = InferenceOptions(device=torch.device("cpu"), bfloat16=False)


def card(**changes):
    fields = {
        "name": "slex",
        "version": "1",
        "task": "segmentation",
        "architecture": "SlexNet",
        "architecture_arguments": {"width": 4},
        "spacing_zyx_mm": (5.0, 1.0, 1.0),
        "patch_size_zyx": (3, 64, 64),
        "intensity": Intensity(clip_low_hu=-20, clip_high_hu=100, mean=25, sd=30),
        "class_names": ("background", "hematoma"),
        "probability_cutoff": 0.5,
        "minimum_component_ml": 0.0,
        "training_cohort": "none",
        "licence": "Apache-2.0",
        "intended_use": "tests",
        "demonstration": True,
    }
    return ModelCard(**{**fields, **changes})


def network():
    built = SlexNet(width=4)
    built.load_state_dict(formula_weights(built.state_dict()))
    return built.eval()


def head(shape=(6, 60, 58), spacing=(5.0, 1.0, 1.0)):
    """Return a box of brain in a bony rim that fills the picture, a bright bar inside."""
    rng = np.random.default_rng(1)
    hu = rng.normal(30, 3, shape)
    for edge in (np.s_[:, :4], np.s_[:, -4:], np.s_[:, :, :4], np.s_[:, :, -4:]):
        hu[edge] = 900
    hu[1:4, shape[1] // 3 : shape[1] // 2, 12:30] = 65
    return CtVolume(hu_zyx=hu.astype(np.int16), grid=regular_grid(shape, spacing))


def test_maps_of_one_tile_are_those_of_the_network():
    """Where grid and patch fit, the maps are the softmax and entropy of the padded stack."""
    volume, net = head(), network()

    maps = SlexPredictor(card(), net, CPU).predict(volume)

    normal = (np.clip(volume.hu_zyx, -20, 100) - 25) / 30
    padded = np.pad(normal, ((0, 0), (2, 2), (3, 3)), constant_values=-1.5)
    with torch.inference_mode():
        logits, entropy = net.segment_stack(torch.from_numpy(padded)[None, None].float())
    inner = np.s_[:, 2:-2, 3:-3]
    expected = torch.softmax(logits, dim=1)[0, 1].numpy()[inner]
    np.testing.assert_allclose(maps.hematoma_zyx, expected, atol=1e-4)
    np.testing.assert_allclose(maps.entropy_zyx, entropy[0].numpy()[inner], atol=1e-4)


def test_maps_come_back_on_the_source_grid():
    """Probability and entropy are resampled to the scan, whatever its spacing."""
    volume = head(shape=(11, 80, 70), spacing=(2.5, 0.7, 0.8))

    maps = SlexPredictor(card(), network(), CPU).predict(volume)

    assert maps.hematoma_zyx.shape == maps.entropy_zyx.shape == (11, 80, 70)
    assert 0 <= maps.hematoma_zyx.min() <= maps.hematoma_zyx.max() <= 1
    assert 0 <= maps.entropy_zyx.min() <= maps.entropy_zyx.max() <= math.log(2) + 1e-6


class _Echo(SlexNet):
    """Says what it sees: the image is the logit of hematoma, the entropy its square."""

    def segment_stack(self, stack):
        image = stack[:, 0]
        return torch.stack([torch.zeros_like(image), image], dim=1), image**2


@pytest.mark.parametrize("mirror_axes", [(), (2,), (0, 1, 2)])
def test_tiles_and_mirrored_copies_are_put_back_where_they_were(mirror_axes):
    """A network that echoes its input gives the input back, through tiles and mirrors alike."""
    volume = head(shape=(5, 90, 75))
    options = dataclasses.replace(CPU, mirror_axes=mirror_axes)
    seen = []

    predictor = SlexPredictor(card(patch_size_zyx=(3, 32, 48)), _Echo(width=1), options)
    maps = predictor.predict(volume, on_progress=seen.append)

    normal = (np.clip(volume.hu_zyx, -20, 100) - 25) / 30
    np.testing.assert_allclose(maps.hematoma_zyx, 1 / (1 + np.exp(-normal)), atol=1e-5)
    np.testing.assert_allclose(maps.entropy_zyx, normal**2, atol=1e-4)
    assert len(seen) > 2
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


def test_a_bundle_is_run_through_the_card(tmp_path):
    """The architecture on the card chooses this predictor; the doubt reaches the finding."""
    save_bundle(tmp_path, card(), network().state_dict())
    segmenter = load_segmenter(load_bundle(tmp_path), device=torch.device("cpu"))
    volume = head()

    segmenter.warm_up()
    found = segmenter.segment(volume)

    # The segmenter computes in bfloat16 where that is faster: 8 bits of mantissa.
    expected = SlexPredictor(card(), network(), CPU).predict(volume)
    np.testing.assert_allclose(found.uncertainty_zyx, expected.entropy_zyx, atol=0.05)
    assert np.abs(found.uncertainty_zyx - expected.entropy_zyx).mean() < 0.005


def test_bfloat16_changes_probabilities_by_rounding_only():
    """The U-Nets may compute in bfloat16; paths are weighed and summed in float32."""
    volume = head()

    exact = SlexPredictor(card(), network(), CPU).predict(volume)
    rounded = SlexPredictor(card(), network(), dataclasses.replace(CPU, bfloat16=True)).predict(
        volume
    )

    assert rounded.hematoma_zyx.dtype == np.float32
    np.testing.assert_allclose(rounded.hematoma_zyx, exact.hematoma_zyx, atol=0.05)


def test_another_network_is_refused(tmp_path):
    """The stack-wise way is SLEX-Net's alone."""
    arguments = {"features": [4, 8], "slice_strides": [1], "volume_levels": 1}
    other = card(architecture="CompactUNet", architecture_arguments=arguments)
    bundle = save_bundle(tmp_path, other, CompactUNet(**arguments).state_dict())

    with pytest.raises(ModelBundleError, match="CompactUNet is not run as SLEX-Net"):
        slex_predictor(bundle, CPU)
