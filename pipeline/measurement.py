"""How large the hematoma is: volumes, diameters, densities."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.diameters import longest_line, row_ends, widest_chord
from pipeline.errors import EmptyHematomaError, GeometryError
from pipeline.surface import enclosed_volume_ml, hematoma_surface
from pipeline.volume import CtVolume, HematomaMask, VoxelGrid

#: Shares of the largest cross-section above which a slice counts whole or half in ABC/2 [1]_.
ABC2_WHOLE_SLICE = 0.75
ABC2_HALF_SLICE = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class AxialDiameter:
    """The longest straight line between two hematoma pixels of one slice.

    Attributes
    ----------
    length_mm : float
        Distance between the two pixel centres.
    slice_index : int
        Slice that holds the line.
    start_yx, end_yx : tuple of float
        Row and column of both ends.
    """

    length_mm: float
    slice_index: int
    start_yx: tuple[float, float]
    end_yx: tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class HematomaMeasurements:
    """What can be measured on mask and volume.

    Attributes
    ----------
    volume_ml : float
        Sum of pixel area times slice extent along the normal.
    mesh_volume_ml : float
        Volume inside the marching-cubes surface (signed tetrahedra).
    abc2_volume_ml : float
        A * B * C / 2 by Kothari's rules.
    long_axis : AxialDiameter
        Longest axial diameter on the slice of largest area.
    max_3d_diameter_mm : float
        Longest distance between two hematoma voxels.
    max_area_slice : int
        Index of the slice with the largest cross-section.
    max_area_mm2 : float
        Its area.
    slice_count : int
        Slices that hold hematoma.
    component_count : int
        Connected parts (26-neighbourhood).
    mean_hu, sd_hu : float
        Density inside the mask.
    """

    volume_ml: float
    mesh_volume_ml: float
    abc2_volume_ml: float
    long_axis: AxialDiameter
    max_3d_diameter_mm: float
    max_area_slice: int
    max_area_mm2: float
    slice_count: int
    component_count: int
    mean_hu: float
    sd_hu: float


def measure(volume: CtVolume, mask: HematomaMask) -> HematomaMeasurements:
    """Return volumes, diameters and densities of the hematoma.

    Everything is measured on the slices as they were acquired, with their real positions
    along the slice normal, so that neither uneven spacing nor gantry tilt biases a volume.

    Parameters
    ----------
    volume : CtVolume
        The CT in Hounsfield units.
    mask : HematomaMask
        Mask on the grid of `volume`.

    Raises
    ------
    EmptyHematomaError
        If the mask holds no hematoma.
    GeometryError
        If mask and volume lie on different grids.
    """
    if mask.is_empty:
        raise EmptyHematomaError("Nothing can be measured: the mask is empty")
    if mask.grid != volume.grid:
        raise GeometryError("Mask and volume must lie on the same grid")
    box = _bounding_box(mask.voxels_zyx)
    voxels = mask.voxels_zyx[box]
    hu = volume.hu_zyx[box][voxels].astype(np.float64)
    areas_mm2 = slice_areas_mm2(mask)
    largest = int(np.argmax(areas_mm2))
    return HematomaMeasurements(
        volume_ml=volume_ml(mask),
        mesh_volume_ml=mesh_volume_ml(mask),
        abc2_volume_ml=abc2_volume_ml(mask),
        long_axis=longest_axial_diameter(mask, slice_index=largest),
        max_3d_diameter_mm=max_3d_diameter_mm(mask),
        max_area_slice=largest,
        max_area_mm2=float(areas_mm2[largest]),
        slice_count=int(np.count_nonzero(areas_mm2)),
        component_count=_component_count(voxels),
        mean_hu=float(hu.mean()),
        sd_hu=float(hu.std()),
    )


def slice_areas_mm2(mask: HematomaMask) -> NDArray[np.float64]:
    """Return the hematoma's cross-section in each slice in mm^2, shape (Z,)."""
    row_mm, column_mm = mask.grid.pixel_spacing_yx_mm
    pixels_z = np.count_nonzero(mask.voxels_zyx, axis=(1, 2))
    return np.asarray(pixels_z * (row_mm * column_mm), dtype=np.float64)


def volume_ml(mask: HematomaMask) -> float:
    """Return the volume in mL: sum of cross-section times slice extent along the normal."""
    return float(slice_areas_mm2(mask) @ mask.grid.slice_extents_mm) / 1000


def mesh_volume_ml(mask: HematomaMask) -> float:
    """Return the volume in mL inside the marching-cubes surface.

    It cuts the corners of the voxels and is therefore smaller than `volume_ml`, most where
    the hematoma spans few slices. It is the volume of the published study.

    Raises
    ------
    EmptyHematomaError
        If the mask holds no hematoma.
    """
    if mask.is_empty:
        raise EmptyHematomaError("There is no surface: the mask is empty")
    box = _bounding_box(mask.voxels_zyx)
    # one slice more on either side, where there is one, for the true distance to it
    first, last = max(box[0].start - 1, 0), min(box[0].stop + 1, mask.grid.shape_zyx[0])
    surface = hematoma_surface(
        mask.voxels_zyx[first:last, box[1], box[2]],
        slice_positions_mm=mask.grid.slice_positions_mm[first:last],
        pixel_spacing_yx_mm=mask.grid.pixel_spacing_yx_mm,
    )
    return enclosed_volume_ml(surface)


