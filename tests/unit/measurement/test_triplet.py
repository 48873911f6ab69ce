"""Which slices the classifier sees, and what of them."""

import numpy as np
import pytest
from mask_builder import BLOOD_HU, BRAIN_HU, at_positions, ball, bleeding_brain, mask_on

from pipeline.errors import EmptyHematomaError, GeometryError
from pipeline.triplet import TripletPosition, crop_triplet, max_area_slice, neighbour_slice
from pipeline.volume import regular_grid


def discs(areas: list[int]) -> np.ndarray:
    """Return one row of `area` pixels per slice in the middle of 80 x 80 pixels."""
    voxels = np.zeros((len(areas), 80, 80), dtype=bool)
    for index, area in enumerate(areas):
        voxels[index, 40, 40 : 40 + area] = True
    return voxels


def test_the_largest_slice_is_found():
    """The widest of the slices, not the first or the middle one."""
    assert max_area_slice(mask_on(discs([1, 5, 9, 20, 4]))) == 3


def test_of_equal_slices_the_most_inferior_is_taken():
    """The choice depends on nothing but the mask."""
    assert max_area_slice(mask_on(discs([1, 7, 3, 7]))) == 1


def test_thick_slices_have_their_neighbours_beside_them():
    """At 5 mm the triplet is what the paper uses: adjacent native slices."""
    mask = mask_on(discs([1, 5, 9, 20, 4]))

    triplet = crop_triplet(bleeding_brain(mask), mask)

    assert [(part.position, part.slice_index) for part in triplet.slices] == [
        (TripletPosition.MAX_MINUS_1, 2),
        (TripletPosition.MAX, 3),
        (TripletPosition.MAX_PLUS_1, 4),
    ]
    assert triplet.absent == ()


@pytest.mark.parametrize(
    ("step_mm", "expected"),
    [(0.625, (12, 28)), (1.0, (15, 25)), (2.0, (18, 22)), (2.5, (19, 21)), (7.5, (19, 21))],
)
def test_thin_slices_have_their_neighbours_five_millimetres_off(step_mm, expected):
    """0.625 mm x 8 = 5 mm; of 4 and 6 mm the closer; from 2.5 mm the next one counts."""
    grid = regular_grid((40, 4, 4), (step_mm, 0.5, 0.5))

    found = neighbour_slice(grid, 20, direction=-1), neighbour_slice(grid, 20, direction=1)

    assert found == expected


def test_mixed_steps_are_judged_on_each_side():
    """Thin below, thick above, as in a skull-base protocol."""
    mask = at_positions(mask_on(discs([1] * 9)), [0, 1, 2, 3, 4, 5, 6, 11, 16])

    assert neighbour_slice(mask.grid, 6, direction=-1) == 1
    assert neighbour_slice(mask.grid, 6, direction=1) == 7


def test_a_neighbour_beyond_the_scan_is_absent_with_a_reason():
    """The largest slice is the last one: nothing lies above it."""
    mask = mask_on(discs([1, 5, 9]))

    triplet = crop_triplet(bleeding_brain(mask), mask)

    assert [part.slice_index for part in triplet.slices] == [1, 2]
    ((position, reason),) = triplet.absent
    assert position is TripletPosition.MAX_PLUS_1
    assert "ends" in reason


def test_a_thin_scan_that_ends_too_soon_has_no_neighbour():
    """2 mm of scan below Max is no slice 5 mm below it."""
    grid = regular_grid((20, 4, 4), (1.0, 0.5, 0.5))

    assert neighbour_slice(grid, 2, direction=-1) is None
    assert neighbour_slice(grid, 3, direction=-1) == 0  # 3 mm: within half of 5 mm of it
    assert neighbour_slice(grid, 0, direction=-1) is None


def test_a_neighbour_without_hematoma_is_absent_with_a_reason():
    """A slice of healthy brain says nothing about the hematoma."""
    mask = mask_on(discs([0, 0, 9, 3]))

    triplet = crop_triplet(bleeding_brain(mask), mask)

    assert [part.position for part in triplet.slices] == [
        TripletPosition.MAX,
        TripletPosition.MAX_PLUS_1,
    ]
    ((position, reason),) = triplet.absent
    assert position is TripletPosition.MAX_MINUS_1
    assert "no hematoma" in reason


