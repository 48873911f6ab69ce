"""Calibration of a network that tells its uncertainty."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from matplotlib.image import imread

from pipeline.model_bundle import load_card, save_bundle
from pipeline.model_card import Intensity, ModelCard
from pipeline.segmentation.networks.registry import build_network
from training.cohort.case import Case, save_case
from training.cohort.folder import load_cohort
from training.segmentation.benchmark.doubt import FILE, measure_doubt, tells_doubt
from training.segmentation.benchmark.doubt_figure import draw_doubt


@pytest.fixture
def bundle(tmp_path):
    """Return a SLEX-Net with random weights."""
    torch.manual_seed(0)
    network = build_network("SlexNet", {"width": 4})
    card = ModelCard(
        name="slex",
        version="1",
        task="segmentation",
        architecture="SlexNet",
        architecture_arguments={"width": 4},
        spacing_zyx_mm=(5.0, 2.0, 2.0),
        patch_size_zyx=(3, 32, 32),
        intensity=Intensity(clip_low_hu=-20, clip_high_hu=100, mean=25, sd=30),
        class_names=("background", "hematoma"),
        probability_cutoff=0.5,
        minimum_component_ml=0.0,
        training_cohort="none",
        licence="Apache-2.0",
        intended_use="tests",
        demonstration=True,
    )
    return save_bundle(tmp_path / "bundle", card, network.state_dict()).path


@pytest.fixture
def scans(tmp_path):
    """Return one head of four slices, a third of it air."""
    hu = np.full((4, 30, 30), 30, dtype=np.int16)
    hu[:, :10] = -1000
    label = np.zeros(hu.shape, dtype=np.uint8)
    label[1:3, 15:25, 10:20] = 1
    save_case(
        tmp_path / "cases",
        Case(
            case_id="a",
            patient_id="a",
            source="simulated",
            hu_zyx=hu,
            label_zyx=label,
            spacing_zyx_mm=(5.0, 2.0, 2.0),
        ),
    )
    return load_cohort(tmp_path / "cases").scans


def test_only_a_network_with_its_own_uncertainty_is_asked(bundle):
    """SLEX-Net tells doubt; the entropy of another network's probability is no news."""
    plain = dataclasses.replace(load_card(bundle), architecture="CompactUNet")
    other = save_bundle(bundle.parent / "plain", plain, {}).path

    assert tells_doubt(bundle)
    assert not tells_doubt(other)


def test_voxels_of_the_head_are_counted_and_air_is_not(tmp_path, bundle, scans):
    """4 slices of 20 x 30 pixels of tissue; random weights are wrong on many of them."""
    found = measure_doubt(bundle, scans, folder=tmp_path, device=torch.device("cpu"))

    assert found.calibration.voxels == 4 * 20 * 30
    assert sum(part.voxels for part in found.errors.parts) == 4 * 20 * 30
    assert found.calibration.brier > 0.01


def test_doubt_is_measured_once(tmp_path, bundle, scans):
    """What stands in the folder is read again, empty bins included; other scans are not."""
    first = measure_doubt(bundle, scans, folder=tmp_path, device=torch.device("cpu"))
    content = json.loads((tmp_path / FILE).read_text())
    content["calibration"]["brier"] = 0.25
    (tmp_path / FILE).write_text(json.dumps(content))

    again = measure_doubt(bundle, scans, folder=tmp_path, device=torch.device("cpu"))

    assert again.calibration.brier == 0.25
    assert again.errors == first.errors
    assert len(again.calibration.bins) == len(first.calibration.bins)
    assert any(one.voxels == 0 and np.isnan(one.hematoma_share) for one in again.calibration.bins)


def test_calibration_is_drawn(tmp_path, bundle, scans):
    """The picture has something on it."""
    found = measure_doubt(bundle, scans, folder=tmp_path, device=torch.device("cpu"))

    draw_doubt(tmp_path / "doubt.png", found, title="SLEX-Net", kind="simulated heads")

    assert imread(tmp_path / "doubt.png").std() > 0.01
