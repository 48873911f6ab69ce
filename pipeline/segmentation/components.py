"""Connected parts of a mask and the floor below which they are dropped."""

import numpy as np
from numpy.typing import NDArray

from pipeline.volume import HematomaMask, VoxelGrid, occupied_box

#: Voxels that share a face, an edge or a corner belong together.
ALL_NEIGHBOURS = np.ones((3, 3, 3), dtype=bool)


def component_volumes_ml(
    labels_zyx: NDArray[np.int32], count: int, grid: VoxelGrid, *, first_slice: int = 0
) -> NDArray[np.float64]:
    """Return the volume of each part 1..count, shape (count,), by the slab of each slice.

    The labels may be those of some slices alone, from `first_slice` on.
    """
    spacing_y, spacing_x = grid.pixel_spacing_yx_mm
    volumes = np.zeros(count + 1)
    extents_mm = grid.slice_extents_mm[first_slice : first_slice + len(labels_zyx)]
    for plane, extent_mm in zip(labels_zyx, extents_mm, strict=True):
        if plane.any():
            volumes += np.bincount(plane.ravel(), minlength=count + 1) * extent_mm
    return volumes[1:] * spacing_y * spacing_x / 1000


def keep_large_components(mask: HematomaMask, minimum_ml: float) -> HematomaMask:
    """Return the mask without connected parts (26 neighbours) smaller than a volume.

    Raises
    ------
    ValueError
        If the volume is negative.
    """
    from scipy import ndimage  # type: ignore[import-untyped] # scipy ships no types

    if minimum_ml < 0:
        raise ValueError(f"A smallest volume cannot be negative, got {minimum_ml} mL")
    box = occupied_box(mask.voxels_zyx)
    if box is None:
        return mask
    labels, count = ndimage.label(mask.voxels_zyx[box], structure=ALL_NEIGHBOURS)
    volumes = component_volumes_ml(labels, count, mask.grid, first_slice=box[0].start)
    large = np.zeros_like(mask.voxels_zyx)
    large[box] = np.concatenate([[False], volumes >= minimum_ml])[labels]
    return HematomaMask(voxels_zyx=large, grid=mask.grid)
