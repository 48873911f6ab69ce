"""What stands side by side, and what is written above it."""

from datetime import timedelta

import numpy as np
import pytest
from comparison_builder import LARGE, SMALL
from follow_up_builder import head_grid, known_alignment, scanned
from PIL import Image
from result_cases import SEGMENTATION_CARD

from dicom_node.results import comparison_wording
from dicom_node.results.comparison_drawing import draw_comparison, panel_pixels
from dicom_node.results.comparison_picture import PANEL_PX, view_pair
from dicom_node.results.comparison_record import comparison_record, refusal_record
from pipeline.finding import VolumeRange
from pipeline.follow_up.comparison import Interval, compare_scans
from pipeline.volume import CtVolume, HematomaMask, VoxelGrid

DAY = Interval(elapsed=timedelta(hours=24))


def viewed(before, after, *, is_moved=False, correlation=0.99):
    comparison = compare_scans(
        before,
        after,
        interval=DAY,
        align=lambda _one, _other: known_alignment(is_moved=is_moved, correlation=correlation),
    )
    return comparison, view_pair(before, after, comparison)


def record_of(comparison):
    return comparison_record(
        comparison,
        baseline_uid="1.2.3",
        follow_up_uid="1.2.4",
        model=SEGMENTATION_CARD,
        steps_s={"read": 1.0},
    )


def overlap(one, other):
    return 2 * np.count_nonzero(one & other) / (np.count_nonzero(one) + np.count_nonzero(other))


def test_a_moved_head_is_shown_at_the_same_place():
    """The same ball in a head that was turned and shifted lies on the same pixels."""
    before = scanned(head_grid((3.0, 2.0, 2.0)), balls=[LARGE])
    after = scanned(head_grid((2.5, 2.5, 2.5)), balls=[LARGE], is_moved=True)

    _, view = viewed(before, after, is_moved=True)

    assert overlap(view.baseline_yx, view.follow_up_yx) > 0.95  # voxels of 2.5 mm
    assert np.array_equal(view.carried_yx, view.baseline_yx)
    assert view.follow_up_slice is None
    inside = view.baseline_yx & view.follow_up_yx
    assert view.follow_up_hu_yx[inside].mean() == pytest.approx(65, abs=2)


def test_heads_that_do_not_match_are_shown_each_on_its_own():
    """The follow-up's slice of largest area, without the baseline's outline."""
    before, after = scanned(balls=[SMALL]), scanned(balls=[LARGE])

    _, view = viewed(before, after, correlation=0.5)

    area_z = after.segmentation.hematoma.voxels_zyx.sum(axis=(1, 2))
    assert view.follow_up_slice == int(np.argmax(area_z))
    assert view.carried_yx is None


def test_a_new_hematoma_is_shown_where_it_is():
    """Without a hematoma at baseline the slice is that of the follow-up's."""
    before, after = scanned(), scanned(balls=[LARGE])

    _, view = viewed(before, after)

    height_mm = before.volume.grid.slice_positions_mm[view.baseline_slice]
    assert height_mm == pytest.approx(LARGE.center_lps_mm[2], abs=5.0)
    assert view.follow_up_yx.any()
    assert not view.baseline_yx.any()


def test_the_patients_left_is_on_the_right_whatever_way_it_was_stored():
    """Columns stored from left to right and rows from back to front give the same picture."""
    before = scanned(balls=[LARGE])
    grid, hu = before.volume.grid, before.volume.hu_zyx
    mask = before.segmentation.hematoma.voxels_zyx
    _, rows, columns = grid.shape_zyx
    step_y, step_x = grid.pixel_spacing_yx_mm
    turned = VoxelGrid(
        shape_zyx=grid.shape_zyx,
        pixel_spacing_yx_mm=grid.pixel_spacing_yx_mm,
        row_cosine_lps=(-1.0, 0.0, 0.0),
        column_cosine_lps=(0.0, -1.0, 0.0),
        slice_origins_lps_mm=tuple(
            (x + (columns - 1) * step_x, y + (rows - 1) * step_y, z)
            for x, y, z in grid.slice_origins_lps_mm
        ),
    )
    other = type(before)(
        volume=CtVolume(hu_zyx=hu[:, ::-1, ::-1], grid=turned),
        segmentation=type(before.segmentation)(
            hematoma=HematomaMask(voxels_zyx=mask[:, ::-1, ::-1], grid=turned)
        ),
    )

    _, view = viewed(before, before)
    _, same = viewed(other, other)

    assert np.allclose(view.baseline_hu_yx, same.baseline_hu_yx, atol=0.5)
    columns_of_blood = np.nonzero(view.baseline_yx.any(axis=0))[0]
    assert columns_of_blood.mean() > PANEL_PX / 2  # the ball lies on the patient's left


