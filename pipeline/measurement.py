"""How large the hematoma is: volumes, diameters, densities."""

from dataclasses import dataclass


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
