"""From a CT volume to a mask, with networks whose answer is known."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from pipeline.errors import ModelBundleError
from pipeline.model_bundle import ModelBundle, save_bundle
from pipeline.model_card import Intensity, ModelCard
from pipeline.models import choose_device
from pipeline.segmentation.enclosure import keep_intracranial_components, measure_enclosure
from pipeline.segmentation.head_crop import crop_grid, head_box
from pipeline.segmentation.inference_options import InferenceOptions
from pipeline.segmentation.networks.compact import CompactUNet
from pipeline.segmentation.segmenter import Segmenter, load_segmenter
from pipeline.segmentation.tiled_predictor import TiledPredictor, normalise
from pipeline.volume import AIR_HU, CtVolume, HematomaMask, VoxelGrid, regular_grid

ARCHITECTURE = {"features": [4, 8], "slice_strides": [1], "volume_levels": 1, "fold": 2}


def card(**changes):
    fields = {
        "name": "toy",
        "version": "1",
        "task": "segmentation",
        "architecture": "CompactUNet",
        "architecture_arguments": ARCHITECTURE,
        "spacing_zyx_mm": (5.0, 1.0, 1.0),
        "patch_size_zyx": (4, 64, 64),
        "intensity": Intensity(clip_low_hu=-20, clip_high_hu=100, mean=25, sd=30),
        "class_names": ("background", "hematoma"),
        "probability_cutoff": 0.5,
        "minimum_component_ml": 0.1,
        "training_cohort": "none",
        "licence": "Apache-2.0",
        "intended_use": "tests",
        "demonstration": True,
    }
    return ModelCard(**{**fields, **changes})


@pytest.fixture
def bundle(tmp_path) -> ModelBundle:
    torch.manual_seed(0)
    return save_bundle(tmp_path / "toy", card(), CompactUNet(**ARCHITECTURE).state_dict())


class ThresholdNetwork(torch.nn.Module):
    """Calls everything hematoma that is brighter than 50 HU and darker than 90."""

    def forward(self, tiles):
        hu = tiles.float() * 30 + 25
        inside = torch.minimum(hu - 50, 90 - hu)
        return torch.cat([torch.zeros_like(hu), inside], dim=1)


def thresholding(card: ModelCard) -> TiledPredictor:
    return TiledPredictor(card, ThresholdNetwork(), InferenceOptions(device=torch.device("cpu")))


def head(grid: VoxelGrid, *, bleed_radius_mm: float) -> CtVolume:
    """Return a ball of brain in a shell of bone, with a ball of blood at 70 HU in its middle."""
    origins = np.asarray(grid.slice_origins_lps_mm)[:, None, None]
    _, rows, columns = grid.shape_zyx
    y = np.arange(rows)[None, :, None, None] * grid.pixel_spacing_yx_mm[0]
    x = np.arange(columns)[None, None, :, None] * grid.pixel_spacing_yx_mm[1]
    places = origins + y * np.asarray(grid.column_cosine_lps) + x * np.asarray(grid.row_cosine_lps)
    radius = np.linalg.norm(places, axis=-1)
    hu = np.where(radius < 68, 900, AIR_HU)
    hu = np.where(radius < 60, 30, hu)
    hu = np.where(radius < bleed_radius_mm, 70, hu)
    return CtVolume(hu_zyx=hu.astype(np.int16), grid=grid)


def tilted(angle_deg: float) -> VoxelGrid:
    slide = 5 * math.tan(math.radians(angle_deg))
    return VoxelGrid(
        shape_zyx=(25, 180, 160),
        pixel_spacing_yx_mm=(1.0, 1.0),
        slice_origins_lps_mm=tuple(
            (-80.0, -90.0 + (k - 12) * slide, (k - 12) * 5.0) for k in range(25)
        ),
    )


@pytest.mark.parametrize("angle_deg", [0.0, 18.0])
def test_mask_lies_on_the_source_grid_with_the_right_volume(bundle, angle_deg):
    """A ball of 15 mm radius is 14.1 mL, with and without gantry tilt."""
    segmenter = Segmenter(bundle.card, thresholding(bundle.card))
    volume = head(tilted(angle_deg), bleed_radius_mm=15)

    mask = segmenter.segment(volume).hematoma

    assert mask.grid == volume.grid
    found_ml = mask.voxels_zyx.sum() * 5 / 1000
    assert found_ml == pytest.approx(4 / 3 * math.pi * 15**3 / 1000, rel=0.07)


def test_parts_below_the_floor_of_the_card_are_dropped(bundle):
    """A ball of 4 mm radius is 0.27 mL; a card with a floor of 1 mL does not show it."""
    strict = dataclasses.replace(
        bundle, card=dataclasses.replace(bundle.card, minimum_component_ml=1.0)
    )
    volume = head(tilted(0.0), bleed_radius_mm=4)
    masks = []

    for chosen in (bundle, strict):
        segmenter = Segmenter(chosen.card, thresholding(chosen.card))
        masks.append(segmenter.segment(volume).hematoma)

    assert not masks[0].is_empty
    assert masks[1].is_empty


def test_real_network_runs_from_its_bundle(bundle):
    """A bundled network gives probabilities on the source grid."""
    volume = head(regular_grid((6, 70, 66), (4.0, 0.9, 0.9)), bleed_radius_mm=10)

    probability = load_segmenter(bundle, device=torch.device("cpu")).probability(volume)

    assert probability.shape == volume.hu_zyx.shape
    assert probability.min() >= 0
    assert probability.max() <= 1


def test_bundle_for_classification_is_refused(bundle):
    """A segmenter takes segmentation models only."""
    other = dataclasses.replace(
        bundle.card, task="classification", window=(40, 80), input_size=224, threshold=0.5
    )

    with pytest.raises(ModelBundleError, match="needed is segmentation"):
        load_segmenter(dataclasses.replace(bundle, card=other), device=torch.device("cpu"))


def test_weights_of_another_network_are_refused(bundle):
    """Weights whose names or shapes do not fit the architecture are not loaded."""
    wider = dataclasses.replace(
        bundle.card, architecture_arguments={**ARCHITECTURE, "features": [8, 8]}
    )

    with pytest.raises(ModelBundleError, match="do not fit"):
        load_segmenter(dataclasses.replace(bundle, card=wider), device=torch.device("cpu"))


def test_normalisation_clips_and_scales():
    """Clip to [-20, 100], subtract 25, divide by 30: air is -1.5, 55 HU is 1, bone is 2.5."""
    hu = np.array([-1000.0, 55.0, 700.0], dtype=np.float32)

    result = normalise(hu, Intensity(clip_low_hu=-20, clip_high_hu=100, mean=25, sd=30))

    np.testing.assert_allclose(result, [-1.5, 1.0, 2.5])


def test_head_box_leaves_out_the_table():
    """The box encloses the large body; a thin table below does not count."""
    hu = np.full((4, 200, 160), AIR_HU, dtype=np.float32)
    hu[:, 40:120, 50:110] = 30
    hu[:, 170:172, 10:150] = 200

    _, y, x = head_box(hu)

    assert 25 <= y.start <= 40
    assert 120 <= y.stop <= 135
    assert 35 <= x.start <= 50
    assert 110 <= x.stop <= 125


def test_cropped_grid_keeps_the_place_of_every_voxel():
    """Voxel (1, 2, 3) of the crop is voxel (1, 2 + 10, 3 + 20) of the whole."""
    grid = tilted(18.0)

    inner = crop_grid(grid, (slice(0, 25), slice(10, 50), slice(20, 60)))

    np.testing.assert_allclose(inner.to_lps_mm((1, 2, 3)), grid.to_lps_mm((1, 12, 23)))


def test_scan_of_air_is_kept_whole():
    """Where nothing is solid there is no head to crop to."""
    assert head_box(np.full((2, 30, 20), -1000, dtype=np.float32)) == (
        slice(0, 2),
        slice(0, 30),
        slice(0, 20),
    )


def test_automatic_device_is_one_that_exists():
    """`auto` never asks for a device that is absent."""
    expected = "cuda" if torch.cuda.is_available() else "cpu"

    assert choose_device("auto").type == expected


@pytest.mark.parametrize("name", ["cuda:99", "tpu", "meta"])
def test_absent_or_unknown_device_is_refused(name):
    """A device that is not there is named in the message."""
    with pytest.raises(ModelBundleError, match=name):
        choose_device(name)


def test_warming_up_runs_one_tile_and_changes_no_answer(bundle):
    """The network sees one tile of the card's size; the first series gets the usual mask."""
    volume = head(regular_grid((6, 70, 66), (4.0, 0.9, 0.9)), bleed_radius_mm=10)
    network = CompactUNet(**ARCHITECTURE)
    predictor = TiledPredictor(bundle.card, network, InferenceOptions(device=torch.device("cpu")))
    segmenter = Segmenter(bundle.card, predictor)
    before = segmenter.probability(volume)
    shapes: list[tuple[int, ...]] = []
    network.register_forward_pre_hook(lambda _, args: shapes.append(args[0].shape))

    segmenter.warm_up()

    assert shapes == [(1, 1, *bundle.card.patch_size_zyx)]
    np.testing.assert_array_equal(segmenter.probability(volume), before)


