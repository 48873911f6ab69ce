"""When a series is complete."""

from dataclasses import replace
from datetime import timedelta

import pytest
from node_builders import START, received, small_series

from dicom_node.intake.assembly import (
    ArrivalFlag,
    AssemblyRules,
    Complete,
    Conflict,
    SeriesAssembly,
    Waiting,
    find_gaps,
    judge,
    looks_complete,
)
from dicom_node.intake.instance import SliceAttributes

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
RULES = AssemblyRules(quiet_s=5, force_s=60)


def stack(positions, numbers=None, orientation=AXIAL):
    numbers = numbers or [None] * len(positions)
    return tuple(
        SliceAttributes(
            position_lps_mm=(0.0, 0.0, float(z)), orientation=orientation, instance_number=number
        )
        for z, number in zip(positions, numbers, strict=True)
    )


def arrived(slices=None, **options):
    slices = stack(range(0, 50, 5)) if slices is None else slices
    return SeriesAssembly(slices=slices, last_received_at=START, **options)


def after(seconds):
    return START + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("name", "positions", "numbers", "gaps"),
    [
        ("even", [0, 5, 10, 15, 20], None, ()),
        ("one slice missing", [0, 5, 15, 20, 25], None, (5,)),
        ("two slices missing", [0, 5, 20, 25, 30], None, (5,)),
        ("thin and thick halves", [0, 2.5, 5, 7.5, 10, 15, 20, 25], None, ()),
        ("thick halves with a gap", [0, 2.5, 5, 10, 20, 25, 30], None, (10,)),
        ("gaps side by side, numbers skip", [0, 5, 15, 25, 30], [1, 2, 4, 6, 7], (5, 15)),
        ("one missing in the middle of thin slices", [0, 1, 2, 4, 5, 6], [1, 2, 3, 5, 6, 7], (2,)),
        ("uneven, but nothing missing", [0, 1.1, 8.5, 9.6, 14], [1, 2, 3, 4, 5], ()),
        ("numbers fall with the position", [0, 5, 15, 20], [9, 8, 6, 5], (5,)),
        ("second slice missing", [0, 10, 15, 20], None, (0,)),
        ("two slices", [0, 40], None, ()),
        ("repeated positions", [0, 0, 5, 5, 10, 10, 15, 15], None, ()),
        ("any order", [15, 0, 10, 5, 20], None, ()),
    ],
)
def test_gaps_are_where_slices_are_missing(name, positions, numbers, gaps):
    """Positions in mm; a gap is named by the slice below it."""
    assert find_gaps(stack(positions, numbers)) == gaps, name


def test_gantry_tilt_is_no_gap():
    """A sheared stack is measured along its normal, where its steps are even."""
    tilted = [received(ds).slice_attributes for ds in small_series(12, tilt_deg=18.5)]

    assert find_gaps(tilted) == ()
    assert len(find_gaps([image for i, image in enumerate(tilted) if i != 4])) == 1


def test_localizers_and_captures_do_not_disturb():
    """Only the largest group of parallel slices is looked at."""
    sagittal = stack([0, 300], orientation=(0.0, 1.0, 0.0, 0.0, 0.0, -1.0))
    capture = (SliceAttributes(instance_number=999),)

    assert find_gaps(stack(range(0, 50, 5)) + sagittal + capture) == ()


def test_a_series_waits_for_quiet():
    """One second after the last image nobody knows whether another follows."""
    assert judge(arrived(), RULES, after(4.9)) == Waiting(
        reason="images are arriving", look_again_at=after(5)
    )
    assert isinstance(judge(arrived(), RULES, after(5)), Complete)


def test_an_even_series_is_complete_without_doubt():
    """Quiet, no association, no gap: no flag."""
    verdict = judge(arrived(), RULES, after(5))

    assert isinstance(verdict, Complete)
    assert verdict.flags == frozenset()


@pytest.mark.parametrize(
    ("series", "flag", "words"),
    [
        (
            arrived(open_associations=1),
            ArrivalFlag.ASSOCIATION_OPEN,
            "association",
        ),
        (arrived(fetching_since=START), ArrivalFlag.FETCH_OPEN, "fetched"),
        (arrived(stack([0, 5, 15, 20, 25])), ArrivalFlag.SLICES_MISSING, "missing"),
    ],
)
def test_a_doubtful_series_waits_and_is_then_taken_with_a_flag(series, flag, words):
    """Nothing waits for ever, and nothing doubtful passes unmarked."""
    waiting = judge(series, RULES, after(30))
    forced = judge(series, RULES, after(60))

    assert isinstance(waiting, Waiting)
    assert waiting.look_again_at == after(60)
    assert words in waiting.reason
    assert isinstance(forced, Complete)
    assert forced.flags == {ArrivalFlag.FORCED, flag}
    assert words in forced.reason


@pytest.mark.parametrize("clash", [{"patients": 2}, {"studies": 2}])
def test_two_patients_in_one_series_are_never_analysed(clash):
    """A guess would give one patient the hematoma of another."""
    assert isinstance(judge(arrived(**clash), RULES, after(600)), Conflict)


def test_a_multi_frame_image_is_whole_by_itself():
    """Enhanced CT has its slices in one instance."""
    enhanced = (replace(stack([0])[0], frames=40, position_lps_mm=None, orientation=None),)

    assert isinstance(judge(arrived(enhanced), RULES, after(5)), Complete)


@pytest.mark.parametrize(
    "wrong",
    [
        {"quiet_s": -1},
        {"study_quiet_s": -1},
        {"study_limit_s": -1},
        {"quiet_s": 10, "force_s": 5},
    ],
)
def test_rules_without_sense_cannot_be_built(wrong):
    """Each time has a bound."""
    with pytest.raises(ValueError, match="must"):
        AssemblyRules(**wrong)


@pytest.mark.data
def test_uneven_real_series_do_not_wait(data_dir):
    """A complete tilted GE series with steps from 1.1 to 7.4 mm shows no gap."""
    from pydicom import dcmread

    files = sorted(path for path in (data_dir / "dcm_qa_ct" / "GE").rglob("*") if path.is_file())
    images = [dcmread(path, stop_before_pixels=True) for path in files]
    slices = [
        SliceAttributes(
            instance_number=int(ds.InstanceNumber),
            position_lps_mm=tuple(float(v) for v in ds.ImagePositionPatient),
            orientation=tuple(float(v) for v in ds.ImageOrientationPatient),
        )
        for ds in images
        if "ImagePositionPatient" in ds
    ]

    assert len(slices) > 20
    assert find_gaps(slices) == ()


def test_a_node_that_was_down_has_the_force_time_anew_to_fetch_the_rest():
    """The power was off for an hour: what is here is not taken for the whole at the first look."""
    back_at = after(3600)
    series = arrived(fetching_since=back_at)

    waiting = judge(series, RULES, after(3600 + 30))
    forced = judge(series, RULES, after(3600 + 60))

    assert isinstance(waiting, Waiting)
    assert waiting.look_again_at == after(3600 + 60)
    assert isinstance(forced, Complete)


def test_what_is_being_fetched_is_not_begun_with_early():
    """Half a head without a gap looks complete, and is not."""
    assert looks_complete(arrived(), after(5), pause_s=1)
    assert not looks_complete(arrived(fetching_since=START), after(5), pause_s=1)
