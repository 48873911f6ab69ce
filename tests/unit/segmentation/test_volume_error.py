"""The range of a volume: its scale, its quantile, and how often it holds the truth."""

import dataclasses
import json
import math

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from pipeline.card_json import card_from_json, card_to_json
from pipeline.errors import GeometryError, ModelBundleError
from pipeline.model_bundle import load_card, save_bundle
from pipeline.model_card import Intensity, ModelCard
from pipeline.segmentation.predictor import ClassMaps
from pipeline.segmentation.segmenter import Segmenter
from pipeline.volume import AIR_HU, CtVolume, HematomaMask, VoxelGrid, regular_grid
from pipeline.volume_error import (
    VolumeError,
    binary_entropy,
    conformal_rank,
    volume_scale_ml,
)
from training.cli import application
from training.cohort.case import IGNORED, Case, save_case
from training.segmentation.volume_error import (
    VolumeResidual,
    fit_volume_error,
    floor_of,
    leave_one_out_coverage,
    residuals,
    unit_card,
)

ERROR = VolumeError(quantile=2.0, floor_ml=0.5, patients=40, cohort="toy")


def card(**changes) -> ModelCard:
    fields = {
        "name": "toy",
        "version": "1",
        "task": "segmentation",
        "architecture": "CompactUNet",
        "architecture_arguments": {"features": [4, 8], "slice_strides": [1], "fold": 2},
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


def residual(patient: int | str, normalised: float) -> VolumeResidual:
    """Return a scan of 10 mL that is off by so many mL, on a scale of 1 mL."""
    return VolumeResidual(
        patient_id=str(patient), found_ml=10.0, true_ml=10.0 - normalised, scale_ml=1.0
    )


class Shells:
    """A network that is sure of a ball, in doubt about a shell round it and about an islet."""

    def warm_up(self) -> None:
        """Nothing is cold."""

    def predict(self, volume, *, on_progress=lambda _: None):
        """Return 0.95 within 10 mm of the middle, 0.6 within 15, 0.2 within 20, and an islet."""
        on_progress(1.0)
        radius = distance_mm(volume.grid)
        probability = np.zeros(volume.grid.shape_zyx, np.float32)
        for reach, value in ((20, 0.2), (15, 0.6), (10, 0.95)):
            probability[radius < reach] = value
        probability[:, :4, :4] = 0.3
        return ClassMaps(hematoma_zyx=probability)


def distance_mm(grid: VoxelGrid) -> np.ndarray:
    """Return the distance of every voxel from the middle of a regular grid."""
    axes = [
        (np.arange(size) - (size - 1) / 2) * step
        for size, step in zip(grid.shape_zyx, grid.spacing_zyx_mm, strict=True)
    ]
    return np.linalg.norm(np.stack(np.meshgrid(*axes, indexing="ij")), axis=0)


def head(pixel_mm: float = 1.0) -> CtVolume:
    """Return brain in a shell of bone."""
    side = round(150 / pixel_mm)
    grid = regular_grid((25, side, side), (5.0, pixel_mm, pixel_mm))
    radius = distance_mm(grid)
    hu = np.where(radius < 68, 900, AIR_HU)
    return CtVolume(hu_zyx=np.where(radius < 60, 30, hu).astype(np.int16), grid=grid)


def ball_ml(radius_mm: float) -> float:
    return 4 / 3 * math.pi * radius_mm**3 / 1000


@pytest.mark.parametrize(
    ("patients", "level", "rank"),
    # (19 + 1) * 0.95 = 19; (39 + 1) * 0.95 = 38; 101 * 0.95 = 95.95; (9 + 1) * 0.9 = 9
    [(19, 0.95, 19), (39, 0.95, 38), (100, 0.95, 96), (9, 0.9, 9)],
)
def test_the_rank_is_that_of_the_conformal_quantile(patients, level, rank):
    """The ceiling of (n + 1) times the level, by hand."""
    assert conformal_rank(patients, level) == rank


def test_too_few_patients_cannot_vouch_for_the_level():
    """With 18 patients the largest residual of 19 is the new one in 1 of 19 > 5 % of cases."""
    with pytest.raises(ValueError, match="at least 19 patients, got 18"):
        conformal_rank(18, 0.95)


def test_the_quantile_of_a_small_example_is_the_one_by_hand():
    """Of residuals 1, 2 ... 39 the 38th is the quantile; the order does not matter."""
    found = [residual(n, float(n)) for n in range(39, 0, -1)]

    error = fit_volume_error(found, floor_ml=0.5, cohort="toy")

    assert error == VolumeError(quantile=38.0, floor_ml=0.5, patients=39, cohort="toy")


def test_a_patient_counts_once_with_the_worst_scan():
    """Twenty scans of one patient are one patient."""
    found = [residual("same", 0.1 * n) for n in range(20)] + [residual(n, 1.0) for n in range(19)]

    error = fit_volume_error(found, floor_ml=0.5, cohort="toy")

    assert error.patients == 20
    assert error.quantile == pytest.approx(1.9)  # rank ceil(21 * 0.95) = 20 of 20


@pytest.mark.parametrize("patients", [19, 50])
def test_exchangeable_patients_are_covered_as_promised(patients):
    """Coverage of the next patient is k / (n + 1), whatever the skewed, tied errors' law.

    For residuals without ties it is exactly ceil((n + 1) 0.95) / (n + 1): 19 / 20 for 19
    patients, 49 / 51 for 50. 2000 draws have a standard error of 0.005.
    """
    rng = np.random.default_rng(7)
    held = 0
    for _ in range(2000):
        values = np.exp(rng.normal(size=patients + 1) * 2) * rng.choice([0.1, 30], patients + 1)
        found = [residual(n, value) for n, value in enumerate(values)]
        error = fit_volume_error(found[:-1], floor_ml=0.5, cohort="toy")
        held += found[-1].normalised <= error.quantile

    expected = math.ceil(round((patients + 1) * 0.95, 9)) / (patients + 1)
    assert held / 2000 == pytest.approx(expected, abs=0.02)
    assert held / 2000 >= 0.95 - 0.015


def test_leaving_one_out_judges_each_patient_by_the_others():
    """Of residuals 1 ... 40 all but 39 and 40 lie below the 38th of the other 39.

    Without 40 the 38th of the others is 38; without 39 it is 38; without any other it is 39.
    """
    found = [residual(n, float(n)) for n in range(1, 41)]

    result = leave_one_out_coverage(found)

    assert (result.covered, result.patients) == (38, 40)
    assert result.low_95 < 38 / 40 < result.high_95


def test_the_scale_is_half_the_spread_between_two_levels():
    """Outer ball of 20 mm, inner ball of 10 mm; the islet elsewhere does not count."""
    volume = head()
    probability = Shells().predict(volume).hematoma_zyx
    kept = HematomaMask(voxels_zyx=distance_mm(volume.grid) < 15, grid=volume.grid)

    scale = volume_scale_ml(probability, kept, floor_ml=0.5)

    assert scale == pytest.approx((ball_ml(20) - ball_ml(10)) / 2 + 0.5, rel=0.03)


def test_a_sharp_probability_leaves_the_floor():
    """Where the network is sure of every voxel the scale is the floor."""
    volume = head()
    kept = HematomaMask(voxels_zyx=distance_mm(volume.grid) < 15, grid=volume.grid)

    scale = volume_scale_ml(kept.voxels_zyx.astype(np.float32), kept, floor_ml=0.25)

    assert scale == 0.25


def test_a_probability_of_another_shape_is_refused():
    """Map and mask lie on one grid."""
    kept = HematomaMask(
        voxels_zyx=np.ones((2, 3, 4), bool), grid=regular_grid((2, 3, 4), (5.0, 1.0, 1.0))
    )

    with pytest.raises(GeometryError, match=r"\(2, 3, 3\)"):
        volume_scale_ml(np.zeros((2, 3, 3), np.float32), kept, floor_ml=1.0)


def test_the_segmenter_gives_the_range_of_the_card():
    """10 mL of scale 3 with a quantile of 2 would be 4 to 16; here by the balls' geometry."""
    volume = head()

    found = Segmenter(card(volume_error=ERROR), Shells()).segment(volume)

    scale = (ball_ml(20) - ball_ml(10)) / 2 + 0.5
    assert found.volume_range is not None
    assert found.volume_range.level == 0.95
    assert found.volume_range.low_ml == max(0.0, found.volume_range.low_ml)
    assert found.volume_range.high_ml == pytest.approx(ball_ml(15) + 2 * scale, rel=0.03)
    assert found.uncertainty_zyx is not None
    assert found.uncertainty_zyx.max() == pytest.approx(0.673, abs=1e-3)  # p = 0.6 or 0.4


def test_a_range_never_begins_below_zero():
    """A small volume in great doubt may be none at all."""
    assert ERROR.range_of(3.0, scale_ml=5.0).low_ml == 0.0
    assert ERROR.range_of(30.0, scale_ml=5.0).low_ml == 20.0


def test_without_a_fitted_error_there_is_no_range():
    """A card that states none makes no promise."""
    assert Segmenter(card(), Shells()).segment(head()).volume_range is None


def test_entropy_is_that_of_a_coin():
    """0 for sure, ln 2 for a fair coin, 0.325 nats for one that lands heads in 1 of 10."""
    values = binary_entropy(np.array([0.0, 0.5, 0.1, 0.9, 1.0], np.float32))

    np.testing.assert_allclose(values, [0, math.log(2), 0.325083, 0.325083, 0], atol=1e-6)
    assert values.dtype == np.float32


def test_a_card_of_format_1_is_read_without_a_range():
    """Format 1 had no volume_error; everything else is as it was."""
    today = card(weights_sha256="ab" * 32)
    old = json.loads(card_to_json(today)) | {"card_format": 1}
    later = ("sampling", "slice_input", "operating_points", "familiarity", "members")
    later += ("forecast_error", "training_statistics")
    for name in ("volume_error", *later):
        old.pop(name, None)

    assert card_from_json(json.dumps(old), where="card.json") == today


def test_a_card_of_a_coming_format_is_refused_with_what_can_be_read():
    """The message names both, whatever fields the format may bring."""
    later = json.loads(card_to_json(card(weights_sha256="ab" * 32)))
    later |= {"card_format": 99, "novelty": 1}

    with pytest.raises(ModelBundleError, match=r"format 99; this version of ichnode reads 1\b"):
        card_from_json(json.dumps(later), where="card.json")


def test_the_fitted_error_survives_the_round_trip():
    """What was fitted is read from the card, number by number."""
    stated = card(weights_sha256="ab" * 32, volume_error=ERROR)

    assert card_from_json(card_to_json(stated), where="card.json") == stated


@pytest.mark.parametrize(
    "change",
    [
        {"quantile": -1.0},
        {"floor_ml": 0.0},
        {"patients": 10},
        {"patients": 40.5},
        {"cohort": ""},
        {"inner_probability": 0.05},
        {"surprise": 1},
    ],
    ids=str,
)
def test_an_impossible_error_is_refused(change):
    """A number that cannot be is named when the card is read."""
    fields = json.loads(card_to_json(card(weights_sha256="ab" * 32, volume_error=ERROR)))
    fields["volume_error"] |= change

    with pytest.raises(ModelBundleError):
        card_from_json(json.dumps(fields), where="card.json")


def test_a_classifier_has_no_volume():
    """The field belongs to segmentation."""
    with pytest.raises(ModelBundleError, match="has no volume_error"):
        card(
            task="classification",
            window=(40, 80),
            input_size=64,
            threshold=0.5,
            volume_error=ERROR,
        )


def test_residuals_come_from_the_whole_way_over_known_voxels():
    """The ball of 15 mm was 12 mm in truth; a corner that nobody labelled is not compared."""
    volume = head()
    radius = distance_mm(volume.grid)
    label = (radius < 12).astype(np.uint8)
    label[:12] = IGNORED
    case = Case(
        case_id="a",
        patient_id="a",
        source="toy",
        hu_zyx=volume.hu_zyx,
        label_zyx=label,
        spacing_zyx_mm=(5.0, 1.0, 1.0),
    )

    (found,) = residuals(Segmenter(unit_card(card()), Shells()), [case])

    assert found is not None
    share = 1 / 2  # 13 of 25 slices are known, the middle one included: half and half a slice
    assert found.found_ml == pytest.approx(ball_ml(15) * share, rel=0.3)
    assert found.true_ml < found.found_ml
    assert found.scale_ml == pytest.approx((ball_ml(20) - ball_ml(10)) / 2 + 0.1, rel=0.03)
    assert floor_of(card(minimum_component_ml=0.0)) == 0.1


def bleeding_case(patient: int, radius_mm: float) -> Case:
    """Return a head whose ball of blood has 70 HU."""
    volume = head(pixel_mm=2.0)
    radius = distance_mm(volume.grid)
    return Case(
        case_id=f"p{patient}",
        patient_id=f"p{patient}",
        source="toy",
        hu_zyx=np.where(radius < radius_mm, 70, volume.hu_zyx).astype(np.int16),
        label_zyx=(radius < radius_mm).astype(np.uint8),
        spacing_zyx_mm=(5.0, 2.0, 2.0),
    )


class Bright:
    """A network that calls everything hematoma that is brighter than 50 HU and darker than 90."""

    def warm_up(self) -> None:
        """Nothing is cold."""

    def predict(self, volume, *, on_progress=lambda _: None):
        """Return a probability that falls off from 70 HU."""
        on_progress(1.0)
        inside = np.minimum(volume.hu_zyx - 50.0, 90.0 - volume.hu_zyx)
        return ClassMaps(hematoma_zyx=(1 / (1 + np.exp(-0.2 * inside))).astype(np.float32))


def test_the_command_writes_the_error_into_the_card_and_keeps_the_weights(tmp_path, monkeypatch):
    """Twenty-five heads: some fit, some judge; the card says how it went."""
    from pipeline.segmentation import segmenter

    monkeypatch.setattr(
        segmenter, "load_segmenter", lambda loaded, **_: Segmenter(loaded.card, Bright())
    )
    bundle = save_bundle(tmp_path / "toy", card(), {"a": torch.zeros(1)})
    for patient in range(25):
        save_case(tmp_path / "cases", bleeding_case(patient, 8 + patient / 4))
    arguments = ["segmentation", "calibrate-volume", str(tmp_path / "toy")]
    arguments += ["--cases", str(tmp_path / "cases"), "--held-out", "0.15"]

    shown = CliRunner().invoke(application(), [*arguments, "--dry-run"])
    untouched = load_card(tmp_path / "toy")
    done = CliRunner().invoke(application(), arguments)

    assert shown.exit_code == done.exit_code == 0, done.output
    assert untouched == bundle.card
    written = load_card(tmp_path / "toy")
    assert written.volume_error is not None
    assert written.volume_error.cohort == "cases"
    assert written.volume_error.patients >= 19
    fared = written.metrics["volume_range"]
    assert fared["scans"] == fared["scans_with_finding"] == 25
    assert fared["held_out"]["patients"] == 25 - written.volume_error.patients
    assert written.volume_error.quantile == 0.0  # the fake calls the truth
    assert dataclasses.replace(written, volume_error=None, metrics={}) == bundle.card


def test_the_command_refuses_too_few_patients(tmp_path, monkeypatch):
    """Nobody can vouch for 95 % with three heads; the card stays as it is."""
    from pipeline.segmentation import segmenter

    monkeypatch.setattr(
        segmenter, "load_segmenter", lambda loaded, **_: Segmenter(loaded.card, Bright())
    )
    save_bundle(tmp_path / "toy", card(), {"a": torch.zeros(1)})
    for patient in range(3):
        save_case(tmp_path / "cases", bleeding_case(patient, 10))
    arguments = ["segmentation", "calibrate-volume", str(tmp_path / "toy"), "--held-out", "0"]

    done = CliRunner().invoke(application(), [*arguments, "--cases", str(tmp_path / "cases")])

    assert done.exit_code == 2
    assert "at least 19 patients" in done.output
    assert load_card(tmp_path / "toy").volume_error is None
