"""A slice as radiologists look at it: round the head, turned upright, in true proportions."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.volume import CtVolume, VoxelGrid

#: Air round the head that stays in the picture, as a part of the head's size.
_AIR: Final = 0.06
#: Half way between air and water.
_TISSUE_HU: Final = -500


def head_window(volume: CtVolume) -> tuple[slice, slice]:
    """Return rows and columns of a square round the head, in physical size."""
    rows, columns = np.nonzero((volume.hu_zyx > _TISSUE_HU).any(axis=0))
    shape = volume.grid.shape_zyx[1:]
    if rows.size == 0:
        return (slice(0, shape[0]), slice(0, shape[1]))
    spacing = volume.grid.pixel_spacing_yx_mm
    bounds = ((rows.min(), rows.max() + 1), (columns.min(), columns.max() + 1))
    side_mm = max((high - low) * mm for (low, high), mm in zip(bounds, spacing, strict=True))
    slices = []
    for (low, high), mm, size in zip(bounds, spacing, shape, strict=True):
        half = side_mm * (1 + 2 * _AIR) / mm / 2
        middle = (low + high) / 2
        slices.append(slice(max(0, round(middle - half)), min(size, round(middle + half))))
    return (slices[0], slices[1])


def upright(pixels: NDArray[np.uint8], grid: VoxelGrid, *, side: int) -> Image.Image:
    """Return a slice, (Y, X, 3), as radiologists look at it, fitted into a square picture.

    The patient's front is above and the patient's left on the right.
    """
    turned = pixels
    if abs(grid.row_cosine_lps[0]) < abs(grid.column_cosine_lps[0]):
        turned = turned.transpose(1, 0, 2)
        right, down = grid.column_cosine_lps, grid.row_cosine_lps
        mm_down, mm_right = grid.pixel_spacing_yx_mm[::-1]
    else:
        right, down = grid.row_cosine_lps, grid.column_cosine_lps
        mm_down, mm_right = grid.pixel_spacing_yx_mm
    if right[0] < 0:
        turned = turned[:, ::-1]
    if down[1] < 0:
        turned = turned[::-1]
    height_mm, width_mm = turned.shape[0] * mm_down, turned.shape[1] * mm_right
    scale = side / max(height_mm, width_mm)
    size = (max(1, round(width_mm * scale)), max(1, round(height_mm * scale)))
    fitted = Image.fromarray(np.ascontiguousarray(turned)).resize(size, Image.Resampling.BICUBIC)
    panel = Image.new("RGB", (side, side))
    panel.paste(fitted, ((side - size[0]) // 2, (side - size[1]) // 2))
    return panel
