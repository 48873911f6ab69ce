"""Images that are read while others still come make the volume that all of them make."""

from dataclasses import fields

import numpy as np
import pytest
from ct_builder import build_ct_series, save_series
from pydicom.uid import ExplicitVRLittleEndian, JPEGLSLossless, RLELossless

from dicom_node.images_ahead import ImagesAhead
from pipeline.errors import SeriesRejectedError

#: Of one image of 16 x 16 pixels of 16 bits: its pixel data and its values.
PIXEL_DATA = VALUES = 16 * 16 * 2


def series(**options):
    return build_ct_series(
        slices=14, shape_yx=(16, 16), field_of_view_mm=64, noise_hu=5, **options
    )


def go_on():
    """Let everything be read."""


def same(one, other):
    """Return whether two volumes agree in whatever they hold."""
    return all(
        np.array_equal(one.hu_zyx, other.hu_zyx)
        if name == "hu_zyx"
        else getattr(one, name) == getattr(other, name)
        for name in (each.name for each in fields(one))
    )


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, JPEGLSLossless, RLELossless])
def test_the_volume_is_the_same_however_the_images_came(tmp_path, syntax):
    """All at once, or one by one, a localizer among them; the last two are not read before."""
    images = series()
    images[3].ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    images[5].PixelPaddingValue = 0
    if syntax != ExplicitVRLittleEndian:
        for image in images:
            image.compress(syntax)
    files = save_series(images, tmp_path)
    ahead = ImagesAhead()
    for number in range(1, len(files) - 1):
        ahead.read(files[:number], go_on=go_on)

    source, volume = ahead.take(files)
    all_at_once, expected = ImagesAhead().take(files)

    assert volume.hu_zyx.shape == (13, 16, 16)
    assert same(volume, expected)
    assert source == all_at_once


def test_an_image_is_read_once(tmp_path):
    """Gone from the disk afterwards, it is still there; what was taken is not kept."""
    files = save_series(series(), tmp_path)
    ahead = ImagesAhead()
    assert (ahead.read(files[:10], go_on=go_on), ahead.read(files, go_on=go_on)) == (10, 4)
    assert ahead.read(files, go_on=go_on) == 0
    for path in files:
        path.unlink()

    assert ahead.take(files)[1].hu_zyx.shape[0] == 14
    assert ahead.size_bytes == 0
    with pytest.raises(FileNotFoundError):
        ahead.take(files)


def test_an_image_that_was_replaced_is_forgotten(tmp_path):
    """Sent again with other content it has another path, and the first does not count."""
    files = save_series(series(), tmp_path / "first")
    changed = series()
    changed[4].PixelData = bytes(len(changed[4].PixelData))
    other = [*files[:4], save_series(changed, tmp_path / "second")[4], *files[5:]]
    ahead = ImagesAhead()
    ahead.read(files, go_on=go_on)

    assert ahead.read(other, go_on=go_on) == 1

    assert ahead.size_bytes == 14 * (PIXEL_DATA + VALUES)
    assert same(ahead.take(other)[1], ImagesAhead().take(other)[1])


def test_memory_has_a_bound_and_the_rest_is_read_later(tmp_path):
    """Room for five and a half images: of the sixth the pixel data are kept, not the values."""
    files = save_series(series(), tmp_path)
    most_bytes = 5 * (PIXEL_DATA + VALUES) + files[0].stat().st_size
    ahead = ImagesAhead(most_bytes=most_bytes)

    ahead.read(files, go_on=go_on)

    assert 5 * (PIXEL_DATA + VALUES) < ahead.size_bytes <= most_bytes
    assert same(ahead.take(files)[1], ImagesAhead().take(files)[1])


def test_what_cannot_be_decoded_is_refused_when_the_series_is(tmp_path):
    """In the same words; a file that is no image at all ends the reading then, too."""
    images = series()
    images[6].PixelData = images[6].PixelData[:60]
    files = save_series(images, tmp_path)
    reasons = []
    for ahead in (ImagesAhead(), ImagesAhead()):
        if not reasons:
            ahead.read(files, go_on=go_on)
        with pytest.raises(SeriesRejectedError) as error:
            ahead.take(files)
        reasons.append(error.value.reason)
    files[2].write_bytes(b"no image")
    ahead = ImagesAhead()

    assert ahead.read(files, go_on=go_on) == 14

    assert reasons[0] == reasons[1]
    with pytest.raises(Exception, match="DICOM"):
        ahead.take(files)


def test_reading_ends_at_once_and_keeps_what_it_has(tmp_path):
    """Before each image it is asked whether somebody still wants it."""
    files = save_series(series(), tmp_path)
    ahead = ImagesAhead()
    left = iter(range(4))

    def only_four():
        if next(left, None) is None:
            raise TimeoutError

    with pytest.raises(TimeoutError):
        ahead.read(files, go_on=only_four)

    assert ahead.size_bytes == 4 * (PIXEL_DATA + VALUES)
    assert ahead.read(files, go_on=go_on) == 10
    ahead.forget()
    assert ahead.size_bytes == 0
