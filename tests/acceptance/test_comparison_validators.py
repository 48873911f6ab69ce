"""Other people's validators look at the objects of a comparison."""

import pytest
from comparison_builder import LARGE, SMALL, compare, scan
from validator_programs import pixelmed_on, run

pytestmark = pytest.mark.acceptance


CASES = {
    "expanded": (SMALL, LARGE, {}),
    "tilted follow-up": (SMALL, LARGE, {"tilt_deg": 18.0}),
    "no hematoma at baseline": (None, LARGE, {}),
    "evacuated": (LARGE, None, {}),
}


@pytest.fixture(scope="module", params=CASES, ids=str)
def files(request, tmp_path_factory):
    """Write sources and results of one case; return both lists of sources and the results."""
    folder = tmp_path_factory.mktemp("comparison")
    before, after, options = CASES[request.param]
    scans = [
        scan(folder / "before", before, seed=1, time="20260105080000+0100"),
        scan(folder / "after", after, seed=2, time="20260106080000+0100", **options),
    ]
    results = []
    for kind, result in compare(
        *scans, folder, with_pdf=True, with_key_objects=True
    ).objects.with_kinds:
        results.append(folder / f"{result.SeriesNumber}_{kind}.dcm")
        result.save_as(results[-1], enforce_file_format=True)
    return scans, results


def test_dciodvfy_finds_no_error(files):
    """Every object satisfies its information object definition."""
    for path in files[1]:
        said = run("dciodvfy", "-new", path)

        assert [line for line in said.splitlines() if line.startswith("Error")] == []


def test_dcentvfy_finds_no_contradiction(files):
    """Patient and study are the same in source and results, in each of the two studies."""
    (before, after), results = files
    of_baseline = [path for path in results if path.name.startswith("912")]
    of_follow_up = [path for path in results if path not in of_baseline]

    for sources, made in ((before.files, of_baseline), (after.files, of_follow_up)):
        said = run("dcentvfy", *sources, *made)

        assert [line for line in said.splitlines() if line.startswith("Error")] == []


def test_dcmtk_reads_the_report(files):
    """DCMTK's reader of structured reports accepts the tree."""
    said = run("dsrdump", files[1][-1])

    assert "Comprehensive 3D SR Document" in said
    assert not [line for line in said.splitlines() if line.startswith(("E:", "F:"))]


@pytest.mark.timeout(400)  # without Saxon the validator needs 10 s, minutes on a busy machine
@pytest.mark.parametrize("before", [SMALL, None], ids=["expanded", "no hematoma at baseline"])
def test_pixelmed_finds_no_error_in_the_report(before, tmp_path):
    """Published criterion of the IHE AIR tests: PixelMed reports no error for TID 1500."""
    scans = (
        scan(tmp_path / "b", before, seed=1, time="20260105080000", slices=12, spacing_mm=11.0),
        scan(tmp_path / "a", LARGE, seed=2, time="20260106080000", slices=12, spacing_mm=11.0),
    )
    path = tmp_path / "report.dcm"
    compare(*scans, tmp_path).objects.report.save_as(path, enforce_file_format=True)

    said = pixelmed_on(path)

    assert "Found Root Template TID_1500" in said
    assert "IOD validation complete" in said
    assert [line for line in said.splitlines() if line.startswith("Error")] == []
