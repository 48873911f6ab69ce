"""From what the phantom wrote to the classifier's cases."""

import json

import numpy as np
import pytest

from pipeline.prediction import HeLabel
from pipeline.triplet import crop_triplet
from training.classification.simulated_cohort import (
    case_identity,
    cohort_records,
    grid_of_affine,
    read_simulated_case,
)
from training.classification.simulated_lesions import lesion_identity, simulate_lesions
from training.classification.simulated_signs import recorded_signs
from training.phantom.cohort import RECORD_NAME
from training.phantom.nifti_files import write_scan
from training.phantom.patient import PhantomOptions, simulate_patient
from training.phantom.record import patient_record

OPTIONS = PhantomOptions(slice_thickness_mm=5.0, tilt_deg=12.0, follow_up=False)


def test_a_case_read_from_disk_is_the_one_simulated(tmp_path):
    """NIfTI with a sheared affine and back: the same pictures, label and signs."""
    patient = simulate_patient(seed=4711, index=1, options=OPTIONS)
    folder = tmp_path / patient.patient_id
    folder.mkdir()
    write_scan(patient.baseline, folder, "baseline")
    (folder / RECORD_NAME).write_text(json.dumps(patient_record(patient)))
    (record,) = cohort_records(tmp_path)

    found = read_simulated_case(tmp_path, record)

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


def test_the_grid_of_a_tilted_scan_survives_nifti():
    """Columns of the affine are spacing times direction; the third leans by the tilt."""
    angle = np.radians(15)
    affine = np.eye(4)
    affine[:3, 0] = (-0.5, 0, 0)  # RAS: x to the left is negative
    affine[:3, 1] = (0, -0.4 * np.cos(angle), -0.4 * np.sin(angle))
    affine[:3, 2] = (0, 0, 5)
    affine[:3, 3] = (100, 90, -40)

    grid = grid_of_affine(affine, (20, 30, 4))

    assert grid.shape_zyx == (4, 30, 20)
    assert grid.pixel_spacing_yx_mm == pytest.approx((0.4, 0.5))
    assert grid.tilt_deg == pytest.approx(15)
    assert grid.slice_origins_lps_mm[1] == pytest.approx((-100, -90, -35))
    assert grid.slice_steps_mm == pytest.approx([5 * np.cos(angle)] * 3)


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


def test_findings_lie_between_zero_and_one():
    """Also beyond the ends of what the simulator draws."""
    found = recorded_signs(
        {"swirl": True}, irregularity=0.9, volume_ml=500.0, expansion_probability=0.25
    )

    assert found == {
        "swirl": 1.0,
        "irregularity": 1.0,
        "size": 1.0,
        "expansion_probability": 0.25,
    }
