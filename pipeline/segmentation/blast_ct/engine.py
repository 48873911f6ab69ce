"""The fast way through a BLAST-CT network: the same probabilities, only where they are wanted.

Compared with the plain network:

- norms are folded and vanished filters removed (`folding`);
- the coarse pathways and their part of the first joint layer are computed at their own
  resolution and repeated afterwards, which is the same as repeating before;
- the fine pathway runs plane by plane out of the cache (`streaming`), its last units and the
  joint layers only for the planes that are wanted: between thick slices nobody looks.

No weight or activation left is a denormal float, so the processor's treatment of those, a state
of every thread of the process, is left as it is.
"""

import dataclasses
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from pipeline.segmentation.blast_ct.folding import FoldedNetwork, FoldedPathway, JointLayer
from pipeline.segmentation.blast_ct.streaming import run_units, stream_units
from pipeline.segmentation.head_crop import Box
from pipeline.segmentation.networks.blast_ct import CLASSES
from pipeline.segmentation.predictor import OnProgress, ignore_progress

#: Voxels per product of matrices in the joint layers; 256 channels of them are 8 MiB.
_ROWS = 8192


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Coarse:
    """What a coarse pathway gives to the first joint layer, at its own resolution.

    Attributes
    ----------
    factor : int
        Voxels per group along each axis.
    start_zyx : tuple of int
        First group.
    features : Tensor, shape (z, y, x, C)
        One row per group: the pathway's normalised outputs, or what the layer makes of them.
    """

    factor: int
    start_zyx: tuple[int, int, int]
    features: Tensor


def class_probabilities(
    network: FoldedNetwork,
    image: Tensor,
    *,
    region: Box,
    planes: Sequence[int],
    on_progress: OnProgress = ignore_progress,
) -> NDArray[np.float32]:
    """Return the softmax of a network on some planes of a region.

    Parameters
    ----------
    network : FoldedNetwork
        On the device of the image.
    image : Tensor, shape (Z, Y, X)
        The whole normalised scan; beyond its edges they are repeated.
    region : Box
        What is looked at. Around it the network sees the rest of the scan.
    planes : sequence of int
        Wanted planes, rising, within the region.
    on_progress : callable
        Told of the share of the planes that are done.

    Returns
    -------
    ndarray of float32, shape (5, P, y, x)
        Probability of each class on the wanted planes of the region.
    """
    rows, columns = (side.stop - side.start for side in region[1:])
    result = np.empty((CLASSES, len(planes), rows, columns), dtype=np.float32)
    with torch.inference_mode():
        *coarse, fine = network.pathways
        context = [_joint_part(pathway, image, region) for pathway in coarse]
        for number, features in enumerate(_fine_planes(fine, image, region, planes)):
            logits = _joined(network, fine, context, features, region, planes[number])
            shares = torch.softmax(logits[:, :CLASSES], dim=1)
            result[:, number] = shares.T.reshape(CLASSES, rows, columns).cpu().numpy()
            on_progress((number + 1) / len(planes))
    return result


def pathway_outputs(
    network: FoldedNetwork, image: Tensor, *, region: Box, planes: Sequence[int]
) -> Iterator[Tensor]:
    """Yield what the pathways see in each wanted plane, shape (y, x, C).

    The channels are the normalised inputs of the joint layers that are not constant, pathway
    after pathway in the order of the published network. Parameters as of `class_probabilities`.
    """
    with torch.inference_mode():
        *coarse, fine = network.pathways
        context = [_coarse(pathway, image, region) for pathway in coarse]
        for number, features in enumerate(_fine_planes(fine, image, region, planes)):
            own = features[0, :, 0].permute(1, 2, 0)
            yield torch.cat(
                [*(_repeated(part, region, planes[number]) for part in context), own], 2
            )


def _joint_part(pathway: FoldedPathway, image: Tensor, region: Box) -> _Coarse:
    """Return what the first joint layer makes of a coarse pathway in a region."""
    seen = _coarse(pathway, image, region)
    mixed = functional.leaky_relu(seen.features, pathway.joint_slope) @ pathway.joint_weight
    return dataclasses.replace(seen, features=mixed)


