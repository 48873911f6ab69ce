"""What `ichtrain release --validate` adds to a card."""

import pytest
import torch
from cohort_builder import blood, run, save_seg, series
from ct_builder import save_series

from pipeline.ct_series import read_ct_series
from pipeline.model_bundle import load_bundle, save_bundle
from pipeline.model_card import Intensity, ModelCard
from pipeline.segmentation.networks.compact import CompactUNet
from pipeline.training_statistics import Measure, Trait
from training.cohort.intake.tables import write_tables
from training.segmentation.held_out_release import measure_release

ARGUMENTS = {"features": [2, 2], "slice_strides": [1], "volume_levels": 1, "fold": 2}


@pytest.fixture
def labelled_cohort(tmp_path):
    """Return six patients with a ball of blood each, imported from DICOM, and their tables."""
    for seed in range(6):
        instances = series(f"P{seed}", seed=seed, slices=16)
        folder = tmp_path / "source" / f"P{seed}"
        save_series(instances, folder)
        save_seg(folder / "seg.dcm", instances, blood(read_ct_series(instances)))
    cohort = tmp_path / "cohort"
    write_tables(cohort, run(tmp_path / "source", cohort))
    return cohort


@pytest.fixture
def bundle(tmp_path):
    """Return a network that has learned nothing and is never sure enough to call a hematoma."""
    torch.manual_seed(0)
    card = ModelCard(
        name="tiny",
        version="1",
        task="segmentation",
        architecture="CompactUNet",
        architecture_arguments=ARGUMENTS,
        spacing_zyx_mm=(5.0, 4.0, 4.0),
        patch_size_zyx=(4, 16, 16),
        intensity=Intensity(clip_low_hu=0, clip_high_hu=100, mean=40, sd=30),
        class_names=("background", "hematoma"),
        probability_cutoff=1.0,
        minimum_component_ml=0.0,
        training_cohort="none",
        licence="Apache-2.0",
        intended_use="tests",
        demonstration=True,
    )
    return save_bundle(tmp_path / "bundle", card, CompactUNet(**ARGUMENTS).state_dict())


def test_a_measured_bundle_states_scores_and_equipment(bundle, labelled_cohort):
    """Scores of the held-out patients, maker and thickness of all; none is found, none stated."""
    measured = measure_release(bundle, [labelled_cohort])

    card = load_bundle(bundle.path).card
    assert card == measured.card
    held_out = sum(card.metrics[part]["scans"] for part in ("validation", "test"))
    assert 0 < held_out < 6
    statistics = card.training_statistics
    assert statistics is not None
    assert Measure.VOLUME not in statistics.measures
    assert statistics.traits[Trait.MANUFACTURER].cases == 6
    assert statistics.traits[Trait.THICKNESS].shares == {"3.5-5.5 mm": 1.0}
