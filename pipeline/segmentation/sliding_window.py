"""Prediction of a volume tile by tile, overlapping tiles weighted by a Gaussian."""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

Network = Callable[[Tensor], Tensor]

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
        Tiles per pass through the network.
    mirror_axes : tuple of int
        Axes (0 = z, 1 = y, 2 = x) over which mirrored copies are averaged in.
    padding_value : float
        Value around slices that are smaller than a tile: air, normalised. Too few slices
        are made up by repeating those at the ends.

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

    def __post_init__(self) -> None:
        if min(self.tile_zyx) < 1 or self.batch < 1:
            raise ValueError(f"Tile and batch must be positive, got {self.tile_zyx}, {self.batch}")
        if not 0 < self.step <= 1:
            raise ValueError(f"The step is a share of the tile in (0, 1], got {self.step}")
        if not set(self.mirror_axes) <= {0, 1, 2}:
            raise ValueError(f"Mirror axes are among 0, 1, 2, got {self.mirror_axes}")


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


def predict_logits(network: Network, image: Tensor, window: SlidingWindow) -> Tensor:
    """Return the class logits of an image.

    Parameters
    ----------
    network : callable
        From tiles (N, 1, Z, Y, X) to logits (N, C, Z, Y, X).
    image : Tensor
        Normalised image (Z, Y, X) on the network's device.
    window : SlidingWindow
        Tiling.

    Returns
    -------
    Tensor
        Logits (C, Z, Y, X), float32, weighted means over the tiles.
    """
    padded, inner = _pad(image, window)
    starts = [
        tile_starts(size, tile, window.step)
        for size, tile in zip(padded.shape, window.tile_zyx, strict=True)
    ]
    places = [
        tuple(
            slice(start, start + tile) for start, tile in zip(corner, window.tile_zyx, strict=True)
        )
        for corner in itertools.product(*starts)
    ]
    weight = tile_weight(window.tile_zyx).to(padded)
    totals: Tensor | None = None
    weights = torch.zeros_like(padded)
    for first in range(0, len(places), window.batch):
        chosen = places[first : first + window.batch]
        tiles = torch.stack([padded[place] for place in chosen])[:, None]
        logits = _mirrored(network, tiles, window.mirror_axes)
        if totals is None:
            totals = padded.new_zeros((logits.shape[1], *padded.shape))
        for place, tile_logits in zip(chosen, logits, strict=True):
            totals[(slice(None), *place)] += tile_logits * weight
            weights[place] += weight
    assert totals is not None  # noqa: S101  there is always a tile
    return (totals / weights)[(slice(None), *inner)]


def _mirrored(network: Network, tiles: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Return the mean of the network's logits over all mirrored copies."""
    logits = network(tiles).float()
    copies = 1
    for count in range(1, len(axes) + 1):
        for chosen in itertools.combinations(axes, count):
            turned = [axis + 2 for axis in chosen]
            logits = logits + network(tiles.flip(turned)).float().flip(turned)
            copies += 1
    return logits / copies


def _pad(image: Tensor, window: SlidingWindow) -> tuple[Tensor, tuple[slice, ...]]:
    """Return the image, at least as large as a tile, and where the original lies in it.

    In the plane there is air around a head. Along the slices the end slices are repeated: a tile
    half of air would shift the statistics that instance normalisation works with.
    """
    padding: list[int] = []
    inner: list[slice] = []
    for size, tile in zip(image.shape, window.tile_zyx, strict=True):
        lacking = max(tile - size, 0)
        before = lacking // 2
        padding = [before, lacking - before, *padding]
        inner.append(slice(before, before + size))
    in_plane = functional.pad(image, padding[:4], value=window.padding_value)
    below, above = padding[4:]
    slices = [in_plane[:1]] * below + [in_plane] + [in_plane[-1:]] * above
    return torch.cat(slices), tuple(inner)
