"""The way from a cropped slice to the network's input and back, for training and inference."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from pipeline.slice_input import Resizing

#: Grey levels 0..255 are brought to -1..1, as the ImageNet-21k weights of ViT-B/16 expect.
GREY_MIDDLE = 127.5

#: The released transform brings the short side to 256 for an input of 224.
_RELEASED_SHORT_SIDE = 256 / 224


def to_input(
    image_yx: NDArray[np.uint8], *, input_size: int, resizing: Resizing = Resizing.PAD
) -> torch.Tensor:
    """Return one slice as the network sees it.

    The image is brought to the input size with an antialiased bilinear filter, then scaled to
    -1..1.

    Parameters
    ----------
    image_yx : ndarray of uint8, shape (Y, X)
        Grey levels of the brain window.
    input_size : int
        Height and width of the network's input.
    resizing : Resizing
        What becomes of an image that is not square.

    Returns
    -------
    Tensor of float32, shape (1, input_size, input_size)
    """
    grey = torch.from_numpy(image_yx.astype(np.float32))
    height, width = image_yx.shape
    if resizing is Resizing.PAD:
        top, left, side = _square_around(image_yx.shape)
        grey = functional.pad(
            grey, (left, side - width - left, top, side - height - top), value=0.0
        )
    if resizing is Resizing.CROP:
        grey = _centre(_resize(grey, _short_side_to(image_yx.shape, input_size)), input_size)
    else:
        grey = _resize(grey, (input_size, input_size))
    return (grey / GREY_MIDDLE - 1)[None]


def to_batch(
    images_yx: Sequence[NDArray[np.uint8]],
    *,
    input_size: int,
    resizing: Resizing = Resizing.PAD,
) -> torch.Tensor:
    """Return several slices as one input, shape (N, 1, input_size, input_size)."""
    return torch.stack(
        [to_input(image, input_size=input_size, resizing=resizing) for image in images_yx]
    )


def to_roi(
    map_yx: NDArray[np.float32],
    *,
    roi_shape_yx: tuple[int, int],
    resizing: Resizing = Resizing.PAD,
) -> NDArray[np.float32]:
    """Return a map of the network's input on the pixels of the cropped slice.

    The inverse of `to_input`; what that cut off is 0.

    Parameters
    ----------
    map_yx : ndarray of float32, shape (input_size, input_size)
        One value per input pixel.
    roi_shape_yx : tuple of int
        Height and width of the cropped slice, or of the pixels that it stands for.
    resizing : Resizing
        As for `to_input`.

    Returns
    -------
    ndarray of float32, shape `roi_shape_yx`
    """
    values = torch.from_numpy(np.ascontiguousarray(map_yx))
    if resizing is Resizing.STRETCH:
        return _array(_resize(values, roi_shape_yx))
    if resizing is Resizing.CROP:
        height, width = _short_side_to(roi_shape_yx, len(map_yx))
        top, left = _offsets((height, width), len(map_yx))
        rest = (
            *(left, width - len(map_yx) - left),
            *(top, height - len(map_yx) - top),
        )
        return _array(_resize(functional.pad(values, rest, value=0.0), roi_shape_yx))
    top, left, side = _square_around(roi_shape_yx)
    square = _resize(values, (side, side))
    return _array(square[top : top + roi_shape_yx[0], left : left + roi_shape_yx[1]])


def _square_around(shape_yx: tuple[int, ...]) -> tuple[int, int, int]:
    """Return top and left padding and the side of the smallest square around an image."""
    side = max(shape_yx)
    return (side - shape_yx[0]) // 2, (side - shape_yx[1]) // 2, side


def _short_side_to(shape_yx: tuple[int, ...], input_size: int) -> tuple[int, int]:
    """Return height and width with the short side of the released transform, as torchvision."""
    short = round(input_size * _RELEASED_SHORT_SIDE)
    long = int(short * max(shape_yx) / min(shape_yx))
    return (short, long) if shape_yx[0] <= shape_yx[1] else (long, short)


def _offsets(shape_yx: tuple[int, int], input_size: int) -> tuple[int, int]:
    """Return top and left of the centre cut, rounded as torchvision does."""
    return round((shape_yx[0] - input_size) / 2), round((shape_yx[1] - input_size) / 2)


def _centre(image_yx: torch.Tensor, input_size: int) -> torch.Tensor:
    top, left = _offsets((image_yx.shape[0], image_yx.shape[1]), input_size)
    return image_yx[top : top + input_size, left : left + input_size]


def _resize(image_yx: torch.Tensor, shape_yx: tuple[int, int]) -> torch.Tensor:
    return functional.interpolate(
        image_yx[None, None], size=shape_yx, mode="bilinear", antialias=True
    )[0, 0]


def _array(values: torch.Tensor) -> NDArray[np.float32]:
    return np.asarray(values.numpy(), dtype=np.float32)