def test_outlines_hide_no_hematoma():
    """Magenta lies outside the mask; cyan below it; the rest is grey."""
    own = np.zeros((20, 20), dtype=bool)
    carried = own.copy()
    own[5:15, 5:15], carried[5:10, 5:10] = True, True

    pixels = panel_pixels(np.full((20, 20), 40.0, dtype=np.float32), own, carried)

    assert tuple(pixels[4, 7]) == (255, 0, 255)
    assert tuple(pixels[10, 7]) == (0, 220, 235)
    assert len(set(map(int, pixels[12, 12]))) == 1
    assert not (pixels[own & ~carried][:, 0] == 255).any()


def test_the_picture_is_drawn_for_every_outcome():
    """Two panels beside one another where something was compared; words alone elsewhere."""
    before, after = scanned(balls=[SMALL]), scanned(balls=[LARGE])
    comparison, view = viewed(before, after)

    drawn = draw_comparison(view, record_of(comparison), node="ichnode 1")
    refused = draw_comparison(
        None,
        refusal_record(
            "because", baseline_uid="1", follow_up_uid="2", model=SEGMENTATION_CARD, steps_s={}
        ),
        node="ichnode 1",
    )

    assert drawn.width == refused.width >= 2 * PANEL_PX
    assert drawn.height > PANEL_PX > refused.height
    assert isinstance(drawn, Image.Image)


def test_words_give_sign_share_and_range():
    """10.3 mL on 14.1 mL is 73 %; the verdict names the criteria that are met."""
    comparison, _ = viewed(scanned(balls=[SMALL]), scanned(balls=[LARGE]))
    record = record_of(comparison)
    exact = f"{record['change_ml']:+.1f} mL ({100 * record['change_relative']:+.0f} %)"

    assert comparison_wording.change_of_record(record) == exact
    assert exact.startswith("+10.")
    assert comparison_wording.title_of(record) == "EXPANDED (> 6 mL, > 33 %)"
    assert comparison_wording.verdict_of_record(record) == (
        "EXPANDED (growth by more than 6 mL, growth by more than 33 %)"
    )
    assert comparison_wording.elapsed_words(23.5) == "23.5 h"
    assert comparison_wording.elapsed_words(96.0) == "4.0 days"


def test_a_range_that_holds_both_answers_is_told():
    """14.1 to 24.4 mL, each known to 8 mL: growth by 10.3 mL, or by none at all."""
    scans = [
        scanned(balls=[ball], volume_range=VolumeRange(low_ml=low, high_ml=low + 16))
        for ball, low in ((SMALL, 6.0), (LARGE, 16.0))
    ]
    comparison, _ = viewed(*scans)
    record = record_of(comparison)

    assert record["expanded"] is True
    assert record["is_certain"] is False
    assert comparison_wording.notes_of_record(record) == (comparison_wording.UNCERTAIN,)


def test_a_withheld_verdict_says_why():
    """The reason stands in the record, the criteria that the numbers meet beside it."""
    comparison, _ = viewed(scanned(balls=[SMALL]), scanned(balls=[LARGE]), correlation=0.5)
    record = record_of(comparison)

    assert record["status"] == "no_verdict"
    assert record["expanded"] is None
    assert record["is_certain"] is None
    assert record["criteria"] == ["absolute_growth", "relative_growth"]
    assert record["reasons"] == [comparison_wording.FLAG[flag] for flag in comparison.withheld_by]
    assert comparison_wording.title_of(record) == "NO VERDICT"