def neck_slice(*, gap_deg: float = 0.0) -> CtVolume:
    """Return a ring of bone of 60 mm radius, open by an angle, with muscle behind it."""
    grid = regular_grid((1, 300, 300), (5.0, 1.0, 1.0))
    y, x = np.mgrid[0:300, 0:300] - 150.0
    radius, angle = np.hypot(y, x), np.degrees(np.arctan2(y, x))
    hu = np.where(radius < 110, 60, AIR_HU)
    ring = (radius > 60) & (radius < 68) & (np.abs(angle) > gap_deg / 2)
    return CtVolume(hu_zyx=np.where(ring, 900, hu)[None].astype(np.int16), grid=grid)


@pytest.mark.parametrize(
    ("place", "gap_deg", "expected"),
    [
        # From the middle of the ring every ray meets it.
        ((150, 150), 0.0, 1.0),
        # A quarter of the ring is open: three quarters of the rays from the middle meet it.
        ((150, 150), 90.0, 0.75),
        # From 90 mm beside the middle the ring fills 2 * asin(68 / 90) = 98 of 360 degrees.
        ((150, 240), 0.0, 98 / 360),
    ],
)
def test_enclosure_is_the_share_of_directions_with_bone(place, gap_deg, expected):
    """Geometry of a circle seen from a point."""
    found = measure_enclosure(neck_slice(gap_deg=gap_deg), np.array([[0, *place]]))

    assert found.share == pytest.approx(expected, abs=1.5 / 24)


