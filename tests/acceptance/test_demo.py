"""The demonstration with the shipped weights: everything comes back, or it says what did not."""

import subprocess
import sys

import pytest

from dicom_node.bootstrap.parts import bundle_path
from pipeline.errors import ModelBundleError

pytestmark = [pytest.mark.acceptance, pytest.mark.weights, pytest.mark.timeout(900)]


@pytest.fixture
def bundles():
    """Skip where the checkout has no weights."""
    try:
        return [bundle_path(name) for name in ("demo-segmentation", "demo-classification")]
    except ModelBundleError as error:
        pytest.skip(f"no shipped weights: {error}")


def demo(output):
    return subprocess.run(
        [sys.executable, "-m", "dicom_node", "demo", "--output", str(output)],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.usefixtures("bundles")
def test_the_demonstration_ends_well_and_tells_volume_probability_and_times(tmp_path):
    """Exit code 0 means that SEG, SC and SR are in the PACS."""
    done = demo(tmp_path / "out")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    for words in (
        "RESEARCH USE ONLY",
        "hematoma volume",
        "A typical patient",
        "expansion",
        "door to result",
        "summary.png",
        "SEG, SC and SR came back",
    ):
        assert words in done.stdout
    assert len(list((tmp_path / "out" / "pacs").glob("*.dcm"))) >= 5
    assert list((tmp_path / "out").rglob("summary.png"))


def test_the_demonstration_never_empties_a_folder_that_is_not_its_own(tmp_path):
    """A typing error in --output costs nobody his files."""
    precious = tmp_path / "thesis.txt"
    precious.write_text("years of work")

    done = demo(tmp_path)

    assert done.returncode == 1
    assert "no demonstration made" in done.stderr
    assert precious.read_text() == "years of work"