def abc2_volume_ml(mask: HematomaMask) -> float:
    """Return the volume in mL by the ABC/2 rule of the bedside.

    A is the longest diameter on the slice of largest cross-section, B the longest at a right
    angle to it on that slice. C adds up the extents of the slices: in full where the
    cross-section exceeds 75 % of the largest, half from 25 to 75 %, not at all below [1]_.
    A and B reach from edge to edge, hence one pixel more than from centre to centre.

    Raises
    ------
    EmptyHematomaError
        If the mask holds no hematoma.

    References
    ----------
    .. [1] R. U. Kothari et al., "The ABCs of Measuring Intracerebral Hemorrhage Volumes",
       Stroke 27 (1996) 1304-1305.
    """
    areas_mm2 = slice_areas_mm2(mask)
    largest = int(np.argmax(areas_mm2))
    a_mm, b_mm = _right_angled_diameters_mm(mask, slice_index=largest)
    share = areas_mm2 / areas_mm2[largest]
    weight = np.where(share > ABC2_WHOLE_SLICE, 1.0, np.where(share >= ABC2_HALF_SLICE, 0.5, 0.0))
    c_mm = float(weight @ mask.grid.slice_extents_mm)
    return a_mm * b_mm * c_mm / 2 / 1000


def longest_axial_diameter(mask: HematomaMask, *, slice_index: int) -> AxialDiameter:
    """Return the longest line between two hematoma pixel centres of one slice.

    Raises
    ------
    EmptyHematomaError
        If the slice holds no hematoma.
    """
    ends_yx = row_ends(mask.voxels_zyx[slice_index])
    if not len(ends_yx):
        raise EmptyHematomaError(f"Slice {slice_index} holds no hematoma to measure")
    line = longest_line(ends_yx * np.array(mask.grid.pixel_spacing_yx_mm))
    start, end = ends_yx[line.start], ends_yx[line.end]
    return AxialDiameter(
        length_mm=line.length,
        slice_index=slice_index,
        start_yx=(float(start[0]), float(start[1])),
        end_yx=(float(end[0]), float(end[1])),
    )


def max_3d_diameter_mm(mask: HematomaMask) -> float:
    """Return the longest distance between two hematoma voxel centres in the patient, in mm.

    Raises
    ------
    EmptyHematomaError
        If the mask holds no hematoma.
    """
    ends_zyx = row_ends(mask.voxels_zyx)
    if not len(ends_zyx):
        raise EmptyHematomaError("There is no diameter: the mask is empty")
    return longest_line(_lps_mm(mask.grid, ends_zyx)).length


def _right_angled_diameters_mm(mask: HematomaMask, *, slice_index: int) -> tuple[float, float]:
    """Return A and B of ABC/2 from edge to edge."""
    spacing_yx = np.array(mask.grid.pixel_spacing_yx_mm)
    axis = longest_axial_diameter(mask, slice_index=slice_index)
    vector = (np.array(axis.end_yx) - np.array(axis.start_yx)) * spacing_yx
    direction = vector / axis.length_mm if axis.length_mm > 0 else np.array([0.0, 1.0])
    across = np.array([-direction[1], direction[0]])
    points = np.argwhere(mask.voxels_zyx[slice_index]) * spacing_yx
    b_mm = widest_chord(points, direction, bin_width=float(spacing_yx.max()))
    return (
        axis.length_mm + float(np.linalg.norm(direction * spacing_yx)),
        b_mm + float(np.linalg.norm(across * spacing_yx)),
    )


def _lps_mm(grid: VoxelGrid, index_zyx: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return patient coordinates of voxel centres, shape (N, 3)."""
    row_mm, column_mm = grid.pixel_spacing_yx_mm
    positions = (
        np.asarray(grid.slice_origins_lps_mm)[index_zyx[:, 0]]
        + np.outer(index_zyx[:, 1] * row_mm, grid.column_cosine_lps)
        + np.outer(index_zyx[:, 2] * column_mm, grid.row_cosine_lps)
    )
    return np.asarray(positions, dtype=np.float64)


def _bounding_box(voxels_zyx: NDArray[np.bool_]) -> tuple[slice, slice, slice]:
    """Return the smallest box that holds all true voxels, of which there must be one."""
    occupied_z = np.flatnonzero(voxels_zyx.any(axis=(1, 2)))
    slab = voxels_zyx[occupied_z[0] : occupied_z[-1] + 1]
    occupied_y = np.flatnonzero(slab.any(axis=(0, 2)))
    occupied_x = np.flatnonzero(slab.any(axis=(0, 1)))
    z, y, x = (
        slice(int(found[0]), int(found[-1]) + 1) for found in (occupied_z, occupied_y, occupied_x)
    )
    return z, y, x


def _component_count(voxels_zyx: NDArray[np.bool_]) -> int:
    from scipy.ndimage import label  # type: ignore[import-untyped] # scipy ships no types

    _, count = label(voxels_zyx, structure=np.ones((3, 3, 3)))
    return int(count)
