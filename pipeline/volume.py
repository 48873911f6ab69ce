"""CT volumes and masks on the grid of the slices as they were acquired.

Coordinates are DICOM patient coordinates (LPS, mm; PS3.3, section C.7.6.2.1.1):
x rises to the patient's left, y to posterior, z to superior. Arrays are indexed
``[z, y, x]``: slice from inferior to superior, row, column.
"""

from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import GeometryError
from pipeline.quality_flags import QualityFlag

Vector = tuple[float, float, float]
_Scalar = TypeVar("_Scalar", bound=np.generic)

#: Hounsfield value of air, used for everything outside a scan.
AIR_HU = -1000

#: Relative deviation of slice steps up to which a stack counts as regular; positions are
#: written with 16 characters (PS3.5, DS), scanners round them to about 0.01 mm.
REGULAR_STEP_TOLERANCE = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class VoxelGrid:
    """Where the voxels of a stack of parallel slices lie in the patient.

    Each slice keeps its own origin, so that gantry tilt (a sheared stack), uneven
    spacing and missing slices are all described exactly.

    Attributes
    ----------
    shape_zyx : tuple of int
        Slices, rows, columns.
    pixel_spacing_yx_mm : tuple of float
        Distance between rows and between columns (PS3.3, section 10.7.1.3).
    row_cosine_lps, column_cosine_lps : Vector
        Unit vectors along increasing column index x and increasing row index y:
        the first and second triplet of Image Orientation (Patient).
    slice_origins_lps_mm : tuple of Vector
        Image Position (Patient) of each slice: the centre of pixel (0, 0).
        Sorted from inferior to superior.
    frame_of_reference_uid : str
        Frame of Reference UID, empty if the source has none.

    Raises
    ------
    GeometryError
        If a count or spacing is not positive, the cosines are not orthonormal, or the slice
        positions do not rise strictly from inferior to superior.
    """

    shape_zyx: tuple[int, int, int]
    pixel_spacing_yx_mm: tuple[float, float]
    row_cosine_lps: Vector = (1.0, 0.0, 0.0)
    column_cosine_lps: Vector = (0.0, 1.0, 0.0)
    slice_origins_lps_mm: tuple[Vector, ...]
    frame_of_reference_uid: str = ""

    def __post_init__(self) -> None:
        if min(self.shape_zyx) < 1:
            raise GeometryError(f"Shape must be positive, got {self.shape_zyx}")
        if min(self.pixel_spacing_yx_mm) <= 0:
            raise GeometryError(f"Spacing must be positive, got {self.pixel_spacing_yx_mm} mm")
        if len(self.slice_origins_lps_mm) != self.shape_zyx[0]:
            raise GeometryError(
                f"{self.shape_zyx[0]} slices need as many origins, "
                f"got {len(self.slice_origins_lps_mm)}"
            )
        cosines = np.array([self.row_cosine_lps, self.column_cosine_lps])
        if not np.allclose(cosines @ cosines.T, np.eye(2), atol=1e-3):
            raise GeometryError(f"Direction cosines are not orthonormal: {cosines.tolist()}")
        if np.any(np.diff(self.slice_positions_mm) <= 0):
            raise GeometryError("Slice positions must rise strictly from inferior to superior")

    @property
    def normal_lps(self) -> NDArray[np.float64]:
        """Unit normal of the slices, pointing to superior, shape (3,)."""
        normal = np.cross(self.row_cosine_lps, self.column_cosine_lps)
        return np.asarray(normal if normal[2] >= 0 else -normal, dtype=np.float64)

    @property
    def slice_positions_mm(self) -> NDArray[np.float64]:
        """Position of each slice along the normal, shape (Z,), rising."""
        return np.asarray(self.slice_origins_lps_mm, dtype=np.float64) @ self.normal_lps

    @property
    def slice_steps_mm(self) -> NDArray[np.float64]:
        """Distance between neighbouring slices along the normal, shape (Z - 1,)."""
        return np.asarray(np.diff(self.slice_positions_mm), dtype=np.float64)

    @property
    def slice_extents_mm(self) -> NDArray[np.float64]:
        """Thickness of the slab that each slice stands for, shape (Z,).

        A slab reaches half way to both neighbours; an end slice is given the full step to
        its only neighbour. A single slice stands for 1 mm. Summing area times extent measures
        a volume whatever the spacing, and along the normal whatever the tilt.
        """
        steps = self.slice_steps_mm
        if steps.size == 0:
            return np.ones(1)
        below = np.concatenate([steps[:1], steps])
        above = np.concatenate([steps, steps[-1:]])
        return np.asarray((below + above) / 2, dtype=np.float64)

    @property
    def spacing_zyx_mm(self) -> Vector:
        """Median slice step along the normal, row and column spacing."""
        steps = self.slice_steps_mm
        z = float(np.median(steps)) if steps.size else 1.0
        return (z, *self.pixel_spacing_yx_mm)

    @property
    def slice_shifts_yx_mm(self) -> NDArray[np.float64]:
        """In-plane offset of each slice origin from that of slice 0, shape (Z, 2).

        Not zero in a sheared stack (gantry tilt).
        """
        origins = np.asarray(self.slice_origins_lps_mm, dtype=np.float64)
        in_plane = np.array([self.column_cosine_lps, self.row_cosine_lps])
        return np.asarray((origins - origins[0]) @ in_plane.T, dtype=np.float64)

    @property
    def tilt_deg(self) -> float:
        """Angle between the slice normal and the line through the slice origins, in degrees."""
        origins = np.asarray(self.slice_origins_lps_mm, dtype=np.float64)
        line = origins[-1] - origins[0]
        length = float(np.linalg.norm(line))
        if length == 0:
            return 0.0
        cosine = float(np.clip(line @ self.normal_lps / length, -1.0, 1.0))
        return float(np.degrees(np.arccos(cosine)))

    @property
    def is_regular(self) -> bool:
        """Whether all slice steps agree within `REGULAR_STEP_TOLERANCE`."""
        steps = self.slice_steps_mm
        if steps.size == 0:
            return True
        median = float(np.median(steps))
        return bool(np.all(np.abs(steps - median) <= max(REGULAR_STEP_TOLERANCE * median, 0.01)))

    def to_lps_mm(self, index_zyx: tuple[float, float, float]) -> NDArray[np.float64]:
        """Return the patient coordinates of a voxel centre, shape (3,).

        The slice index must be a whole number; row and column may lie between pixels.
        """
        z, y, x = index_zyx
        return np.asarray(
            np.asarray(self.slice_origins_lps_mm[int(z)])
            + y * self.pixel_spacing_yx_mm[0] * np.asarray(self.column_cosine_lps)
            + x * self.pixel_spacing_yx_mm[1] * np.asarray(self.row_cosine_lps),
            dtype=np.float64,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceSource:
    """The DICOM image that one slice of a volume came from.

    Attributes
    ----------
    sop_instance_uid : str
        SOP Instance UID.
    frame_number : int or None
        Frame counted from 1 in a multi-frame instance, None in a single-frame one.
    """

    sop_instance_uid: str
    frame_number: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CtVolume:
    """A CT series in Hounsfield units on its own grid.

    Attributes
    ----------
    hu_zyx : ndarray of int16, shape (Z, Y, X)
        Hounsfield units. Read-only.
    grid : VoxelGrid
        Where the voxels lie.
    sources : tuple of SliceSource
        The image of each slice, in slice order; empty for a volume that never was DICOM.
    slice_thickness_mm : tuple of float
        Nominal thickness of each slice; empty if unknown.
    flags : frozenset of QualityFlag
        What the reader noticed about the series.

    Raises
    ------
    GeometryError
        If array, grid, sources and thicknesses do not fit one another.
    """

    hu_zyx: NDArray[np.int16]
    grid: VoxelGrid
    sources: tuple[SliceSource, ...] = ()
    slice_thickness_mm: tuple[float, ...] = ()
    flags: frozenset[QualityFlag] = field(default_factory=frozenset)

    def __post_init__(self) -> None:
        if self.hu_zyx.shape != self.grid.shape_zyx:
            raise GeometryError(
                f"Volume has shape {self.hu_zyx.shape}, its grid {self.grid.shape_zyx}"
            )
        if self.hu_zyx.dtype != np.int16:
            raise GeometryError(f"Hounsfield units must be int16, got {self.hu_zyx.dtype}")
        for name, values in (
            ("sources", self.sources),
            ("thicknesses", self.slice_thickness_mm),
        ):
            if values and len(values) != self.grid.shape_zyx[0]:
                raise GeometryError(
                    f"{self.grid.shape_zyx[0]} slices need as many {name}, got {len(values)}"
                )
        object.__setattr__(self, "hu_zyx", _read_only(self.hu_zyx))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HematomaMask:
    """The voxels that segmentation called hematoma, on the source grid.

    Attributes
    ----------
    voxels_zyx : ndarray of bool, shape (Z, Y, X)
        True inside the hematoma. Read-only.
    grid : VoxelGrid
        Grid of the CT volume that was segmented.

    Raises
    ------
    GeometryError
        If the array is not boolean or does not have the shape of the grid.
    """

    voxels_zyx: NDArray[np.bool_]
    grid: VoxelGrid

    def __post_init__(self) -> None:
        if self.voxels_zyx.shape != self.grid.shape_zyx:
            raise GeometryError(
                f"Mask has shape {self.voxels_zyx.shape}, its grid {self.grid.shape_zyx}"
            )
        if self.voxels_zyx.dtype != np.bool_:
            raise GeometryError(f"A mask is boolean, got {self.voxels_zyx.dtype}")
        object.__setattr__(self, "voxels_zyx", _read_only(self.voxels_zyx))

    @property
    def is_empty(self) -> bool:
        """Whether segmentation found no hematoma at all."""
        return not self.voxels_zyx.any()


def regular_grid(
    shape_zyx: tuple[int, int, int],
    spacing_zyx_mm: Vector,
    *,
    origin_lps_mm: Vector = (0.0, 0.0, 0.0),
    frame_of_reference_uid: str = "",
) -> VoxelGrid:
    """Return an axial, evenly spaced grid without tilt, axes along the patient's."""
    x, y, z = origin_lps_mm
    return VoxelGrid(
        shape_zyx=shape_zyx,
        pixel_spacing_yx_mm=(spacing_zyx_mm[1], spacing_zyx_mm[2]),
        slice_origins_lps_mm=tuple(
            (x, y, z + index * spacing_zyx_mm[0]) for index in range(shape_zyx[0])
        ),
        frame_of_reference_uid=frame_of_reference_uid,
    )


def occupied_box(voxels_zyx: NDArray[np.bool_]) -> tuple[slice, slice, slice] | None:
    """Return the smallest box that holds all voxels that are set, None if there are none."""
    slices = np.flatnonzero(np.any(voxels_zyx, axis=(1, 2)))
    if not len(slices):
        return None
    z = slice(int(slices[0]), int(slices[-1]) + 1)
    plane: NDArray[np.bool_] = np.any(voxels_zyx[z], axis=0)
    rows = np.flatnonzero(np.any(plane, axis=1))
    columns = np.flatnonzero(np.any(plane, axis=0))
    return (
        z,
        slice(int(rows[0]), int(rows[-1]) + 1),
        slice(int(columns[0]), int(columns[-1]) + 1),
    )


def _read_only(array: NDArray[_Scalar]) -> NDArray[_Scalar]:
    view = array.view()
    view.flags.writeable = False
    return view
