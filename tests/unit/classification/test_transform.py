"""The one way from a cropped slice to the network and back."""

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.classification.transform import to_batch, to_input, to_roi


def test_a_square_slice_is_scaled_as_pillow_does():
    """Pillow's antialiased bilinear filter gives the same picture."""
    image = np.random.default_rng(0).integers(0, 256, (150, 150), dtype=np.uint8)

    found = to_input(image, input_size=64)

    pillow = Image.fromarray(image.astype(np.float32)).resize((64, 64), Image.Resampling.BILINEAR)
    assert found.shape == (1, 64, 64)
    assert np.allclose(found[0].numpy(), np.asarray(pillow) / 127.5 - 1, atol=1e-3)


def test_black_and_white_are_the_ends_of_the_range():
    """Grey 0 becomes -1, grey 255 becomes 1."""
    assert to_input(np.zeros((9, 9), np.uint8), input_size=9).unique().tolist() == [-1]
    assert to_input(np.full((9, 9), 255, np.uint8), input_size=9).unique().tolist() == [1]


def test_a_long_slice_keeps_its_aspect():
    """A white slice of 40 x 80 fills the middle half of the height, black above and below."""
    found = to_input(np.full((40, 80), 255, np.uint8), input_size=80)[0]

    assert (found[20:60] == 1).all()
    assert (found[:20] == -1).all()
    assert (found[60:] == -1).all()


def test_slices_of_different_size_make_one_batch():
    """Each is prepared on its own."""
    images = [np.full(shape, 255, np.uint8) for shape in ((40, 80), (33, 33))]

    batch = to_batch(images, input_size=16)

    assert batch.shape == (2, 1, 16, 16)
    assert torch.equal(batch[1], to_input(images[1], input_size=16))


@pytest.mark.parametrize("shape_yx", [(100, 100), (60, 90), (131, 77)])
def test_a_place_in_the_slice_is_found_again(shape_yx):
    """The way back puts a bright spot where the way forth took it from."""
    y, x = np.mgrid[: shape_yx[0], : shape_yx[1]]
    image = (255 * np.exp(-((y - 40) ** 2 + (x - 50) ** 2) / 50)).astype(np.uint8)

    map_yx = to_input(image, input_size=64)[0].numpy() + 1
    back = to_roi(map_yx, roi_shape_yx=shape_yx)

    assert back.shape == shape_yx
    found = np.unravel_index(back.argmax(), back.shape)
    assert np.abs(np.array(found) - (40, 50)).max() <= 1
