"""What changed between two scans, and when nobody can say."""

from datetime import timedelta

import numpy as np
import pytest
from ct_builder import Ball
from follow_up_builder import head_grid, known_alignment, scanned

from pipeline.expansion import Criterion
from pipeline.finding import Compartment, Segmentation, VolumeRange
from pipeline.follow_up.comparison import (
    Equipment,
    Interval,
    ScanFinding,
    compare_scans,
)
from pipeline.follow_up.flags import WITHHOLDING, FollowUpFlag
from pipeline.volume import HematomaMask

DAY = Interval(elapsed=timedelta(hours=24))
SMALL, LARGE = Ball(radius_mm=15.0), Ball(radius_mm=18.0)  # 14.1 and 24.4 mL


def aligned(_baseline, _follow_up):
    return known_alignment()


def compared(baseline, follow_up, *, interval=DAY, align=aligned, **options):
    return compare_scans(baseline, follow_up, interval=interval, align=align, **options)


def test_the_change_is_that_of_the_balls():
    """4/3 pi (1.8^3 - 1.5^3) = 10.3 mL, 73 %: more than 6 mL and more than 33 %."""
    found = compared(scanned(balls=[SMALL]), scanned(balls=[LARGE]))

    assert found.change.absolute_ml == pytest.approx(10.3, abs=0.6)
    assert found.change.relative == pytest.approx(0.73, abs=0.05)
    assert found.change.criteria == {Criterion.ABSOLUTE, Criterion.RELATIVE}
    assert found.is_expansion is True
    assert found.flags == set()


def test_volumes_are_measured_on_each_scans_own_grid():
    """5 mm slices before, 2.5 mm slices after: each ball has the volume of its own voxels."""
    before = scanned(head_grid((5.0, 3.0, 3.0)), balls=[SMALL])
    after = scanned(head_grid((2.5, 2.0, 2.0)), balls=[SMALL])

    found = compared(before, after)

    for volumes, scan in ((found.baseline, before), (found.follow_up, after)):
        voxel_ml = np.prod(scan.volume.grid.spacing_zyx_mm) / 1000
        counted = scan.segmentation.hematoma.voxels_zyx.sum() * voxel_ml
        assert volumes.hematoma_ml == pytest.approx(counted)
    assert found.is_expansion is False
    assert found.flags == {FollowUpFlag.THICKNESS_DIFFERS}


def test_the_range_of_the_change_follows_from_both_ranges():
    """MOVER by hand: 10 mL down sqrt(3^2 + 4^2) = 5, up sqrt(6^2 + 8^2) = 10 from the ends."""
    before, after = scanned(balls=[SMALL]), scanned(balls=[LARGE])
    first, second = before.volumes.hematoma_ml, after.volumes.hematoma_ml
    ranged = [
        ScanFinding(
            volume=scan.volume,
            segmentation=Segmentation(
                hematoma=scan.segmentation.hematoma,
                volume_range=VolumeRange(low_ml=ml - low, high_ml=ml + high),
            ),
        )
        for scan, ml, low, high in ((before, first, 8, 4), (after, second, 3, 6))
    ]

    found = compared(*ranged)

    assert found.change.change_range.low_ml == pytest.approx(second - first - 5)
    assert found.change.change_range.high_ml == pytest.approx(second - first + 10)


def test_a_follow_up_of_another_head_gives_no_verdict():
    """Volumes are measured all the same, and nothing is said of expansion."""
    found = compared(
        scanned(balls=[SMALL]),
        scanned(balls=[LARGE]),
        align=lambda _one, _other: known_alignment(correlation=0.88),
    )

    assert found.withheld_by == (FollowUpFlag.REGISTRATION_POOR,)
    assert found.is_expansion is None
    assert not found.is_registered
    assert found.change.is_expansion


def test_heads_that_cannot_be_matched_at_all_give_no_verdict():
    """Registration gave up."""

    def lost(_baseline, _follow_up):
        raise ValueError("The heads of the two scans cannot be matched")

    found = compared(scanned(balls=[SMALL]), scanned(balls=[LARGE]), align=lost)

    assert found.alignment is None
    assert FollowUpFlag.REGISTRATION_POOR in found.flags
    assert found.is_expansion is None


def test_a_new_hematoma_has_no_relative_change_and_is_no_expansion():
    """What was not there cannot have expanded; its volume is reported."""
    found = compared(scanned(), scanned(balls=[LARGE]))

    assert found.change.relative is None
    assert found.change.absolute_ml == pytest.approx(24.4, abs=1.0)
    assert found.withheld_by == (FollowUpFlag.BASELINE_NO_HEMATOMA,)


def test_a_sharp_fall_without_signs_gives_no_verdict():
    """24.4 mL to 14.1 mL within a day is no resorption: 42 % and 10 mL."""
    found = compared(scanned(balls=[LARGE]), scanned(balls=[SMALL]))

    assert found.withheld_by == (FollowUpFlag.SHARP_FALL,)
    assert found.signs is not None
    assert not found.signs.are_there


def test_a_sharp_fall_with_new_air_is_suspected_surgery():
    """A pocket of air of 12 mm radius, 7 mL, where the hematoma was."""

    def emptied(own, hu):
        return np.where(np.linalg.norm(own - [25.0, 5.0, 10.0], axis=-1) < 12, -900.0, hu)

    found = compared(scanned(balls=[LARGE]), scanned(change=emptied))

    assert found.withheld_by == (FollowUpFlag.SURGERY_SUSPECTED,)
    assert found.signs.new_air_ml == pytest.approx(7.2, rel=0.2)