def test_the_region_is_a_square_with_a_margin_of_ten_millimetres():
    """A ball of 10 mm radius at 0.5 mm: 41 + 2 x 20 pixels on either side, around its middle."""
    mask = ball(radius_mm=10, spacing_zyx_mm=(5.0, 0.5, 0.5), shape_zyx=(9, 120, 160))

    largest = next(
        part
        for part in crop_triplet(bleeding_brain(mask), mask).slices
        if part.position is TripletPosition.MAX
    )

    roi = largest.roi
    assert largest.image_yx.shape == (roi.y1 - roi.y0, roi.x1 - roi.x0)
    assert abs((roi.y1 - roi.y0) - 81) <= 1
    assert abs((roi.x1 - roi.x0) - 81) <= 1
    assert abs((roi.y0 + roi.y1) / 2 - 60) <= 1
    assert abs((roi.x0 + roi.x1) / 2 - 80) <= 1


def test_a_long_hematoma_is_cropped_to_a_square_in_millimetres():
    """21 mm wide with pixels of 1 x 0.5 mm: as many millimetres of height as of width."""
    voxels = np.zeros((3, 200, 200), dtype=bool)
    voxels[1, 100, 80:122] = True
    mask = mask_on(voxels, (5.0, 1.0, 0.5))

    (part,) = crop_triplet(bleeding_brain(mask), mask).slices

    height_mm = (part.roi.y1 - part.roi.y0) * 1.0
    width_mm = (part.roi.x1 - part.roi.x0) * 0.5
    assert width_mm == pytest.approx(20.5 + 20, abs=0.6)
    assert height_mm == pytest.approx(width_mm, abs=1.1)


def test_the_region_ends_with_the_image():
    """A bleed at the border is cropped to what was scanned."""
    voxels = np.zeros((3, 60, 60), dtype=bool)
    voxels[1, 0:5, 55:60] = True
    mask = mask_on(voxels)

    (part,) = crop_triplet(bleeding_brain(mask), mask).slices

    assert (part.roi.y0, part.roi.x1) == (0, 60)
    assert part.image_yx.shape == (part.roi.y1, 60 - part.roi.x0)


def test_a_distant_speck_does_not_widen_the_region():
    """The region is that of the largest piece of the slice."""
    alone = np.zeros((3, 200, 200), dtype=bool)
    alone[1, 20:40, 20:40] = True
    with_speck = alone.copy()
    with_speck[1, 190, 190] = True

    regions = [
        crop_triplet(bleeding_brain(mask), mask).slices[0].roi
        for mask in (mask_on(alone), mask_on(with_speck))
    ]

    assert regions[0] == regions[1]


def test_the_picture_is_the_native_slice_in_the_brain_window():
    """65 HU is (65 - 39.5) / 79 + 0.5 = 0.8228 of 255 = 210; 30 HU is 0.3797 of 255 = 97."""
    mask = ball(radius_mm=10, spacing_zyx_mm=(5.0, 0.5, 0.5), shape_zyx=(9, 120, 120))

    for part in crop_triplet(bleeding_brain(mask), mask).slices:
        window = np.s_[part.slice_index, part.roi.y0 : part.roi.y1, part.roi.x0 : part.roi.x1]
        inside = mask.voxels_zyx[window]
        assert set(part.image_yx[inside]) == {210}, BLOOD_HU
        assert set(part.image_yx[~inside]) == {97}, BRAIN_HU
        assert not part.image_yx.flags.writeable


def test_an_empty_mask_has_no_triplet():
    """There is no largest slice of nothing."""
    mask = mask_on(np.zeros((3, 4, 4), dtype=bool))

    with pytest.raises(EmptyHematomaError):
        crop_triplet(bleeding_brain(mask), mask)


def test_a_mask_of_another_grid_has_no_triplet():
    """The picture would show another place than the mask."""
    mask = ball(radius_mm=5, spacing_zyx_mm=(1.0, 1.0, 1.0))
    other = at_positions(mask, [2.0 * index for index in range(mask.grid.shape_zyx[0])])

    with pytest.raises(GeometryError):
        crop_triplet(bleeding_brain(mask), other)
