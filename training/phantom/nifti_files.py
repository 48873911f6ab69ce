"""Simulated scans as NIfTI files."""

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from pipeline.volume import VoxelGrid
from training.phantom.patient import SimulatedScan

#: The fastest level of gzip: noise does not shrink much, whatever the effort.
_GZIP_LEVEL = 1


def affine_ras_mm(grid: VoxelGrid) -> NDArray[np.float64]:
    """Return the matrix from voxel (x, y, z) to NIfTI's RAS+ millimetres, shape (4, 4).

    The third column is the step from slice origin to slice origin, so a tilted scan keeps its
    shear. NIfTI has left and posterior negative, DICOM positive.
    """
    origins = np.asarray(grid.slice_origins_lps_mm)
    count = len(origins)
    step = (origins[-1] - origins[0]) / (count - 1) if count > 1 else grid.normal_lps
    affine = np.eye(4)
    affine[:3, 0] = np.asarray(grid.row_cosine_lps) * grid.pixel_spacing_yx_mm[1]
    affine[:3, 1] = np.asarray(grid.column_cosine_lps) * grid.pixel_spacing_yx_mm[0]
    affine[:3, 2] = step
    affine[:3, 3] = origins[0]
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine


def write_picture(scan: SimulatedScan, path: Path) -> None:
    """Write the scan in HU as int16."""
    _write(path, scan.volume.hu_zyx, affine_ras_mm(scan.volume.grid))


def write_labels(scan: SimulatedScan, path: Path) -> None:
    """Write the label volume as uint8, codes as in `training.phantom.labels`."""
    _write(path, scan.labels_zyx, affine_ras_mm(scan.volume.grid))


def _write(
    path: Path, array_zyx: NDArray[np.int16] | NDArray[np.uint8], affine: NDArray[np.float64]
) -> None:
    header = nib.nifti1.Nifti1Header()  # type: ignore[no-untyped-call] # nibabel ships few types
    header["descrip"] = b"SIMULATED head CT, research use only"
    header.set_data_dtype(array_zyx.dtype)  # type: ignore[no-untyped-call] # nibabel ships few types
    header.set_xyzt_units("mm")  # type: ignore[no-untyped-call] # nibabel ships few types
    image = nib.nifti1.Nifti1Image(array_zyx.transpose(2, 1, 0), affine, header)  # type: ignore[no-untyped-call] # nibabel ships few types
    path.write_bytes(gzip.compress(image.to_bytes(), compresslevel=_GZIP_LEVEL, mtime=0))
