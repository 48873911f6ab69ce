"""Synthetic images made alike to real ones in everything that is not anatomy.

A classifier would otherwise learn that synthetic means expanding: by size, by grain, by grey
levels, by the file. All are taken from the slices that the generator has learnt from.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from training.synthesis.grain import add_grain
from training.synthesis.learning_slices import LearningSlices
from training.synthesis.native_size import to_native

#: A synthetic image takes the size of one of so many real ones that look most like it.
_LOOK_ALIKES = 10

#: Likeness is judged at so many pixels a side.
_THUMBNAIL = 16

_LEVELS = 256

#: Levels nearer to black or white than this are taken for air and bone.
_END = 8


def look_alikes(images: Tensor, slices: LearningSlices, *, seeds: Sequence[int]) -> list[int]:
    """Return the place of a real slice whose size and grain each synthetic image takes.

    Size and content go together, since a region of interest is the hematoma with a margin of
    so many millimetres: large ones are filled. Each image therefore takes after one of the ten
    real slices most like it, by its own seed.

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
    return [
        int(row[np.random.default_rng([seed, 1]).integers(count)])
        for row, seed in zip(nearest, seeds, strict=True)
    ]


def native_grey(
    images: Tensor,
    alike: Sequence[NDArray[np.uint8]],
    *,
    seeds: Sequence[int],
    grain: bool = True,
) -> list[NDArray[np.float32]]:
    """Return synthetic images as slices: of the size and with the grain of real ones.

    Parameters
    ----------
    images : Tensor of float32, shape (N, 1, S, S)
        Synthetic images, -1..1.
    alike : sequence of ndarray of uint8
        The real slice after which each takes.
    seeds : sequence of int
        One for each image.
    grain : bool
        Add what the generator's size has taken from real slices (`training.synthesis.grain`).

    Returns
    -------
    list of ndarray of float32, shapes as `alike`
        Grey levels 0..255, not yet rounded.
    """
    found = []
    for image, real, seed in zip(images[:, 0].numpy(), alike, seeds, strict=True):
        native = to_native(image, (real.shape[0], real.shape[1]))
        if grain:
            rng = np.random.default_rng([seed, 2])
            native = add_grain(native, real, image_size=len(image), rng=rng)
        found.append(native)
    return found


def match_grey_levels(
    images: Sequence[NDArray[np.float32]], real: Sequence[NDArray[np.uint8]]
) -> list[NDArray[np.uint8]]:
    """Return images whose grey levels, all taken together, are distributed as the real ones'.

    One rising function for all images: differences between them remain. Black and white, which
    are air and bone, are left as they are: how much of them there is, is anatomy. Were they
    matched, too, a generator that draws too little bone would get a white hematoma instead.

    Parameters
    ----------
    images : sequence of ndarray of float32
        Grey levels 0..255.
    real : sequence of ndarray of uint8
        Grey levels of real slices at native size.
    """
    lowest, highest = _END, _LEVELS - 1 - _END
    # A sixteenth of a level is finer than what rounding leaves.
    bins = np.linspace(lowest - 0.5, highest + 0.5, (highest - lowest + 1) * 16 + 1)
    counts = sum(np.histogram(image, bins)[0].astype(np.float64) for image in images)
    wanted = sum(np.bincount(image.ravel(), minlength=_LEVELS) for image in real)
    inside = np.asarray(wanted)[lowest : highest + 1]
    if np.sum(counts) == 0 or inside.sum() == 0:
        return [_rounded(image) for image in images]
    shares, wanted_shares = np.cumsum(counts) / np.sum(counts), np.cumsum(inside) / inside.sum()
    # Middle of each fine bin's share; the level whose share first reaches it.
    middle = shares - np.diff(shares, prepend=0.0) / 2
    level = lowest + np.searchsorted(wanted_shares, middle).clip(0, len(inside) - 1)
    matched = []
    for image in images:
        place = np.digitize(image, bins) - 1
        between = (place >= 0) & (place < len(level))
        new = level[np.clip(place, 0, len(level) - 1)].astype(np.uint8)
        matched.append(np.where(between, new, _rounded(image)))
    return matched


def _rounded(image: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.clip(np.rint(image), 0, _LEVELS - 1).astype(np.uint8)


def _thumbnails(images: Tensor) -> Tensor:
    return functional.interpolate(
        images, size=(_THUMBNAIL, _THUMBNAIL), mode="bilinear", antialias=True
    )
