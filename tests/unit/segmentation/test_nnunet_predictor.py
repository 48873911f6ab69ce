"""Our predictor against nnU-Net's own, on the same weights."""

import contextlib
import dataclasses
import io

import numpy as np
import pytest
import torch
from nnunet_model import CONFIGURATION, TRAINER, TrainedModel, head_hu, trained_model
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.preprocessing.resampling.default_resampling import (
    compute_new_shape,
    resample_data_or_seg_to_shape,
)
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from pipeline.model_bundle import load_bundle
from pipeline.segmentation.inference_options import InferenceOptions
from pipeline.segmentation.nnunet_import import bundle_from_nnunet
from pipeline.segmentation.predictors import load_network
from pipeline.segmentation.resize import resize, resized_shape, thick_axis
from pipeline.segmentation.segmenter import load_segmenter
from pipeline.segmentation.tiled_predictor import TiledPredictor
from pipeline.volume import CtVolume, regular_grid

CPU = torch.device("cpu")
MIRROR = (0, 1, 2)


@pytest.fixture(scope="module")
def model() -> TrainedModel:
    """Return a network of a seed with which nnU-Net's rounding stays far below the tolerances."""
    return trained_model(seed=3)


@pytest.fixture(scope="module")
def bundle(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("nnunet")
    return bundle_from_nnunet(model.save(folder / "model"), folder / "bundle")


def nnunet_of(model: TrainedModel, *, mirrored: bool) -> nnUNetPredictor:
    """Return nnU-Net's predictor; what it prints about the device is not wanted here."""
    with contextlib.redirect_stdout(io.StringIO()):
        predictor = nnUNetPredictor(use_mirroring=mirrored, device=CPU, allow_tqdm=False)
    plans = PlansManager(model.plans)
    predictor.manual_initialization(
        model.network,
        plans,
        plans.get_configuration(CONFIGURATION),
        [model.network.state_dict()],
        model.dataset,
        TRAINER,
        MIRROR,
    )
    return predictor


def volume_of(spacing, shape) -> CtVolume:
    return CtVolume(hu_zyx=head_hu(shape, spacing), grid=regular_grid(shape, spacing))


def predictor_of(bundle, **options) -> TiledPredictor:
    return TiledPredictor(
        bundle.card, load_network(bundle), InferenceOptions(device=CPU, **options)
    )


def dice(first, second) -> float:
    return float(2 * (first & second).sum() / (first.sum() + second.sum()))


@pytest.mark.parametrize(
    ("spacing", "shape", "mirrored"),
    [
        ((5.0, 1.0, 1.0), (11, 52, 48), True),
        ((4.0, 0.8, 0.8), (15, 80, 70), False),  # resampled, there and back
        ((5.0, 1.0, 1.0), (6, 28, 60), False),  # padded along z and y
    ],
)
def test_logits_and_masks_are_those_of_nnunet(model, bundle, spacing, shape, mirrored):
    """From HU to the mask on the source grid; nnU-Net sums in half precision, hence 2e-2."""
    volume = volume_of(spacing, shape)
    peer = nnunet_of(model, mirrored=mirrored)
    ours = predictor_of(
        bundle, whole_field=True, bfloat16=False, mirror_axes=MIRROR if mirrored else ()
    )
    properties = {"spacing": list(spacing)}
    image = volume.hu_zyx[None].astype(np.float32)

    mask, probability = peer.predict_single_npy_array(
        image, properties, save_or_return_probabilities=True
    )
    found = ours.predict(volume).hematoma_zyx

    assert (mask == 1).sum() > 5
    assert dice(mask == 1, found >= 0.5) >= 0.999
    assert np.abs(found - probability[1]).max() < 2e-2


def test_logits_on_the_networks_grid_are_those_of_nnunet(model, bundle):
    """Where no tile was skipped: hematoma minus background, before any resampling back.

    Left out is the rim of the field, where the weights of all tiles are so small that nnU-Net,
    which sums in half precision, rounds them by tens of percent.
    """
    volume = volume_of((5.0, 1.0, 1.0), (11, 52, 48))
    peer = nnunet_of(model, mirrored=False)
    data = torch.from_numpy((np.clip(volume.hu_zyx, -20, 100).astype(np.float32) - 30) / 20)[None]

    both = peer.predict_logits_from_preprocessed_data(data).float()
    ours = predictor_of(bundle, whole_field=True, bfloat16=False).logits(volume)

    inside = (slice(1, -1), slice(5, -5), slice(5, -5))
    assert not (ours == -20).any()  # what is said where a tile is skipped
    theirs = (both[1] - both[0]).numpy()[inside]
    np.testing.assert_allclose(ours[0][inside], theirs, atol=3e-2)


def test_bfloat16_keeps_the_mask(bundle):
    """Convolutions in bfloat16 move logits a little and the mask's volume by less than 1 %."""
    volume = volume_of((5.0, 1.0, 1.0), (11, 52, 48))
    exact = predictor_of(bundle, bfloat16=False).predict(volume).hematoma_zyx >= 0.5

    rough = predictor_of(bundle, bfloat16=True).predict(volume).hematoma_zyx >= 0.5

    assert dice(exact, rough) > 0.99


def test_preparing_a_network_changes_its_answer_by_rounding_only(model, bundle):
    """Channels last and group normalisation are the same arithmetic in another order."""
    tiles = torch.randn(2, 1, 8, 32, 32, generator=torch.Generator().manual_seed(3))
    predictor = predictor_of(bundle, bfloat16=False)

    with torch.inference_mode():
        expected, found = model.network(tiles), predictor._network(tiles)

    torch.testing.assert_close(found, expected, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("order", [1, 3])
@pytest.mark.parametrize(
    ("shape", "own", "target"),
    [
        ((9, 40, 33), (5.0, 0.45, 0.47), (5.0, 0.5, 0.5)),
        ((9, 40, 33), (6.0, 0.45, 0.47), (5.0, 0.5, 0.5)),
        ((20, 30, 33), (1.25, 0.9, 0.9), (1.0, 1.0, 1.0)),
        ((12, 20, 9), (0.5, 0.5, 4.0), (0.6, 0.6, 3.0)),
        ((12, 20, 9), (3.0, 3.0, 0.5), (2.0, 2.0, 0.6)),
    ],
)
def test_resizing_is_that_of_nnunet(order, shape, own, target):
    """Independent implementation: nnU-Net's resampling by scikit-image, slices apart or not."""
    values = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    expected_shape = compute_new_shape(shape, own, target)
    expected = resample_data_or_seg_to_shape(
        values[None], expected_shape, own, target, order=order, order_z=0, force_separate_z=None
    )[0]

    wanted = resized_shape(shape, own, target)
    found = resize(values, wanted, order=order, nearest_axis=thick_axis(own, target))

    assert wanted == tuple(expected_shape)
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_a_flipped_and_uneven_stack_is_predicted_on_its_own_grid(bundle):
    """nnU-Net's sampling starts from a regular stack; the mask returns to the odd one."""
    regular = volume_of((5.0, 1.0, 1.0), (11, 52, 48))
    mirrored = CtVolume(
        hu_zyx=regular.hu_zyx[:, :, ::-1],
        grid=_mirrored_in_x(regular),
    )
    predictor = predictor_of(bundle, bfloat16=False)

    usual = predictor.predict(regular).hematoma_zyx
    other = predictor.predict(mirrored).hematoma_zyx

    np.testing.assert_allclose(other[:, :, ::-1], usual, atol=1e-3)


def _mirrored_in_x(volume: CtVolume):
    grid = volume.grid
    last = (grid.shape_zyx[2] - 1) * grid.pixel_spacing_yx_mm[1]
    return dataclasses.replace(
        grid,
        row_cosine_lps=tuple(-value for value in grid.row_cosine_lps),
        slice_origins_lps_mm=tuple((x + last, y, z) for x, y, z in grid.slice_origins_lps_mm),
    )


def test_an_imported_model_runs_as_a_segmenter(bundle):
    """The bundle that the import wrote is read back from its folder and run."""
    segmenter = load_segmenter(load_bundle(bundle.path), device=CPU)
    volume = volume_of((5.0, 1.0, 1.0), (11, 52, 48))

    segmenter.warm_up()

    expected = predictor_of(bundle).predict(volume).hematoma_zyx
    np.testing.assert_array_equal(segmenter.probability(volume), expected)
