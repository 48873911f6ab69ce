"""From a CT volume to a network's input and back to the volume's own grid."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.model_card import Intensity
from pipeline.resampling import canonical_grid, resample_map, resample_volume
from pipeline.segmentation.head_crop import Box, crop_grid, head_rectangles
from pipeline.segmentation.resize import resize, resize_nearest, resized_shape, thick_axis
from pipeline.volume import CtVolume, Vector, VoxelGrid

#: Orders of the B-splines of nnU-Net's preprocessing and export.
_IMAGE_ORDER = 3
_LOGIT_ORDER = 1

#: Origins and directions that differ by less are the same, in mm and as a cosine.
_SAME = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sampled:
    """A volume as a network takes it.

    Attributes
    ----------
    image_zyx : ndarray of float32, shape (Z, Y, X)
        Normalised intensities.
    head_zyx : ndarray of bool, shape (Z, Y, X)
        Where the head can be, see `head_rectangles`.
    to_source : callable
        From values within a box of the image, the box, and the value outside, to values on the
        grid of the volume.
    """

    image_zyx: NDArray[np.float32]
    head_zyx: NDArray[np.bool_]
    to_source: Callable[[NDArray[np.float32], Box, float], NDArray[np.float32]]


def sample(volume: CtVolume, spacing_zyx_mm: Vector, intensity: Intensity) -> Sampled:
    """Return a volume on a regular grid, linear in Hounsfield units, then normalised."""
    grid = canonical_grid(volume.grid, spacing_zyx_mm)
    hu = resample_volume(volume, grid)

    def to_source(values: NDArray[np.float32], box: Box, outside: float) -> NDArray[np.float32]:
        return resample_map(values, crop_grid(grid, box), volume.grid, outside=outside)

    return Sampled(
        image_zyx=normalise(hu, intensity), head_zyx=head_rectangles(hu), to_source=to_source
    )


def sample_like_nnunet(volume: CtVolume, spacing_zyx_mm: Vector, intensity: Intensity) -> Sampled:
    """Return a volume as nnU-Net's preprocessing makes it, and the way back of its export.

    Normalised first, then resized: cubic in the plane, next neighbour across thick slices.
    Stacks that are tilted, uneven or flipped, which nnU-Net would take as they lie, are brought
    to a regular grid of their own spacing before.
    """
    own = canonical_grid(volume.grid, _own_spacing(volume.grid))
    is_regular = _same_grid(own, volume.grid)
    hu = volume.hu_zyx if is_regular else resample_volume(volume, own)
    spacing = _own_spacing(own)
    wanted = resized_shape(own.shape_zyx, spacing, spacing_zyx_mm)
    normalised = normalise(hu.astype(np.float32), intensity)
    image = resize(
        normalised,
        wanted,
        order=_IMAGE_ORDER,
        nearest_axis=thick_axis(spacing, spacing_zyx_mm),
    )
    back_axis = thick_axis(spacing_zyx_mm, spacing)

    def to_source(values: NDArray[np.float32], box: Box, outside: float) -> NDArray[np.float32]:
        whole = np.full(wanted, outside, dtype=np.float32)
        whole[box] = values
        result = resize(whole, own.shape_zyx, order=_LOGIT_ORDER, nearest_axis=back_axis)
        if is_regular:
            return result
        return resample_map(result, own, volume.grid, outside=outside)

    # The rectangles keep a margin of more pixels than the nearest voxel is away.
    head = head_rectangles(resize_nearest(hu.astype(np.float32), wanted))
    return Sampled(image_zyx=image, head_zyx=head, to_source=to_source)


def normalise(hu: NDArray[np.float32] | np.float32, intensity: Intensity) -> NDArray[np.float32]:
    """Return HU clipped to the card's range, minus the mean, divided by the deviation."""
    clipped = np.clip(hu, intensity.clip_low_hu, intensity.clip_high_hu)
    return np.asarray((clipped - intensity.mean) / intensity.sd, dtype=np.float32)


def _own_spacing(grid: VoxelGrid) -> Vector:
    """Return the mean spacing of a stack along z, y and x."""
    positions = grid.slice_positions_mm
    slices = len(positions)
    step = (positions[-1] - positions[0]) / (slices - 1) if slices > 1 else 0.0
    first, second = grid.pixel_spacing_yx_mm
    is_swapped = abs(grid.row_cosine_lps[0]) < abs(grid.column_cosine_lps[0])
    in_plane = (second, first) if is_swapped else (first, second)
    return (float(step) or float(grid.slice_extents_mm[0]), *in_plane)


def _same_grid(first: VoxelGrid, second: VoxelGrid) -> bool:
    return (
        first.shape_zyx == second.shape_zyx
        and np.allclose(first.row_cosine_lps, second.row_cosine_lps, atol=_SAME)
        and np.allclose(first.column_cosine_lps, second.column_cosine_lps, atol=_SAME)
        and np.allclose(first.slice_origins_lps_mm, second.slice_origins_lps_mm, atol=_SAME)
    )