@pytest.mark.parametrize(("before_mm", "after_mm"), [(18.0, 17.0), (10.0, 8.0), (18.0, 18.0)])
def test_a_small_fall_is_no_expansion(before_mm, after_mm):
    """24.4 to 20.6 mL is 16 %; 4.2 to 2.1 mL is 51 % but 2 mL only."""
    balls = [Ball(radius_mm=radius) for radius in (before_mm, after_mm)]

    found = compared(*(scanned(balls=[ball]) for ball in balls))

    assert found.is_expansion is False
    assert found.signs is None


@pytest.mark.parametrize(
    ("interval", "flag"),
    [
        (Interval(elapsed=timedelta(hours=2)), FollowUpFlag.INTERVAL_SHORT),
        (Interval(elapsed=timedelta(hours=80)), FollowUpFlag.INTERVAL_LONG),
        (Interval(elapsed=timedelta(hours=24), is_zone_assumed=True), "time_zone_missing"),
    ],
)
def test_the_time_between_is_remarked_upon(interval, flag):
    """A verdict is given, and the reader is told what it is worth."""
    found = compared(scanned(balls=[SMALL]), scanned(balls=[LARGE]), interval=interval)

    assert found.flags == {flag}
    assert found.is_expansion is True


def test_a_follow_up_is_later():
    """Scans in the wrong order are a fault of the caller."""
    with pytest.raises(ValueError, match="later than its baseline"):
        Interval(elapsed=timedelta(hours=-1))


@pytest.mark.parametrize(
    ("first", "second", "differs"),
    [
        (Equipment(manufacturer="A", model_name="x"), Equipment(manufacturer="a "), False),
        (Equipment(manufacturer="A"), Equipment(manufacturer="B"), True),
        (Equipment(model_name="x"), Equipment(model_name="y"), True),
        (Equipment(serial_number="1"), Equipment(serial_number="2"), True),
        (Equipment(), Equipment(manufacturer="A", model_name="x", serial_number="1"), False),
    ],
)
def test_another_scanner_is_told_where_both_say_which(first, second, differs):
    """What only one scan says is no difference."""
    found = compared(
        scanned(balls=[SMALL]),
        scanned(balls=[SMALL]),
        baseline_equipment=first,
        follow_up_equipment=second,
    )

    assert (FollowUpFlag.OTHER_SCANNER in found.flags) is differs


def test_slices_at_another_angle_are_told():
    """The head is turned by 4 degrees about x in one case; by 12 in the other."""
    tilt = np.radians(12.0)
    turned = np.array(
        [[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]]
    )
    scans = (scanned(balls=[SMALL]), scanned(balls=[SMALL]))

    a_little = compared(*scans, align=lambda _one, _other: known_alignment(is_moved=True))
    much = compared(
        *scans,
        align=lambda _one, _other: type(known_alignment())(
            matrix=turned, translation_mm=np.zeros(3), correlation=0.99
        ),
    )

    assert FollowUpFlag.TILT_DIFFERS not in a_little.flags
    assert FollowUpFlag.TILT_DIFFERS in much.flags


def test_named_thickness_counts_before_the_distance_of_slices():
    """Overlapping slices of 5 mm are as thick as adjoining ones."""
    before = scanned(head_grid((5.0, 3.0, 3.0)), balls=[SMALL], thickness_mm=5.0)
    after = scanned(head_grid((2.5, 3.0, 3.0)), balls=[SMALL], thickness_mm=5.0)

    assert FollowUpFlag.THICKNESS_DIFFERS not in compared(before, after).flags


def test_a_hematoma_at_the_edge_is_told():
    """The scan ends within the ball: z up to 10 mm, the ball's centre."""
    grid = head_grid((5.0, 3.0, 3.0), field_mm=(25.0, 216.0, 216.0))

    found = compared(
        scanned(balls=[SMALL]),
        scanned(grid, balls=[SMALL]),
        align=lambda _one, _other: known_alignment(correlation=0.5),
    )

    assert FollowUpFlag.HEMATOMA_CUT_OFF in found.flags


def test_ventricles_count_only_where_they_are_asked_for():
    """Blood that is new in the ventricles is expansion by the revised definition alone."""
    scans = []
    for has_blood in (False, True):
        scan = scanned(balls=[SMALL])
        blood = np.zeros(scan.volume.grid.shape_zyx, dtype=bool)
        blood[18, 30:34, 30:34] = has_blood  # 16 voxels of 45 mm3: 0.72 mL
        mask = HematomaMask(voxels_zyx=blood, grid=scan.volume.grid)
        found = Segmentation(
            hematoma=scan.segmentation.hematoma,
            compartments={Compartment.INTRAVENTRICULAR: mask},
        )
        scans.append(ScanFinding(volume=scan.volume, segmentation=found))

    standard = compared(*scans)
    revised = compared(*scans, with_ventricles=True)

    assert standard.follow_up.intraventricular_ml == pytest.approx(0.72)
    assert standard.is_expansion is False
    assert revised.change.criteria == {Criterion.NEW_INTRAVENTRICULAR}


def test_the_flags_that_withhold_a_verdict_are_these():
    """Stored values that the watch and the export count on."""
    assert {flag.value for flag in WITHHOLDING} == {
        "registration_poor",
        "surgery_suspected",
        "sharp_fall",
        "baseline_no_hematoma",
    }
