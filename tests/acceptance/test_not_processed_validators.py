"""Validators of others accept the report that a series was not analysed."""

import pytest
from ct_builder import build_ct_series, save_series
from result_cases import SMALL, context
from validator_programs import pixelmed_on, run

from dicom_node.results.not_processed_report import encode_not_processed
from pipeline.rejection import RejectionCode, RejectionReason

pytestmark = pytest.mark.acceptance

REASON = RejectionReason(
    code=RejectionCode.TOO_FEW_SLICES, found="4 slices", needed="10 slices or more"
)


@pytest.fixture
def files(tmp_path):
    """Write images and report; return their paths."""
    series = build_ct_series(slices=4, shape_yx=SMALL)
    path = tmp_path / "report.dcm"
    encode_not_processed(series, REASON, context=context()).save_as(path, enforce_file_format=True)
    return save_series(series, tmp_path / "ct"), path


def test_dciodvfy_and_dcmtk_find_no_error(files):
    """IOD, contradictions with the images, and the content tree."""
    images, report = files

    for said in (run("dciodvfy", "-new", report), run("dcentvfy", *images, report)):
        assert [line for line in said.splitlines() if line.startswith("Error")] == []
    assert "NOT PROCESSED" in run("dsrdump", report)


@pytest.mark.timeout(400)  # without Saxon the validator needs 10 s, minutes on a busy machine
def test_pixelmed_finds_no_error(files):
    """TID 1500 as PixelMed knows it."""
    said = pixelmed_on(files[1])

    assert "Found Root Template TID_1500" in said
    assert [line for line in said.splitlines() if line.startswith("Error")] == []
