"""Validators and viewers of others accept the result objects."""

import numpy as np
import pydicom
import pytest
from ct_builder import build_ct_series, save_series
from PIL import Image
from pydicom.uid import ParametricMapStorage
from result_cases import (
    BALL,
    SMALL,
    case_of,
    case_with_everything,
    case_with_forecast,
    case_with_hematoma,
    case_with_ventricular_blood,
    case_without_hematoma,
)
from validator_programs import pixelmed_on, run

pytestmark = pytest.mark.acceptance


def chinese():
    series = build_ct_series(shape_yx=SMALL, balls=[BALL])
    for ds in series:
        ds.SpecificCharacterSet = "GB18030"
        ds.PatientName = "Zhang^XiaoDong=张^小东"
    return case_of(series)


CASES = {
    "axial": case_with_hematoma,
    "tilted": lambda: case_with_hematoma(tilt_deg=18.0),
    "multi-frame": lambda: case_with_hematoma(multi_frame=True),
    "Chinese": chinese,
    "none": case_without_hematoma,
    "range and map": case_with_everything,
    "tilted, range and map": lambda: case_with_everything(tilt_deg=18.0),
    "forecast": case_with_forecast,
    "tilted, forecast": lambda: case_with_forecast(tilt_deg=18.0),
    "ventricular blood alone": case_with_ventricular_blood,
}


@pytest.fixture(scope="module", params=CASES, ids=str)
def files(request, tmp_path_factory):
    """Write source and results of one case; return both lists of paths."""
    folder = tmp_path_factory.mktemp("objects")
    case = CASES[request.param]()
    source = save_series(case.series, folder / "ct")
    results = []
    made = case.encode(with_uncertainty_map=True, with_pdf=True, with_key_objects=True)
    for number, result in enumerate(made.in_send_order):
        kind = "MAP" if result.SOPClassUID == ParametricMapStorage else result.Modality
        results.append(folder / f"{number}_{kind}.dcm")
        result.save_as(results[-1], enforce_file_format=True)
    return source, results


def test_dciodvfy_finds_no_error(files):
    """Every object satisfies its information object definition."""
    for path in files[1]:
        said = run("dciodvfy", "-new", path)

        assert [line for line in said.splitlines() if line.startswith("Error")] == []


def test_dcentvfy_finds_no_contradiction(files):
    """Patient and study are the same in source and results, attribute by attribute."""
    said = run("dcentvfy", *files[0], *files[1])

    assert [line for line in said.splitlines() if line.startswith("Error")] == []


def test_dcmtk_reads_the_report(files):
    """DCMTK's reader of structured reports accepts the tree and renders it."""
    report = files[1][-1]
    page = report.with_suffix(".html")

    said = run("dsrdump", report)
    run("dsr2html", report, page)

    assert "Comprehensive 3D SR Document" in said
    assert not [line for line in said.splitlines() if line.startswith(("E:", "F:"))]
    assert "RESEARCH USE ONLY" in page.read_text(encoding="utf-8")


def test_dcmtk_draws_the_captures(files):
    """Another program shows the pixels that were written."""
    for path in (p for p in files[1] if p.stem.endswith("OT")):
        picture = path.with_suffix(".png")
        run("dcmj2pnm", "--write-png", path, picture)

        shown = np.asarray(Image.open(picture))
        assert shown.shape == pydicom.dcmread(path).pixel_array.shape
        assert (np.ptp(shown.astype(int), axis=-1) > 100).any()  # the overlay is in colour


@pytest.mark.timeout(400)  # without Saxon the validator needs 10 s, minutes on a busy machine
@pytest.mark.parametrize(
    "make", [case_with_hematoma, case_without_hematoma, case_with_everything, case_with_forecast]
)
def test_pixelmed_finds_no_error_in_the_report(make, tmp_path):
    """Published criterion of the IHE AIR tests: PixelMed reports no error for TID 1500."""
    path = tmp_path / "report.dcm"
    report = make(slices=16, spacing_mm=9.0).encode(with_uncertainty_map=True).report
    report.save_as(path, enforce_file_format=True)

    said = pixelmed_on(path)

    assert "Found Root Template TID_1500" in said
    assert "IOD validation complete" in said
    assert [line for line in said.splitlines() if line.startswith("Error")] == []
