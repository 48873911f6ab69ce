"""The way from a cropped slice to the network's input and back, for training and inference."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

#: Grey levels 0..255 are brought to -1..1, as the ImageNet-21k weights of ViT-B/16 expect.
GREY_MIDDLE = 127.5


def to_input(image_yx: NDArray[np.uint8], *, input_size: int) -> torch.Tensor:
    """Return one slice as the network sees it.

    The image is padded to a square with black on the sides where it is short, which keeps
    its aspect and all of it, then brought to the input size with an antialiased bilinear
    filter, then scaled to -1..1.

    Parameters
    ----------
    image_yx : ndarray of uint8, shape (Y, X)
        Grey levels of the brain window.
    input_size : int
        Height and width of the network's input.

    Returns
    -------
    Tensor of float32, shape (1, input_size, input_size)
    """
    top, left, side = _square_around(image_yx.shape)
    square = np.zeros((side, side), dtype=np.float32)
    square[top : top + image_yx.shape[0], left : left + image_yx.shape[1]] = image_yx
    resized = _resize(torch.from_numpy(square), input_size)
    return (resized / GREY_MIDDLE - 1)[None]


def to_batch(images_yx: Sequence[NDArray[np.uint8]], *, input_size: int) -> torch.Tensor:
    """Return several slices as one input, shape (N, 1, input_size, input_size)."""
    return torch.stack([to_input(image, input_size=input_size) for image in images_yx])


def to_roi(map_yx: NDArray[np.float32], *, roi_shape_yx: tuple[int, int]) -> NDArray[np.float32]:
    """Return a map of the network's input on the pixels of the cropped slice.

    The inverse of `to_input`: resized to the padded square, then freed of the padding.

    Parameters
    ----------
    map_yx : ndarray of float32, shape (input_size, input_size)
        One value per input pixel.
    roi_shape_yx : tuple of int
        Height and width of the cropped slice.

    Returns
    -------
    ndarray of float32, shape `roi_shape_yx`
    """
    top, left, side = _square_around(roi_shape_yx)
    square = _resize(torch.from_numpy(np.ascontiguousarray(map_yx)), side).numpy()
    return np.asarray(
        square[top : top + roi_shape_yx[0], left : left + roi_shape_yx[1]], dtype=np.float32
    )


def _square_around(shape_yx: tuple[int, ...]) -> tuple[int, int, int]:
    """Return top and left padding and the side of the smallest square around an image."""
    side = max(shape_yx)
    return (side - shape_yx[0]) // 2, (side - shape_yx[1]) // 2, side


def _resize(image_yx: torch.Tensor, side: int) -> torch.Tensor:
    return functional.interpolate(
        image_yx[None, None], size=(side, side), mode="bilinear", antialias=True
    )[0, 0]
