"""From what the phantom wrote to the classifier's cases."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from pipeline.prediction import HeLabel
from pipeline.triplet import crop_triplet
from training.classification.case import load_cases
from training.classification.command import APP
from training.classification.simulated_cohort import (
    case_identity,
    cohort_records,
)
from training.classification.simulated_lesions import lesion_identity, simulate_lesions
from training.classification.simulated_signs import SIGN_NAMES
from training.phantom.centre import CENTRES
from training.phantom.cohort import RECORD_NAME, TABLE_NAME
from training.phantom.nifti_files import write_labels, write_picture
from training.phantom.patient import PhantomOptions, simulate_patient
from training.phantom.record import patient_record

OPTIONS = PhantomOptions(slice_thickness_mm=5.0, tilt_deg=12.0, follow_up=False)


def test_a_case_read_from_disk_is_the_one_simulated(tmp_path):
    """NIfTI with a sheared affine and back: the same pictures, label and signs."""
    patient = simulate_patient(seed=4711, index=1, options=OPTIONS)
    folder = tmp_path / patient.patient_id
    folder.mkdir()
    write_picture(patient.baseline, folder / "baseline.nii.gz")
    write_labels(patient.baseline, folder / "baseline_labels.nii.gz")
    (folder / RECORD_NAME).write_text(json.dumps(patient_record(patient)))
    (tmp_path / TABLE_NAME).write_text("patient_id,notice\nSIM0001,simulated\n")
    (record,) = cohort_records(tmp_path)

    called = CliRunner().invoke(
        APP, ["triplets", "--cohort", str(tmp_path), "--output", str(tmp_path / "cut")]
    )

    assert called.exit_code == 0, called.output
    (found,) = load_cases([tmp_path / "cut"])

    expected = crop_triplet(patient.baseline.volume, patient.baseline.mask)
    assert found.case_id == case_identity(record) == "seed4711-SIM0001"
    assert len(found.images_yx) == len(expected.slices)
    for image, part in zip(found.images_yx, expected.slices, strict=True):
        assert np.array_equal(image, part.image_yx)
    assert (found.label is HeLabel.HE) == patient.has_expansion
    assert found.signs["swirl"] == float(patient.lesion.signs.swirl)
    assert found.signs["expansion_probability"] == pytest.approx(
        patient.growth.probability, abs=1e-4
    )


def test_hematomas_in_one_head_belong_to_one_patient():
    """Two cases of head 3: both ask for expansion, both carry the head's identity."""
    found = list(simulate_lesions(seed=4711, head=3, lesions=2, he_share=1.0))

    assert [item.case_id for item in found] == [
        lesion_identity(seed=4711, head=3, number=number) for number in (0, 1)
    ]
    assert len({item.patient_id for item in found}) == 1
    assert {item.label for item in found} == {HeLabel.HE}
    for item in found:
        brightest = max(float(image.mean()) for image in item.images_yx)
        assert 40 < brightest < 220  # brain and blood, neither air nor bone


@pytest.mark.timeout(400)  # seconds on an idle machine, minutes on a busy one
def test_lesions_of_centres_show_their_own_mask_and_what_an_image_can_tell():
    """The recorded chance is the visible one, the masks lie on the pictures and hold blood."""
    (found,) = simulate_lesions(seed=4711, head=3, lesions=1, he_share=None, centres=CENTRES)

    assert 0 < found.signs["expansion_probability"] < 1
    assert set(SIGN_NAMES) < set(found.signs)
    middle = len(found.images_yx) // 2
    mask, image = found.masks_yx[middle], found.images_yx[middle]
    assert mask.shape == image.shape
    assert image[mask].mean() > image[~mask].mean() + 30  # blood is 20 HU or more above brain
