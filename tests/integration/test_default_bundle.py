"""The segmentation that a node uses unless told otherwise."""

import csv
from pathlib import Path

import numpy as np
import pydicom
import pytest
import torch

from dicom_node.bootstrap.parts import bundle_path
from dicom_node.settings.schema import Settings
from pipeline.ct_series import read_ct_series
from pipeline.model_bundle import load_bundle
from pipeline.segmentation.segmenter import load_segmenter

pytestmark = [pytest.mark.weights, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def bundle():
    return load_bundle(bundle_path(Settings().worker.segmentation_bundle), task="segmentation")


def test_card_names_the_authors_the_cohorts_and_what_is_simulated(bundle):
    """Whoever reads the card learns whose network it is, and on whom it was trained."""
    card = bundle.card

    assert card.architecture == "Ensemble"
    assert "BLAST-CT" in card.licence
    for words in ("PHE-SICH", "CT-ICH", "SIMULATED", "trauma"):
        assert words in card.training_cohort
    assert "Research use only" in card.intended_use
    assert not card.demonstration


@pytest.mark.data
@pytest.mark.parametrize(
    ("patient", "least_ml", "most_ml"), [("091", 3, 9), ("094", 5, 15)], ids=["lobar", "deep"]
)
def test_a_real_bleed_is_found_where_radiologists_saw_it(
    bundle, data_dir, patient, least_ml, most_ml
):
    """Patients of CT-ICH, held out: 5 mL or so, and a deep clot that looks like 10 mL or so."""
    folder: Path = data_dir / "real-head-ct"
    volume = read_ct_series([pydicom.dcmread(path) for path in (folder / patient).glob("*.dcm")])

    found = load_segmenter(bundle, device=torch.device("cpu")).segment(volume)

    mask = found.hematoma.voxels_zyx
    with (folder / "labels.csv").open() as stream:
        shown = sum(
            row["patient"] == patient and row["Intraparenchymal"] == "1"
            for row in csv.DictReader(stream)
        )
    voxel_ml = float(np.prod(volume.grid.spacing_zyx_mm)) / 1000
    volume_ml = np.count_nonzero(mask) * voxel_ml
    assert least_ml < volume_ml < most_ml
    assert 1 <= np.count_nonzero(mask.any(axis=(1, 2))) <= shown + 2
    assert found.volume_range.low_ml < volume_ml < found.volume_range.high_ml
