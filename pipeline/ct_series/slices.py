"""One axial CT image before its pixels are decoded: where it lies and what it stands for."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.ct_series.header import ImageHeader
from pipeline.ct_series.refusal import refusal
from pipeline.rejection import RejectionCode
from pipeline.volume import SliceSource, Vector

#: Pixel spacings that are believed. Inner ears are reconstructed with 0.1 mm, the widest field
#: (700 mm on 256 pixels) gives 2.7 mm; at 5 mm a hematoma of 1 mL is two pixels wide.
PIXEL_SPACING_RANGE_MM = (0.05, 5.0)

#: Length and scalar product of direction cosines may be off by this much, else they are not
#: believed. Scanners round them to 6 digits.
COSINE_TOLERANCE = 0.01

#: What technicians write into Contrast/Bolus Agent when there was none.
_NO_CONTRAST = frozenset({"", "NONE", "NO", "N", "NO CONTRAST", "WITHOUT", "NIL", "0", "NATIVE"})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CtSlice:
    """One axial CT image.

    Attributes
    ----------
    header : ImageHeader
        The rest of what the image says, and its encoded pixels.
    source : SliceSource
        Which image it is.
    origin_lps_mm : Vector
        Image Position (Patient).
    row_cosine_lps, column_cosine_lps : Vector
        Orthonormal directions of Image Orientation (Patient).
    shape_yx : tuple of int
        Rows and columns.
    pixel_spacing_yx_mm : tuple of float
        Pixel Spacing.
    thickness_mm : float or None
        Slice Thickness, None if the image does not say.
    """

    header: ImageHeader
    source: SliceSource
    origin_lps_mm: Vector
    row_cosine_lps: Vector
    column_cosine_lps: Vector
    shape_yx: tuple[int, int]
    pixel_spacing_yx_mm: tuple[float, float]
    thickness_mm: float | None

    @property
    def has_contrast(self) -> bool:
        """Whether the header names a contrast agent (PS3.3, sections C.7.6.4 and C.7.6.4b)."""
        if self.header.text("ContrastBolusAgent") not in _NO_CONTRAST:
            return True
        return bool(self.header.items("ContrastBolusAgentSequence"))


def read_slice(header: ImageHeader) -> CtSlice:
    """Return the image with its geometry, checked.

    Raises
    ------
    SeriesRejectedError
        GEOMETRY_MISSING if a value of the image plane is absent or absurd.
    """
    row, column = _direction_cosines(header)
    shape = (header.count("Rows"), header.count("Columns"))
    if min(shape) < 1:
        raise _missing(f"{shape[0]} rows and {shape[1]} columns", "positive counts")
    thickness = header.number("SliceThickness")
    return CtSlice(
        header=header,
        source=SliceSource(
            sop_instance_uid=header.text("SOPInstanceUID"), frame_number=header.frame_number
        ),
        origin_lps_mm=_vector(header.numbers("ImagePositionPatient", 3) or ()),
        row_cosine_lps=row,
        column_cosine_lps=column,
        shape_yx=shape,
        pixel_spacing_yx_mm=_pixel_spacing_mm(header),
        thickness_mm=thickness if thickness and thickness > 0 else None,
    )


def _pixel_spacing_mm(header: ImageHeader) -> tuple[float, float]:
    spacing = header.numbers("PixelSpacing", 2)
    low, high = PIXEL_SPACING_RANGE_MM
    needed = f"{low} to {high} mm"
    if spacing is None:
        raise _missing("no pixel spacing", needed)
    if not all(low <= value <= high for value in spacing):
        raise _missing(f"pixel spacing {spacing[0]:g} x {spacing[1]:g} mm", needed)
    return spacing[0], spacing[1]


def _direction_cosines(header: ImageHeader) -> tuple[Vector, Vector]:
    cosines = np.reshape(header.numbers("ImageOrientationPatient", 6) or np.zeros(6), (2, 3))
    if not np.allclose(cosines @ cosines.T, np.eye(2), atol=COSINE_TOLERANCE):
        raise _missing(f"direction cosines {cosines.tolist()}", "two orthogonal unit vectors")
    row = cosines[0] / np.linalg.norm(cosines[0])
    column = cosines[1] - (cosines[1] @ row) * row
    return _vector(row), _vector(column / np.linalg.norm(column))


def _vector(values: Sequence[float] | np.ndarray) -> Vector:
    x, y, z = (float(value) for value in values)
    return x, y, z


def _missing(found: str, needed: str) -> Exception:
    return refusal(RejectionCode.GEOMETRY_MISSING, found=found, needed=needed)
