"""CT volumes from NIfTI files, sheared affines included."""

import zlib
from pathlib import Path

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from pipeline.volume import Vector, VoxelGrid

#: NIfTI's world is RAS, DICOM's is LPS: x and y change sign.
_RAS_TO_LPS = np.array([-1.0, -1.0, 1.0])

#: What the reading library raises on damaged files beside OSError and ValueError.
_DAMAGE = (ImageFileError, HeaderDataError, EOFError, zlib.error)


def read_nifti(path: Path) -> tuple[NDArray[np.int16], VoxelGrid]:
    """Return the values of a NIfTI file, indexed [z, y, x], and the grid of its slices.

    The third array axis is the slice axis; its direction may be sheared against the planes
    (gantry tilt). Slices are returned from inferior to superior.

    Raises
    ------
    OSError
        If the file is not there or ends early.
    ValueError
        If it is no NIfTI file of three axes, or damaged.
    """
    try:
        image = nibabel.Nifti1Image.from_filename(path)
        values = np.asarray(image.dataobj).transpose(2, 1, 0)
    except _DAMAGE as error:
        raise ValueError(f"no NIfTI file that can be read: {type(error).__name__}") from error
    affine = np.asarray(image.affine, dtype=np.float64)
    columns = affine[:3, :3] * _RAS_TO_LPS[:, None]
    origin = affine[:3, 3] * _RAS_TO_LPS
    count = values.shape[0]
    if columns[2, 2] < 0:
        values = values[::-1]
        origin = origin + (count - 1) * columns[:, 2]
        columns[:, 2] = -columns[:, 2]
    spacing_x, spacing_y = (float(np.linalg.norm(columns[:, axis])) for axis in (0, 1))
    grid = VoxelGrid(
        shape_zyx=values.shape,
        pixel_spacing_yx_mm=(spacing_y, spacing_x),
        row_cosine_lps=_vector(columns[:, 0] / spacing_x),
        column_cosine_lps=_vector(columns[:, 1] / spacing_y),
        slice_origins_lps_mm=tuple(
            _vector(origin + index * columns[:, 2]) for index in range(count)
        ),
    )
    return np.round(values).astype(np.int16), grid


def _vector(values: NDArray[np.float64]) -> Vector:
    x, y, z = (float(value) for value in values)
    return (x, y, z)
