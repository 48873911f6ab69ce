"""The displacement field around a hematoma, patch by patch, blended by a Gaussian."""

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pipeline.segmentation.predictor import OnProgress, ignore_progress
from pipeline.segmentation.sliding_window import tile_starts, tile_weight

if TYPE_CHECKING:
    from pipeline.growth.network import GrowthUNet

#: Distance between patches as a share of their size: the released code's overlap of 0.6.
PATCH_STEP = 0.4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DenseField:
    """A displacement field on a box of the network's grid; nothing moves outside it.

    Attributes
    ----------
    displacement : Tensor, shape (3, Z, Y, X), float32
        In voxels along z, y, x, on the CPU.
    start_zyx : tuple of int
        Index of the box's first voxel in the whole grid; may be negative where the box reaches
        beyond it.
    """

    displacement: Tensor
    start_zyx: tuple[int, int, int]

    def whole(self, shape_zyx: tuple[int, ...]) -> Tensor:
        """Return the field on a whole grid, zero outside the box, shape (3, Z, Y, X)."""
        field = torch.zeros((3, *shape_zyx))
        here, there = [], []
        for start, size, length in zip(
            self.start_zyx, self.displacement.shape[1:], shape_zyx, strict=True
        ):
            low, high = max(start, 0), min(start + size, length)
            here.append(slice(low, high))
            there.append(slice(low - start, high - start))
        field[:, *here] = self.displacement[:, *there]
        return field


def predict_field(
    network: "GrowthUNet",
    image: Tensor,
    patch_zyx: tuple[int, int, int],
    *,
    step: float = PATCH_STEP,
    on_progress: OnProgress = ignore_progress,
) -> DenseField:
    """Return the field around a hematoma, half a patch to every side of it.

    Velocities are blended before they are integrated, so that the field of a diffeomorphic
    network stays one. The affine maps of an as-released network are blended as displacements;
    the released code warps every patch by its own and blends the warped masks.

    Parameters
    ----------
    network : GrowthUNet
        In evaluation mode, on its device.
    image : Tensor, shape (2, Z, Y, X)
        Of `pipeline.growth.network_input`.
    patch_zyx : tuple of int
        Size of a patch.
    step : float
        Distance between patches as a share of their size, in (0, 1].
    on_progress : callable
        Told after each patch which share is done.

    Raises
    ------
    ValueError
        If the mask is empty.
    """
    start, box = _box(image, patch_zyx)
    device = next(network.parameters()).device
    weight = tile_weight(patch_zyx)
    total = torch.zeros((3, *box.shape[1:]))
    weights = torch.zeros(box.shape[1:])
    starts = [
        tile_starts(size, patch, step)
        for size, patch in zip(box.shape[1:], patch_zyx, strict=True)
    ]
    corners = list(itertools.product(*starts))
    with torch.inference_mode():
        for done, corner in enumerate(corners, start=1):
            place = tuple(
                slice(low, low + size) for low, size in zip(corner, patch_zyx, strict=True)
            )
            raw = network(box[:, *place].unsqueeze(0).to(device))[0].float().cpu()
            total[:, *place] += raw * weight
            weights[place] += weight
            on_progress(done / len(corners))
        blended = (total / weights).unsqueeze(0)
        displacement = network.displacement(blended.to(device))[0].cpu()
    return DenseField(displacement=displacement.clone(), start_zyx=start)


def _box(image: Tensor, patch_zyx: tuple[int, int, int]) -> tuple[tuple[int, int, int], Tensor]:
    """Return where the box around the mask begins and its image, zero beyond the scan."""
    found = torch.nonzero(image[1] > 0)
    if not len(found):
        raise ValueError("No field can be predicted around an empty mask")
    lows, highs = found.amin(0).tolist(), (found.amax(0) + 1).tolist()
    starts = [low - patch // 2 for low, patch in zip(lows, patch_zyx, strict=True)]
    stops = [high + patch // 2 for high, patch in zip(highs, patch_zyx, strict=True)]
    sizes = [stop - start for start, stop in zip(starts, stops, strict=True)]
    box = image.new_zeros((image.shape[0], *sizes))
    here, there = [], []
    for start, stop, length in zip(starts, stops, image.shape[1:], strict=True):
        low, high = max(start, 0), min(stop, length)
        here.append(slice(low - start, high - start))
        there.append(slice(low, high))
    box[:, *here] = image[:, *there]
    z, y, x = starts
    return (z, y, x), box
