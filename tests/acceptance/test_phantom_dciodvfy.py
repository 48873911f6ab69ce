"""Simulated series against an independent validator."""

import shutil
import subprocess
from pathlib import Path

import pytest
from small_phantom import small_patient, small_scan

from training.phantom.dicom_series import series_identity, write_dicom_series
from training.phantom.patient import PhantomOptions

pytestmark = pytest.mark.acceptance


@pytest.mark.parametrize("tilt_deg", [0.0, 18.5])
def test_dciodvfy_finds_no_error_in_a_simulated_series(tmp_path: Path, tilt_deg: float) -> None:
    """dicom3tools' validator of the CT Image information object has nothing to say."""
    program = shutil.which("dciodvfy")
    if program is None:
        pytest.skip("dciodvfy is missing: install the Debian package dicom3tools")
    patient = small_patient(seed=1, index=1, options=PhantomOptions())
    identity = series_identity(patient, "baseline")
    paths = write_dicom_series(small_scan(1, 40, tilt_deg=tilt_deg), tmp_path, identity=identity)

    for path in paths:
        done = subprocess.run(
            [program, "-new", str(path)], capture_output=True, text=True, check=False
        )
        report = done.stdout + done.stderr

        assert done.returncode == 0, report
        assert "Error" not in report
        assert "CTImage" in report
