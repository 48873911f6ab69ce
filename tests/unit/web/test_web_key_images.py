"""Single images of a study: each alone, as large as wanted; what was purged says so."""

import io

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian

from dicom_node.bootstrap.layout import KEY_SLICE_NAME, DataLayout
from dicom_node.results.capture_image import new_capture, set_pixels

SHOWS = "Grad-CAM overlay, slice of largest hematoma area"
RED = (200, 10, 20)


@pytest.fixture
def layout(node):
    return DataLayout(root=node.settings.node.data_dir)


@pytest.fixture
def capture(node, layout):
    """Return the file of a capture of 3 rows and 5 columns, all of one red."""
    (stored, *_) = node.ledger.reports.objects(node.job)
    made = new_capture(
        uid="1.2.3.4", series_uid="1.2.3", number=1, shows=SHOWS, method=codes.DCM.Derivation
    )
    set_pixels(made, np.full((3, 5, 3), RED, dtype=np.uint8))
    path = layout.outbox / stored.path
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.save_as(path, enforce_file_format=True)
    return path


def pixels_of(answer):
    assert answer.headers["content-type"] == "image/png"
    return np.asarray(Image.open(io.BytesIO(answer.content)))


@pytest.mark.usefixtures("capture")
def test_a_capture_is_shown_as_it_was_sent(node):
    """Pixel for pixel, with the words that it carries itself."""
    client = node.client("vera")

    shown = client.get(f"/pictures/{node.job}/capture-1.png")
    page = client.get(f"/studies/{node.study}").text

    assert (pixels_of(shown) == np.full((3, 5, 3), RED)).all()
    assert SHOWS in page
    assert f"/studies/{node.study}/images/{node.job}/capture-1" in page
    assert client.get(f"/api/v1/studies/{node.study}").json()["images"] == {
        str(node.job): ["capture-1"]
    }


@pytest.mark.usefixtures("capture")
def test_one_image_can_be_looked_at_in_three_sizes(node, layout):
    """With its words for those who cannot see it, and the way to the next one."""
    Image.new("RGB", (4, 4)).save(layout.summary(node.job) / KEY_SLICE_NAME)
    client = node.client("vera")
    folder = f"/studies/{node.study}/images/{node.job}"

    page = client.get(f"{folder}/largest?zoom=200").text

    assert 'class="zoom-200"' in page
    assert f'alt="Slice of largest hematoma area with its outline, analysis {node.job}"' in page
    assert f'rel="next" href="{folder}/capture-1?zoom=200"' in page
    assert 'rel="prev"' not in page
    assert "Image 1 of 2" in page
    assert 'class="zoom-100"' in client.get(f"{folder}/capture-1?zoom=7").text
    assert pixels_of(client.get(f"/pictures/{node.job}/largest.png")).shape == (4, 4, 3)


def test_a_purged_image_says_so(node, capture):
    """Where it was, there is a word; its page is gone."""
    client = node.client("vera")
    capture.unlink()

    page = client.get(f"/studies/{node.study}").text

    assert "Capture: <small>purged</small>" in page
    assert client.get(f"/pictures/{node.job}/capture-1.png").status_code == 404
    gone = client.get(f"/studies/{node.study}/images/{node.job}/capture-1")
    assert gone.status_code == 404


@pytest.mark.parametrize("name", ["capture-2", "capture-0", "summary", "..%2Fsummary"])
@pytest.mark.usefixtures("capture")
def test_nothing_else_is_served(node, name):
    """Only images of the job can be named."""
    client = node.client("vera")

    assert client.get(f"/pictures/{node.job}/{name}.png").status_code in {404, 422}
    assert client.get(f"/studies/{node.waiting}/images/{node.job}/capture-1").status_code == 404


def test_what_is_no_picture_is_not_shown(node, capture):
    """A file that cannot be decoded is not found, and the page still comes."""
    capture.write_bytes(b"\0" * 128 + b"DICM")
    client = node.client("vera")

    assert client.get(f"/pictures/{node.job}/capture-1.png").status_code == 404
    assert client.get(f"/studies/{node.study}").status_code == 200
