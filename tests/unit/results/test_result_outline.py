"""Outlines follow the pixels' borders in the coordinates of structured reports."""

import numpy as np
import pytest

from dicom_node.results.outline import (
    diameter_line,
    head_outline,
    hematoma_outline,
    roi_outline,
)
from pipeline.measurement import AxialDiameter
from pipeline.triplet import RegionOfInterest


def rectangle(shape, rows, columns):
    mask = np.zeros(shape, dtype=bool)
    mask[rows, columns] = True
    return mask


def bounds(points):
    return points.min(axis=0).tolist(), points.max(axis=0).tolist()


def test_an_outline_runs_along_the_borders_of_the_pixels():
    """Columns 3..6 and rows 2..4 reach from (3, 2) to (7, 5): (0, 0) is the image's corner."""
    outline = hematoma_outline(rectangle((9, 9), slice(2, 5), slice(3, 7)))

    assert bounds(outline) == ([3.0, 2.0], [7.0, 5.0])


@pytest.mark.parametrize("where", [(slice(0, 3), slice(0, 4)), (slice(6, 9), slice(5, 9))])
def test_a_hematoma_at_the_border_has_a_closed_outline(where):
    """The outline does not stop where the image does."""
    outline = hematoma_outline(rectangle((9, 9), *where))

    assert outline[0].tolist() == outline[-1].tolist()
    assert outline.min() >= 0
    assert outline.max() <= 9


def test_of_several_parts_the_largest_is_outlined():
    """2 x 2 pixels here, 4 x 4 there: the latter."""
    mask = rectangle((20, 20), slice(1, 3), slice(1, 3))
    mask |= rectangle((20, 20), slice(10, 14), slice(12, 16))

    assert bounds(hematoma_outline(mask)) == ([12.0, 10.0], [16.0, 14.0])


def test_no_hematoma_has_no_outline():
    """An empty slice is not outlined."""
    assert hematoma_outline(np.zeros((5, 5), dtype=bool)) is None


def test_the_outline_encloses_the_area_of_a_disc():
    """Radius 20 pixels: pi r^2 = 1257 pixels, within 1 %."""
    y, x = np.mgrid[:64, :64]
    outline = hematoma_outline((y - 32) ** 2 + (x - 30) ** 2 <= 400)

    area = abs(np.dot(outline[:-1, 0], outline[1:, 1]) - np.dot(outline[:-1, 1], outline[1:, 0]))
    assert area / 2 == pytest.approx(np.pi * 400, rel=0.01)


def test_a_region_is_half_open():
    """Rows 2..4 end at 5, columns 3..6 at 7."""
    points = roi_outline(RegionOfInterest(y0=2, y1=5, x0=3, x1=7))

    assert bounds(points) == ([3.0, 2.0], [7.0, 5.0])
    assert points[0].tolist() == points[-1].tolist()


def test_a_diameter_runs_between_centres_of_pixels():
    """Row 2, column 3 has its centre at (3.5, 2.5)."""
    diameter = AxialDiameter(length_mm=1.0, slice_index=0, start_yx=(2.0, 3.0), end_yx=(8.0, 4.0))

    assert diameter_line(diameter).tolist() == [[3.5, 2.5], [4.5, 8.5]]


def test_the_head_is_what_is_denser_than_air():
    """Tissue on rows 3..5 and columns 2..7; a slice of air is taken as a whole."""
    hu = np.full((10, 12), -1000, dtype=np.int16)
    assert bounds(head_outline(hu)) == ([0.0, 0.0], [12.0, 10.0])

    hu[3:6, 2:8] = 30

    assert bounds(head_outline(hu)) == ([2.0, 3.0], [8.0, 6.0])
