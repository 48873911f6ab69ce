"""From a scan and its mask to the forecast, on the scan's own grid."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy import ndimage

from pipeline.errors import EmptyHematomaError, GeometryError, ModelBundleError
from pipeline.forecast_error import ForecastError
from pipeline.growth.brain import extract_brain
from pipeline.growth.dense_prediction import predict_field
from pipeline.growth.forecaster import GrowthForecaster, load_forecaster
from pipeline.growth.moved_mask import values_at
from pipeline.growth.network import GrowthUNet
from pipeline.growth.network_input import BrainScan, network_input
from pipeline.model_bundle import load_bundle, save_bundle
from pipeline.resampling import canonical_grid, resample_map
from pipeline.volume import HematomaMask, VoxelGrid, regular_grid
from tests.growth_builder import (
    INTENSITY,
    bleeding_head,
    growth_card,
    moving_forecaster,
    moving_network,
)
from training.cohort.intake.prepare_scan import Preparation, make_case
from training.cohort.intake.scan_facts import ScanFacts
from training.cohort.nifti import read_nifti

#: The usual grid, thick slices, slices sheared by 15 degrees and uneven, and rows that run back.
GRIDS = {
    "even": regular_grid((36, 80, 80), (4.0, 2.0, 2.0)),
    "thick": regular_grid((29, 160, 160), (5.0, 1.0, 1.0), origin_lps_mm=(-80.0, -90.0, 30.0)),
    "tilted": VoxelGrid(
        shape_zyx=(36, 80, 80),
        pixel_spacing_yx_mm=(2.0, 2.0),
        slice_origins_lps_mm=tuple(
            (0.0, np.tan(np.radians(15)) * z, z)
            for z in np.arange(36) * 4.0 + 0.3 * (-1) ** np.arange(36)
        ),
    ),
    "backwards": VoxelGrid(
        shape_zyx=(36, 80, 80),
        pixel_spacing_yx_mm=(2.0, 2.0),
        row_cosine_lps=(-1.0, 0.0, 0.0),
        column_cosine_lps=(0.0, -1.0, 0.0),
        slice_origins_lps_mm=tuple((160.0, 160.0, 4.0 * k) for k in range(36)),
    ),
}


def centroid_lps_mm(mask: HematomaMask) -> np.ndarray:
    return np.mean(
        [mask.grid.to_lps_mm(tuple(one)) for one in np.argwhere(mask.voxels_zyx)], axis=0
    )


@pytest.mark.parametrize("name", GRIDS)
def test_without_movement_the_forecast_is_the_baseline(name):
    """A network that moves nothing gives the measured mask back, voxel by voxel."""
    volume, hematoma = bleeding_head(GRIDS[name])

    forecast = moving_forecaster((0.0, 0.0, 0.0)).forecast(volume, hematoma)

    assert np.array_equal(forecast.follow_up.voxels_zyx, hematoma.voxels_zyx)
    assert forecast.growth_ml == 0.0
    assert forecast.folding == 0.0
    assert forecast.volume_range is None


@pytest.mark.parametrize("name", GRIDS)
def test_the_hematoma_moves_in_the_patient_not_in_the_array(name):
    """Values come from 1, -1.5 and 2 voxels of 4 mm away, so the clot goes the other way in mm.

    Along the slices it can only go by whole slices of up to 5 mm.
    """
    volume, hematoma = bleeding_head(GRIDS[name])

    forecast = moving_forecaster((1.0, -1.5, 2.0)).forecast(volume, hematoma)

    moved = centroid_lps_mm(forecast.follow_up) - centroid_lps_mm(hematoma)
    assert moved[:2] == pytest.approx([-8.0, 6.0], abs=0.5)
    assert moved[2] == pytest.approx(-4.0, abs=1.3)
    assert forecast.follow_up_ml == pytest.approx(forecast.baseline_ml, rel=0.05)


def test_the_range_is_the_cards():
    """Half of (baseline + 2 mL) to either side of the forecast."""
    error = ForecastError(quantile=0.5, floor_ml=2.0, patients=27, cohort="tests")
    volume, hematoma = bleeding_head()

    forecast = moving_forecaster((0.0, 0.0, 0.0), forecast_error=error).forecast(volume, hematoma)

    reach = 0.5 * (forecast.baseline_ml + 2)
    assert forecast.volume_range.high_ml == pytest.approx(forecast.follow_up_ml + reach)


def test_an_empty_mask_cannot_grow():
    """There is nothing to forecast, and no field is made up."""
    volume, hematoma = bleeding_head()
    nothing = HematomaMask(voxels_zyx=np.zeros_like(hematoma.voxels_zyx), grid=hematoma.grid)

    with pytest.raises(EmptyHematomaError):
        moving_forecaster((0.0, 0.0, 0.0)).forecast(volume, nothing)


def test_the_mask_must_be_the_scans():
    """A mask of another grid is refused even if the shape is the same."""
    volume, _ = bleeding_head()
    _, other = bleeding_head(dataclasses.replace(volume.grid, pixel_spacing_yx_mm=(2.0, 2.1)))

    with pytest.raises(GeometryError):
        moving_forecaster((0.0, 0.0, 0.0)).forecast(volume, other)


def test_a_bundle_forecasts_what_its_network_does(tmp_path):
    """Card and weights on disk are the network in memory."""
    card = growth_card(metrics={"growth_dice": 0.5})
    save_bundle(tmp_path, card, moving_network((0.0, 0.0, 2.0)).state_dict())
    volume, hematoma = bleeding_head()

    loaded = load_forecaster(load_bundle(tmp_path, task="growth"), device=torch.device("cpu"))

    expected = moving_forecaster((0.0, 0.0, 2.0)).forecast(volume, hematoma)
    found = loaded.forecast(volume, hematoma)
    assert np.array_equal(found.follow_up.voxels_zyx, expected.follow_up.voxels_zyx)
    assert np.array_equal(found.displacement_zyx_mm, expected.displacement_zyx_mm)


@pytest.mark.parametrize(
    "changes",
    [
        {"architecture": "PlainConvUNet"},
        {"architecture_arguments": {"widths": [2, 4]}},
        {"architecture_arguments": {"depth": 3}},
        {"task": "segmentation", "minimum_component_ml": 0.1},
    ],
)
def test_a_bundle_that_is_no_forecast_is_refused(tmp_path, changes):
    """Other tasks, networks and weights do not pass for a forecast."""
    save_bundle(tmp_path, growth_card(**changes), moving_network((0.0, 0.0, 0.0)).state_dict())

    with pytest.raises(ModelBundleError):
        load_forecaster(load_bundle(tmp_path), device=torch.device("cpu"))


def test_the_brain_is_what_the_skull_encloses():
    """A ball of 60 mm radius: 904.8 mL, without the scalp, the coil or a thin head rest."""
    volume, _ = bleeding_head(regular_grid((72, 80, 80), (2.0, 2.0, 2.0)))
    hu = volume.hu_zyx.astype(np.float32)
    hu[:, 76:78, :] = 60  # a plate under the head
    hu[:, 2:4, 10:14] = 60  # a bar of the coil

    brain = extract_brain(hu, (2.0, 2.0, 2.0))

    ball = np.linalg.norm(np.indices(hu.shape) * 2.0 - [[[[71]]], [[[79]]], [[[79]]]], axis=0) < 60
    overlap = 2 * np.count_nonzero(brain & ball) / (brain.sum() + ball.sum())
    assert overlap > 0.98
    assert not brain[:, 76:78].any()


def test_air_holds_no_brain():
    """Where there is no soft tissue nothing is found."""
    assert not extract_brain(np.full((8, 8, 8), -1000.0), (2.0, 2.0, 2.0)).any()


def test_the_network_is_shown_the_brain_alone():
    """50 HU of 0..100 is 0.5; bone and scalp are 0; the mask is the second channel."""
    hu = np.full((2, 2, 2), 50, dtype=np.int16)
    brain = np.zeros(hu.shape, dtype=bool)
    brain[0] = True
    blood = np.zeros_like(brain)
    blood[1, 0, 0] = True

    image = network_input(BrainScan(hu_zyx=hu, brain_zyx=brain, hematoma_zyx=blood), INTENSITY)

    assert image.shape == (2, 2, 2, 2)
    assert image[0].flatten().tolist() == [0.5, 0.5, 0.5, 0.5, 0.5, 0.0, 0.0, 0.0]
    assert image[1].sum() == 1


def test_patches_blend_to_one_field():
    """Patches that all say the same are that field everywhere around the mask, zero beyond."""
    image = torch.zeros(2, 20, 20, 20)
    image[1, 9:11, 0:2, 15:18] = 1

    field = predict_field(moving_network((1.0, 2.0, 3.0)), image, (8, 8, 8))

    whole = field.whole((20, 20, 20))
    inside = whole[:, 5:15, 0:6, 11:20]
    assert torch.allclose(inside, torch.tensor([1.0, 2.0, 3.0]).view(3, 1, 1, 1).expand_as(inside))
    assert whole.abs().sum() == pytest.approx(6 * inside[0].numel())


def test_values_lie_where_a_sheared_and_uneven_grid_puts_them():
    """A linear function of the patient's coordinates is found exactly between all voxels."""
    grid = VoxelGrid(
        shape_zyx=(4, 12, 12),
        pixel_spacing_yx_mm=(1.0, 0.5),
        slice_origins_lps_mm=((0.0, 0.0, 0.0), (0.0, 1.0, 2.0), (0.0, 2.0, 5.0), (0.0, 3.0, 6.0)),
    )
    centres = np.array([grid.to_lps_mm(one) for one in np.ndindex(grid.shape_zyx)])
    slopes = np.array([2.0, -3.0, 0.5])
    values = (centres @ slopes).reshape(grid.shape_zyx)
    points = np.random.default_rng(1).uniform([0.2, 3.5, 0.0], [5.2, 9.5, 6.0], (50, 3))

    assert values_at(values, grid, points) == pytest.approx(points @ slopes)


