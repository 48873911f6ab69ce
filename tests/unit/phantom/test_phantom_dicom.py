"""Claims about simulated scans as DICOM and NIfTI."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from small_phantom import small_patient, small_scan

from pipeline.ct_series import read_ct_series
from training.phantom.dicom_series import dicom_instances, series_identity, write_dicom_series
from training.phantom.nifti_files import write_labels, write_picture
from training.phantom.patient import PhantomOptions, SimulatedPatient


@pytest.fixture
def patient() -> SimulatedPatient:
    """Return a small patient with two scans."""
    return small_patient(seed=5, index=7, options=PhantomOptions())


def test_written_series_reads_back_with_the_same_hounsfield_units(
    patient: SimulatedPatient, tmp_path: Path
) -> None:
    """Stored value plus intercept is the HU that was simulated, slice by slice."""
    identity = series_identity(patient, "baseline")
    paths = write_dicom_series(patient.baseline, tmp_path, identity=identity)

    instances = [pydicom.dcmread(path) for path in paths]

    assert [path.name for path in paths] == [
        "IM0001.dcm",
        "IM0002.dcm",
        "IM0003.dcm",
        "IM0004.dcm",
    ]
    for index, data_set in enumerate(instances):
        stored = np.frombuffer(data_set.PixelData, "<u2").reshape(16, 16).astype(int)
        hu = stored * int(data_set.RescaleSlope) + int(data_set.RescaleIntercept)
        assert np.array_equal(hu, patient.baseline.volume.hu_zyx[index])
        assert float(data_set.ImagePositionPatient[2]) == -10 + 5 * index


def test_the_pipeline_reads_the_series_as_it_was_simulated(patient: SimulatedPatient) -> None:
    """Reader and writer agree on HU and on where the slices lie."""
    identity = series_identity(patient, "baseline")
    scan = small_scan(3, 40, tilt_deg=12.0, slices=30)

    volume = read_ct_series(dicom_instances(scan, identity=identity))

    truth = scan.volume
    assert volume.grid.tilt_deg == pytest.approx(12.0, abs=0.01)
    assert np.array_equal(volume.hu_zyx, truth.hu_zyx)
    assert np.asarray(volume.grid.slice_origins_lps_mm) == pytest.approx(
        np.asarray(truth.grid.slice_origins_lps_mm)
    )
    assert volume.grid.pixel_spacing_yx_mm == pytest.approx(truth.grid.pixel_spacing_yx_mm)


def test_every_object_says_that_it_is_simulated(patient: SimulatedPatient) -> None:
    """Name, identifier, series description and comments leave no doubt."""
    identity = series_identity(patient, "follow_up")
    assert patient.follow_up is not None

    for data_set in dicom_instances(patient.follow_up, identity=identity):
        assert str(data_set.PatientName) == "SIMULATED^PATIENT 0007"
        assert data_set.PatientID == "SIM0007"
        assert data_set.SeriesDescription.startswith("SIMULATED")
        assert data_set.ImageComments.startswith("SIMULATED")


def test_identifiers_are_unique_repeatable_and_below_2_25(patient: SimulatedPatient) -> None:
    """The same patient has the same UIDs; no two images, series or scans share one."""
    again = small_patient(seed=5, index=7, options=PhantomOptions())
    other = small_patient(seed=5, index=8, options=PhantomOptions())

    def uids(of: SimulatedPatient) -> list[str]:
        identity = series_identity(of, "baseline")
        images = [str(d.SOPInstanceUID) for d in dicom_instances(of.baseline, identity=identity)]
        return [identity.study_uid, identity.series_uid, *images]

    assert uids(patient) == uids(again)
    assert len(set(uids(patient)) | set(uids(other))) == 12
    # PS3.5, section B.2: 2.25 and the decimal value of a 128-bit UUID, at most 64 characters.
    for uid in uids(patient):
        assert uid.startswith("2.25.")
        assert int(uid.removeprefix("2.25.")) < 2**128


def test_a_scan_that_was_not_taken_has_no_identity() -> None:
    """Asking for it names the scan."""
    patient = small_patient(seed=5, index=7, options=PhantomOptions(follow_up=False))

    with pytest.raises(ValueError, match="has no scan follow_up"):
        series_identity(patient, "follow_up")


def test_nifti_files_carry_hu_labels_and_the_way_to_patient_space(
    patient: SimulatedPatient, tmp_path: Path
) -> None:
    """Voxel (0, 0, 0) lies at (-4, -4, -10) LPS, which is (4, 4, -10) in NIfTI's RAS."""
    write_picture(patient.baseline, tmp_path / "a.nii.gz")
    write_labels(patient.baseline, tmp_path / "b.nii.gz")

    picture, labels = nib.load(tmp_path / "a.nii.gz"), nib.load(tmp_path / "b.nii.gz")

    assert picture.get_data_dtype() == np.int16
    assert np.array_equal(
        np.asarray(picture.dataobj).transpose(2, 1, 0), patient.baseline.volume.hu_zyx
    )
    assert np.array_equal(
        np.asarray(labels.dataobj).transpose(2, 1, 0), patient.baseline.labels_zyx
    )
    assert picture.affine @ [0, 0, 0, 1] == pytest.approx([4, 4, -10, 1])
    assert picture.affine @ [0, 0, 3, 1] == pytest.approx([4, 4, 5, 1])
    assert b"SIMULATED" in bytes(picture.header["descrip"])