def test_muscle_outside_the_bone_is_dropped_and_brain_is_kept():
    """Two equal findings, one inside the ring of bone and one outside."""
    volume = neck_slice()
    voxels = np.zeros(volume.grid.shape_zyx, dtype=bool)
    voxels[0, 145:155, 145:155] = True
    voxels[0, 145:155, 235:245] = True

    mask = keep_intracranial_components(HematomaMask(voxels_zyx=voxels, grid=volume.grid), volume)

    assert mask.voxels_zyx[0, 150, 150]
    assert not mask.voxels_zyx[0, 150, 240]


def test_noise_is_no_bone():
    """Single bright voxels of a noisy thin slice do not enclose anything."""
    rng = np.random.default_rng(0)
    grid = regular_grid((1, 300, 300), (1.0, 1.0, 1.0))
    hu = rng.normal(40, 20, grid.shape_zyx).astype(np.int16)

    found = measure_enclosure(CtVolume(hu_zyx=hu, grid=grid), np.array([[0, 150, 150]]))

    assert found.share < 0.1


def test_distance_to_the_bone_is_that_of_the_circle():
    """From the middle of a ring whose inner radius is 60 mm every ray runs 60 mm."""
    found = measure_enclosure(neck_slice(), np.array([[0, 150, 150]]))

    assert found.distance_mm == pytest.approx(60, abs=1.5)


def test_bone_behind_fat_does_not_enclose():
    """Between tongue and jaw there is fat; a ray that crosses it has left the inside."""
    volume = neck_slice()
    hu = volume.hu_zyx.copy()
    y, x = np.mgrid[0:300, 0:300] - 150.0
    hu[0][(np.hypot(y, x) > 40) & (np.hypot(y, x) < 48)] = -90

    found = measure_enclosure(CtVolume(hu_zyx=hu, grid=volume.grid), np.array([[0, 150, 150]]))

    assert found.share == 0.0


def test_narrow_ring_is_no_cranium():
    """In a ring of 20 mm, as around the cervical cord, nothing is an intracerebral bleed."""
    grid = regular_grid((1, 300, 300), (5.0, 1.0, 1.0))
    y, x = np.mgrid[0:300, 0:300] - 150.0
    radius = np.hypot(y, x)
    hu = np.where((radius > 20) & (radius < 28), 900, 40).astype(np.int16)[None]
    voxels = np.zeros(grid.shape_zyx, dtype=bool)
    voxels[0, 145:155, 145:155] = True

    mask = keep_intracranial_components(
        HematomaMask(voxels_zyx=voxels, grid=grid), CtVolume(hu_zyx=hu, grid=grid)
    )

    assert mask.is_empty