def _coarse(pathway: FoldedPathway, image: Tensor, region: Box) -> _Coarse:
    """Return the normalised outputs of a coarse pathway in a region."""
    factor, margin = pathway.factor, len(pathway.units)
    starts = [side.start // factor for side in region]
    stops = [-(-side.stop // factor) for side in region]
    seen = image
    for axis, (start, stop) in enumerate(zip(starts, stops, strict=True)):
        groups = torch.arange(start - margin, stop + margin, device=image.device)
        centres = groups * factor + factor // 2
        seen = seen.index_select(axis, centres.clamp(0, image.shape[axis] - 1))
    features = run_units(pathway.units, _as_batch(seen))
    return _Coarse(
        factor=factor,
        start_zyx=(starts[0], starts[1], starts[2]),
        features=features[0].permute(1, 2, 3, 0).contiguous(),
    )


def _fine_planes(
    pathway: FoldedPathway, image: Tensor, region: Box, planes: Sequence[int]
) -> Iterator[Tensor]:
    """Yield the fine pathway's features of each wanted plane, (1, C, 1, y, x).

    The first units run over all planes, the last ones only around each wanted plane: as many
    as the planes that they need do not overlap.
    """
    depth = len(pathway.units)
    sparse = min(depth, (_least_gap(planes) - 1) // 2)
    dense = pathway.units[: depth - sparse]
    first = planes[0] - sparse
    sides = (slice(first, planes[-1] + sparse + 1), *region[1:])
    seen = image
    for axis, side in enumerate(sides):
        margin = len(dense) if axis == 0 else depth
        wanted = torch.arange(side.start - margin, side.stop + margin, device=image.device)
        seen = seen.index_select(axis, wanted.clamp(0, image.shape[axis] - 1))
    recent: deque[Tensor] = deque(maxlen=2 * sparse + 1)
    waiting = deque(planes)
    at = first
    for step in stream_units(dense, _as_batch(seen)):
        for plane in torch.split(step, 1, dim=2):
            recent.append(plane)
            if waiting and at == waiting[0] + sparse:
                waiting.popleft()
                yield run_units(pathway.units[depth - sparse :], torch.cat(list(recent), dim=2))
            at += 1


def _least_gap(planes: Sequence[int]) -> int:
    """Return the smallest distance between wanted planes; a lone plane counts as far away."""
    return min((b - a for a, b in pairwise(planes)), default=2**16)


def _joined(
    network: FoldedNetwork,
    fine: FoldedPathway,
    context: Sequence[_Coarse],
    features: Tensor,
    region: Box,
    plane: int,
) -> Tensor:
    """Return the logits of one plane, one row per voxel, (y * x, classes filled up)."""
    rows = _voxel_rows(functional.leaky_relu(features, fine.joint_slope))
    height, width = features.shape[3:]
    joined = torch.addmm(network.joint_bias, rows, fine.joint_weight)
    grid = joined.view(height, width, -1)
    for coarse in context:
        _add_repeated(grid, coarse, region, plane)
    return torch.cat([_through(network.joint, part) for part in torch.split(joined, _ROWS)])


def _add_repeated(grid: Tensor, coarse: _Coarse, region: Box, plane: int) -> None:
    """Add the groups of a coarse pathway to the voxels that they stand for."""
    wide, groups = _widened(coarse, region, plane)
    for row, group in enumerate(groups):
        grid[row] += wide[group]


def _repeated(coarse: _Coarse, region: Box, plane: int) -> Tensor:
    """Return the groups of a coarse pathway at every voxel of a plane, shape (y, x, C)."""
    wide, groups = _widened(coarse, region, plane)
    return wide[groups]


def _widened(coarse: _Coarse, region: Box, plane: int) -> tuple[Tensor, list[int]]:
    """Return a layer of groups with a column per voxel, and the group of each row of voxels."""
    factor = coarse.factor
    start_z, start_y, start_x = coarse.start_zyx
    layer = coarse.features[plane // factor - start_z]
    columns = torch.arange(region[2].start, region[2].stop, device=layer.device) // factor
    groups = [row // factor - start_y for row in range(region[1].start, region[1].stop)]
    return layer.index_select(1, columns - start_x), groups


def _through(layers: Sequence[JointLayer], rows: Tensor) -> Tensor:
    """Return rows of voxels after the remaining joint layers."""
    for layer in layers:
        active = rows
        if layer.scale is not None and layer.shift is not None:
            active = torch.addcmul(layer.shift, rows, layer.scale)
        active = functional.leaky_relu(active, layer.slope)
        if layer.weight.dtype == layer.bias.dtype:
            mixed = torch.addmm(layer.bias, active, layer.weight)
        else:
            mixed = (active.to(layer.weight.dtype) @ layer.weight).to(layer.bias.dtype)
            mixed += layer.bias
        if layer.shortcut is not None:
            mixed.addcmul_(rows, layer.shortcut)
        rows = mixed
    return rows


def _as_batch(volume: Tensor) -> Tensor:
    """Return a volume (Z, Y, X) as (1, 1, Z, Y, X), channels last."""
    return volume[None, None].contiguous(memory_format=torch.channels_last_3d)


def _voxel_rows(features: Tensor) -> Tensor:
    """Return features (1, C, Z, Y, X) as one row per voxel, (Z * Y * X, C)."""
    return features.permute(0, 2, 3, 4, 1).reshape(-1, features.shape[1])