def test_the_product_forecasts_what_evaluation_judged():
    """The same network on a scan, and on the scan's prepared case: the same field around the clot.

    On the network's own grid, so that resampling changes nothing.
    """
    volume, hematoma = bleeding_head(regular_grid((40, 70, 64), (4.0, 4.0, 4.0)))
    torch.manual_seed(1)
    network = GrowthUNet(widths=[2, 2])
    torch.nn.init.normal_(network.head.weight)
    known = ScanFacts(scan_id="s", patient_id="p")
    how = Preparation(spacing_zyx_mm=(4.0, 4.0, 4.0), source="tests", allow_empty=False)
    case = make_case(volume, hematoma.voxels_zyx, known, how)
    scan = BrainScan(
        hu_zyx=case.hu_zyx,
        brain_zyx=extract_brain(case.hu_zyx, case.spacing_zyx_mm),
        hematoma_zyx=case.label_zyx == 1,
    )

    judged = predict_field(network.eval(), network_input(scan, INTENSITY), (16, 16, 16))
    forecast = GrowthForecaster(growth_card(), network, device=torch.device("cpu")).forecast(
        volume, hematoma
    )

    assert case.hu_zyx.shape != volume.hu_zyx.shape
    assert np.abs(forecast.displacement_zyx_mm).max() > 0.1
    assert np.allclose(forecast.displacement_zyx_mm, judged.displacement.numpy() * 4.0, atol=1e-5)


@pytest.mark.data
def test_the_brain_of_a_real_head_is_cut_out(data_dir):
    """An adult's skull holds 1.1 to 1.7 L; no bone is among it, and it is in one piece."""
    hu, grid = read_nifti(data_dir / "invesalius-cranium" / "cranium_ct0051.nii.gz")
    target = canonical_grid(grid, (4.0, 4.0, 4.0))
    scan = resample_map(hu, grid, target, outside=-1000)

    brain = extract_brain(scan, (4.0, 4.0, 4.0))

    assert 1100 < np.count_nonzero(brain) * 0.064 < 1700
    assert np.mean(scan[brain] > 200) < 0.02
    assert ndimage.label(brain, np.ones((3, 3, 3)))[1] == 1
