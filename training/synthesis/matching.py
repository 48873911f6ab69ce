"""Synthetic images made alike to real ones in everything that is not anatomy.

A classifier would otherwise learn that synthetic means expanding: by size, by grey levels, by
the file. Sizes and grey levels are taken from the slices that the generator has learnt from.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from pipeline.classification.transform import GREY_MIDDLE, to_roi
from training.synthesis.learning_slices import LearningSlices

#: A synthetic image takes the size of one of so many real ones that look most like it.
_LOOK_ALIKES = 10

#: Likeness is judged at so many pixels a side.
_THUMBNAIL = 16

_LEVELS = 256


def matched_shapes(
    images: Tensor, slices: LearningSlices, *, seeds: Sequence[int]
) -> list[tuple[int, int]]:
    """Return a native size for each synthetic image.

    Size and content go together, since a region of interest is the hematoma with a margin of
    so many millimetres: large ones are filled. Each image therefore takes the size of one of
    the ten real slices most like it, by its own seed.

    Parameters
    ----------
    images : Tensor of float32, shape (N, 1, S, S)
        Synthetic images, -1..1.
    slices : LearningSlices
        Real ones.
    seeds : sequence of int
        One for each image.
    """
    small, real = _thumbnails(images), _thumbnails(slices.images)
    distances = torch.minimum(
        torch.cdist(small.flatten(1), real.flatten(1)),
        torch.cdist(small.flip(-1).flatten(1), real.flatten(1)),
    )
    count = min(_LOOK_ALIKES, len(slices))
    nearest = distances.topk(count, largest=False).indices.numpy()
    chosen = [
        row[np.random.default_rng([seed, 1]).integers(count)]
        for row, seed in zip(nearest, seeds, strict=True)
    ]
    return [slices.shapes_yx[int(one)] for one in chosen]


def native_grey(images: Tensor, shapes_yx: Sequence[tuple[int, int]]) -> list[NDArray[np.float32]]:
    """Return synthetic images at native sizes, by the way back of the classifier's transform.

    Returns
    -------
    list of ndarray of float32, shapes `shapes_yx`
        Grey levels 0..255, not yet rounded.
    """
    square = images[:, 0].numpy()
    return [
        np.clip((to_roi(image, roi_shape_yx=shape) + 1) * GREY_MIDDLE, 0, _LEVELS - 1)
        for image, shape in zip(square, shapes_yx, strict=True)
    ]


def match_grey_levels(
    images: Sequence[NDArray[np.float32]], real: Sequence[NDArray[np.uint8]]
) -> list[NDArray[np.uint8]]:
    """Return images whose grey levels, all taken together, are distributed as the real ones'.

    One rising function for all images: differences between them remain.

    Parameters
    ----------
    images : sequence of ndarray of float32
        Grey levels 0..255.
    real : sequence of ndarray of uint8
        Grey levels of real slices at native size.
    """
    # A sixteenth of a level is finer than what rounding leaves.
    bins = np.linspace(-0.5, _LEVELS - 0.5, _LEVELS * 16 + 1)
    counts = sum(np.histogram(image, bins)[0].astype(np.float64) for image in images)
    shares = np.cumsum(counts) / np.sum(counts)
    wanted = sum(np.bincount(image.ravel(), minlength=_LEVELS) for image in real)
    wanted_shares = np.cumsum(wanted) / np.sum(wanted)
    # Middle of each fine bin's share; the level whose share first reaches it.
    middle = shares - np.diff(shares, prepend=0.0) / 2
    level = np.searchsorted(wanted_shares, middle).clip(0, _LEVELS - 1).astype(np.uint8)
    return [level[np.clip(np.digitize(image, bins) - 1, 0, len(level) - 1)] for image in images]


def _thumbnails(images: Tensor) -> Tensor:
    return functional.interpolate(
        images, size=(_THUMBNAIL, _THUMBNAIL), mode="bilinear", antialias=True
    )
