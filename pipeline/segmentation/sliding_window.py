"""Prediction of a volume tile by tile, overlapping tiles weighted by a Gaussian."""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from pipeline.segmentation.predictor import OnProgress, ignore_progress

Network = Callable[[Tensor], Tensor]

Place = tuple[slice, slice, slice]

#: Standard deviation of the tile weight as a share of the tile's size, as in nnU-Net [1]_.
#: .. [1] F. Isensee et al., "nnU-Net", Nature Methods 18, 203-211 (2021).
_SIGMA_SHARE = 1 / 8


@dataclass(frozen=True, slots=True, kw_only=True)
class SlidingWindow:
    """How a volume is cut into tiles.

    Attributes
    ----------
    tile_zyx : tuple of int
        Size of a tile.
    step : float
        Distance between tiles as a share of their size, in (0, 1].
    batch : int
        Tiles and mirrored copies per pass through the network.
    mirror_axes : tuple of int
        Axes (0 = z, 1 = y, 2 = x) over which mirrored copies are averaged in.
    padding_value : float
        Value around volumes that are smaller than a tile in the plane.
    repeats_end_slices : bool
        Whether too few slices are made up by repeating those at the ends; else by the
        padding value.

    Raises
    ------
    ValueError
        If a size, the step or the batch is out of range.
    """

    tile_zyx: tuple[int, int, int]
    step: float = 0.5
    batch: int = 1
    mirror_axes: tuple[int, ...] = ()
    padding_value: float = 0.0
    repeats_end_slices: bool = True

    def __post_init__(self) -> None:
        if min(self.tile_zyx) < 1 or self.batch < 1:
            raise ValueError(f"Tile and batch must be positive, got {self.tile_zyx}, {self.batch}")
        if not 0 < self.step <= 1:
            raise ValueError(f"The step is a share of the tile in (0, 1], got {self.step}")
        if not set(self.mirror_axes) <= {0, 1, 2}:
            raise ValueError(f"Mirror axes are among 0, 1, 2, got {self.mirror_axes}")

    @property
    def mirrored_copies(self) -> tuple[tuple[int, ...], ...]:
        """Axes to turn over for each copy; the first copy is the tile as it is."""
        axes = self.mirror_axes
        return tuple(
            chosen
            for count in range(len(axes) + 1)
            for chosen in itertools.combinations(axes, count)
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TiledLogits:
    """What a network said of a volume.

    Attributes
    ----------
    logits : Tensor, shape (C, Z, Y, X), float32
        Weighted means over the tiles; zero where no tile was run.
    seen : Tensor of bool, shape (Z, Y, X)
        Voxels that lie in a tile that was run.
    """

    logits: Tensor
    seen: Tensor


def tile_starts(size: int, tile: int, step: float) -> list[int]:
    """Return where tiles begin along an axis: evenly, at most a step apart, ends covered."""
    if size <= tile:
        return [0]
    count = math.ceil((size - tile) / (tile * step)) + 1
    return [round(index * (size - tile) / (count - 1)) for index in range(count)]


def tile_weight(tile_zyx: Sequence[int]) -> Tensor:
    """Return the Gaussian weight of a tile's voxels, 1 in the middle, never zero."""
    weight = torch.ones(1)
    for size in tile_zyx:
        offsets = torch.arange(size, dtype=torch.float32) - size // 2
        line = torch.exp(-0.5 * (offsets / (size * _SIGMA_SHARE)) ** 2)
        weight = weight[..., None] * line
    weight = weight[0]
    return weight.clamp_min(float(weight[weight > 0].min()))


def predict_logits(
    network: Network,
    image: Tensor,
    window: SlidingWindow,
    *,
    head_zyx: NDArray[np.bool_] | None = None,
    on_progress: OnProgress = ignore_progress,
) -> TiledLogits:
    """Return the class logits of an image.

    Parameters
    ----------
    network : callable
        From tiles (N, 1, Z, Y, X) to logits (N, C, Z, Y, X) of any floating type.
    image : Tensor
        Normalised image (Z, Y, X) on the network's device.
    window : SlidingWindow
        Tiling.
    head_zyx : ndarray of bool, shape (Z, Y, X), optional
        Where the head is. A tile is skipped if and only if none of its voxels is in the head.
    on_progress : callable
        Told after each pass which share of the tiles is done.

    Returns
    -------
    TiledLogits
        On the image's grid and device.
    """
    padded, inner = _pad(image, window)
    places = _places(tuple(padded.shape), window)
    if head_zyx is not None:
        places = [place for place in places if _holds_head(place, head_zyx, inner)]
    copies = window.mirrored_copies
    # One entry a pass element: mirrored copies of a tile stand next to each other.
    work = list(itertools.product(places, copies))
    weight = tile_weight(window.tile_zyx).to(padded)
    weights = torch.zeros_like(padded)
    for place in places:
        weights[place] += weight
    share = weight / len(copies)
    totals: Tensor | None = None
    for first in range(0, len(work), window.batch):
        chosen = work[first : first + window.batch]
        tiles = torch.stack([_turned(padded[place], axes) for place, axes in chosen])
        logits = network(tiles[:, None]).float()
        if totals is None:
            totals = padded.new_zeros((logits.shape[1], *padded.shape))
        for (place, axes), tile_logits in zip(chosen, logits, strict=True):
            totals[(slice(None), *place)] += _turned(tile_logits, axes) * share
        on_progress((first + len(chosen)) / len(work))
    if totals is None:
        totals = padded.new_zeros((1, *padded.shape))
    seen = weights[inner] > 0
    mean = totals[(slice(None), *inner)] / weights[inner].where(seen, weights.new_ones(()))
    return TiledLogits(logits=mean, seen=seen)


def _places(shape_zyx: tuple[int, ...], window: SlidingWindow) -> list[Place]:
    """Return where the tiles lie."""
    starts = [
        tile_starts(size, tile, window.step)
        for size, tile in zip(shape_zyx, window.tile_zyx, strict=True)
    ]
    depth, rows, columns = window.tile_zyx
    return [
        (slice(z, z + depth), slice(y, y + rows), slice(x, x + columns))
        for z, y, x in itertools.product(*starts)
    ]


def _holds_head(place: Place, head_zyx: NDArray[np.bool_], inner: Place) -> bool:
    """Return whether a tile of the padded image has a voxel of the head."""
    own = tuple(
        slice(max(part.start - whole.start, 0), max(part.stop - whole.start, 0))
        for part, whole in zip(place, inner, strict=True)
    )
    return bool(head_zyx[own].any())


def _turned(values: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Return values (..., Z, Y, X) turned over along spatial axes."""
    return values.flip([axis - 3 for axis in axes]) if axes else values


def _pad(image: Tensor, window: SlidingWindow) -> tuple[Tensor, Place]:
    """Return the image, at least as large as a tile, and where the original lies in it.

    In the plane there is air around a head. Along the slices the end slices are repeated, unless
    the network was trained otherwise: a tile half of air would shift the statistics that
    instance normalisation works with.
    """
    before: list[int] = []
    after: list[int] = []
    for size, tile in zip(image.shape, window.tile_zyx, strict=True):
        lacking = max(tile - size, 0)
        before.append(lacking // 2)
        after.append(lacking - lacking // 2)
    planes = functional.pad(
        image, (before[2], after[2], before[1], after[1]), value=window.padding_value
    )
    ends = (planes[:1], planes[-1:])
    if not window.repeats_end_slices:
        ends = (torch.full_like(planes[:1], window.padding_value),) * 2
    padded = torch.cat([ends[0]] * before[0] + [planes] + [ends[1]] * after[0])
    z, y, x = (slice(start, start + size) for start, size in zip(before, image.shape, strict=True))
    return padded, (z, y, x)
