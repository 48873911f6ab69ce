"""Masks as NIfTI, the way ITK-SNAP and 3D Slicer save them."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import PipelineError
from pipeline.volume import CtVolume, VoxelGrid
from training.cohort.intake.found_scan import MaskError
from training.cohort.nifti import read_nifti

#: Value that programs give the first label.
_USUAL = 1

#: Directions that differ by less are the same axis.
_ALONG = 0.99

#: How far a mask's corner may lie from the scan's, in voxels: rounding of headers, and the half
#: voxel by which programs disagree on corners and centres.
_TOLERANCE_VOXELS = 1.0


def read_mask_nifti(path: Path, volume: CtVolume, *, label: int | None) -> NDArray[np.bool_]:
    """Return the voxels of a label on a scan's grid, shape (Z, Y, X).

    Flipped and exchanged axes are put right, as programs store the same scan in any order.

    Parameters
    ----------
    path : Path
        NIfTI file of the scan's matrix.
    volume : CtVolume
        The scan.
    label : int or None
        Value of the hematoma; a mask without it is empty. None takes the only value there is,
        or 1 of several.

    Raises
    ------
    MaskError
        If the mask has another matrix or place than the scan, or several values and no 1.
    """
    try:
        values, grid = read_nifti(path)
    except (OSError, ValueError, PipelineError) as error:
        raise MaskError(f"mask cannot be read: {type(error).__name__}") from error
    turned = _turned(values, grid, volume.grid)
    if turned.shape != volume.hu_zyx.shape:
        raise MaskError(f"mask has {_by(turned.shape)} voxels, scan {_by(volume.hu_zyx.shape)}")
    _refuse_another_place(grid, volume.grid)
    present = sorted({int(value) for value in np.unique(turned)} - {0})
    if label is None and len(present) > 1 and _USUAL not in present:
        raise MaskError(f"mask holds the values {present}; say with --label which is hematoma")
    only = present[0] if len(present) == 1 else _USUAL
    return np.asarray(turned == (only if label is None else label))


def _turned(values: NDArray[np.int16], grid: VoxelGrid, target: VoxelGrid) -> NDArray[np.int16]:
    """Return values with rows and columns running as the target's do."""
    across = abs(float(np.dot(grid.row_cosine_lps, target.column_cosine_lps)))
    row, column = grid.row_cosine_lps, grid.column_cosine_lps
    if across > _ALONG:
        values, row, column = values.transpose(0, 2, 1), column, row
    if float(np.dot(row, target.row_cosine_lps)) < 0:
        values = values[:, :, ::-1]
    if float(np.dot(column, target.column_cosine_lps)) < 0:
        values = values[:, ::-1]
    return values


def _refuse_another_place(grid: VoxelGrid, target: VoxelGrid) -> None:
    steps = np.array(target.spacing_zyx_mm)[[2, 1, 0]]
    for index in (0, -1):
        ends = [_middle(one, index) for one in (grid, target)]
        distance = np.abs(ends[0] - ends[1])
        if np.any(distance > _TOLERANCE_VOXELS * np.maximum(steps, steps.min())):
            raise MaskError(
                f"mask lies {float(np.linalg.norm(ends[0] - ends[1])):.1f} mm away from the scan"
            )


def _middle(grid: VoxelGrid, index: int) -> NDArray[np.float64]:
    """Return the centre of a slice, which is the same however its axes run."""
    count, rows, columns = grid.shape_zyx
    return grid.to_lps_mm((index % count, (rows - 1) / 2, (columns - 1) / 2))


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
