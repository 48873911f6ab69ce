"""Slices become a volume whose geometry is that of the patient."""

import numpy as np
import pytest
from ct_builder import AIR_HU, BLOOD_HU, BRAIN_HU, SKULL_HU, Ball, build_ct_series
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from pipeline.ct_series import read_ct_series
from pipeline.ct_series.geometry import has_gaps
from pipeline.errors import SeriesRejectedError
from pipeline.quality_flags import QualityFlag
from pipeline.rejection import RejectionCode
from pipeline.volume import CtVolume, VoxelGrid

SMALL = (64, 64)
MEDIUM = (128, 128)


def ball_ml(volume: CtVolume) -> float:
    """Return the volume of the voxels of blood, by pixel area and slice extent."""
    area_mm2 = np.prod(volume.grid.pixel_spacing_yx_mm)
    counts = np.count_nonzero(volume.hu_zyx == BLOOD_HU, axis=(1, 2))
    return float(counts @ volume.grid.slice_extents_mm) * area_mm2 / 1000


def ball_center_lps_mm(volume: CtVolume) -> np.ndarray:
    """Return the mean patient coordinates of the voxels of blood."""
    voxels = np.argwhere(volume.hu_zyx == BLOOD_HU)
    return np.mean([volume.grid.to_lps_mm(tuple(voxel)) for voxel in voxels], axis=0)


def rename(series: list[Dataset], number: int = 1) -> None:
    """Make new instances of the same series out of a series."""
    for ds in series:
        ds.SOPInstanceUID = generate_uid(entropy_srcs=[ds.SOPInstanceUID, str(number)])


def refused(series: list[Dataset]) -> RejectionCode:
    """Return why the series is refused."""
    with pytest.raises(SeriesRejectedError) as error:
        read_ct_series(series)
    return error.value.reason.code


def test_slices_are_ordered_by_position_not_by_number():
    """Instance numbers count from superior here, and the instances come shuffled."""
    series = build_ct_series(slices=30, spacing_mm=5, shape_yx=SMALL)
    series = series[1::2] + series[::2]

    volume = read_ct_series(series)

    assert volume.grid.slice_positions_mm == pytest.approx(np.arange(-72.5, 73, 5))
    by_uid = {ds.SOPInstanceUID: float(ds.ImagePositionPatient[2]) for ds in series}
    heights = [by_uid[source.sop_instance_uid] for source in volume.sources]
    assert heights == sorted(heights)


def test_a_plain_series_carries_no_doubt():
    """A regular axial series of 5 mm slices is what the models expect."""
    volume = read_ct_series(build_ct_series(shape_yx=SMALL))

    assert volume.flags == frozenset()
    assert volume.grid.spacing_zyx_mm == pytest.approx((5.0, 230 / 64, 230 / 64))
    assert volume.slice_thickness_mm == (5.0,) * 30
    assert set(np.unique(volume.hu_zyx)) >= {AIR_HU, BRAIN_HU, SKULL_HU}


@pytest.mark.parametrize("tilt_deg", [-25.0, 0.0, 18.0])
def test_a_ball_measures_the_same_whatever_the_tilt(tilt_deg):
    """Steps count along the slice normal; along the table they are 5 % longer at 18 degrees."""
    ball = Ball(radius_mm=20, center_lps_mm=(25, 5, 10))
    series = build_ct_series(
        slices=64, spacing_mm=2.5, shape_yx=MEDIUM, tilt_deg=tilt_deg, balls=[ball]
    )

    volume = read_ct_series(series)

    assert ball_ml(volume) == pytest.approx(ball.volume_ml, rel=0.015)
    assert ball_center_lps_mm(volume) == pytest.approx(ball.center_lps_mm, abs=0.5)
    assert volume.grid.tilt_deg == pytest.approx(abs(tilt_deg), abs=0.01)
    assert (QualityFlag.TILT_CORRECTED in volume.flags) == (tilt_deg != 0)
    assert QualityFlag.OBLIQUE not in volume.flags


def test_a_ball_measures_the_same_in_uneven_slices():
    """2.5 mm at the base, 5 mm above: each slice stands for its own slab."""
    ball = Ball(radius_mm=25, center_lps_mm=(20, 0, 0))
    positions = [*np.arange(-70, 0, 2.5), *np.arange(0, 71, 5.0)]
    series = build_ct_series(positions_mm=positions, shape_yx=MEDIUM, balls=[ball])

    volume = read_ct_series(series)

    assert ball_ml(volume) == pytest.approx(ball.volume_ml, rel=0.015)
    assert QualityFlag.UNEVEN_SPACING in volume.flags
    assert QualityFlag.SLICES_MISSING not in volume.flags


@pytest.mark.parametrize(
    ("patient_position", "row_cosine", "column_cosine"),
    [
        ("HFS", (1, 0, 0), (0, 1, 0)),
        ("HFP", (-1, 0, 0), (0, -1, 0)),
        ("FFS", (-1, 0, 0), (0, 1, 0)),
        ("FFP", (1, 0, 0), (0, -1, 0)),
        ("HFDR", (0, 1, 0), (-1, 0, 0)),
    ],
)
def test_the_ball_is_found_where_it_is_however_the_patient_lies(
    patient_position, row_cosine, column_cosine
):
    """Flipped and turned rows and columns, and normals that point down, change no coordinate."""
    ball = Ball(radius_mm=15, center_lps_mm=(30, -10, 20))
    series = build_ct_series(
        slices=50,
        spacing_mm=3,
        shape_yx=MEDIUM,
        patient_position=patient_position,
        row_cosine=row_cosine,
        column_cosine=column_cosine,
        balls=[ball],
    )

    volume = read_ct_series(series)

    assert ball_center_lps_mm(volume) == pytest.approx(ball.center_lps_mm, abs=0.6)
    assert ball_ml(volume) == pytest.approx(ball.volume_ml, rel=0.02)
    origins = np.asarray(volume.grid.slice_origins_lps_mm)
    assert np.all(np.diff(origins[:, 2]) > 0)


def test_an_oblique_reformat_is_read_and_flagged():
    """Slices along the orbitomeatal line, 20 degrees about the left-right axis, not sheared."""
    angle = np.radians(20)
    ball = Ball(radius_mm=20, center_lps_mm=(25, 5, 10))
    series = build_ct_series(
        slices=64,
        spacing_mm=2.5,
        shape_yx=MEDIUM,
        column_cosine=(0, np.cos(angle), np.sin(angle)),
        balls=[ball],
    )

    volume = read_ct_series(series)

    assert volume.flags == {QualityFlag.OBLIQUE}
    assert volume.grid.tilt_deg == pytest.approx(0, abs=0.01)
    assert ball_center_lps_mm(volume) == pytest.approx(ball.center_lps_mm, abs=0.5)


def test_a_tilt_that_only_the_header_tells_is_flagged_not_applied():
    """Positions are authoritative; the nominal tilt is not for computing (PS3.3, C.8.2.1)."""
    series = build_ct_series(shape_yx=SMALL)
    for ds in series:
        ds.GantryDetectorTilt = "15"

    volume = read_ct_series(series)

    assert volume.flags == {QualityFlag.OBLIQUE}
    assert volume.grid.tilt_deg == 0


def test_coronal_and_sagittal_series_are_refused():
    """A coronal reformat cannot be read as a stack of axial slices."""
    coronal = build_ct_series(shape_yx=SMALL, row_cosine=(1, 0, 0), column_cosine=(0, 0, -1))
    sagittal = build_ct_series(shape_yx=SMALL, row_cosine=(0, 1, 0), column_cosine=(0, 0, -1))

    assert refused(coronal) is RejectionCode.NOT_AXIAL
    assert refused(sagittal) is RejectionCode.NOT_AXIAL


def test_stacks_of_two_tilts_are_not_mixed():
    """Base tilted, top upright, in one series: half of the head must not get lost silently."""
    upright = build_ct_series(slices=15, shape_yx=SMALL)
    tilted = build_ct_series(slices=15, shape_yx=SMALL, tilt_deg=15)
    rename(tilted)

    assert refused(upright + tilted) is RejectionCode.MIXED_ORIENTATION


def test_a_stray_slice_of_another_field_of_view_is_left_out():
    """One zoomed slice (bolus tracking) does not cost the series."""
    series = build_ct_series(shape_yx=SMALL)
    (stray,) = build_ct_series(positions_mm=[1.0], shape_yx=SMALL, field_of_view_mm=150)
    rename([stray])

    volume = read_ct_series([stray, *series])

    assert len(volume.sources) == len(series)
    assert volume.flags == {QualityFlag.NON_CT_DROPPED}


def test_two_matrices_in_one_series_are_refused():
    """Half of the slices on another pixel grid cannot be stacked."""
    one = build_ct_series(slices=15, shape_yx=SMALL)
    other = build_ct_series(slices=15, shape_yx=MEDIUM)
    rename(other)

    assert refused(one + other) is RejectionCode.MIXED_SERIES


def test_of_two_images_at_one_position_the_later_acquisition_counts():
    """A slice is repeated because the first was spoilt by motion."""
    series = build_ct_series(shape_yx=SMALL)
    repeated = build_ct_series(shape_yx=SMALL)[10]
    rename([repeated])
    repeated.AcquisitionNumber = 99

    for order in ([*series, repeated], [repeated, *series]):
        volume = read_ct_series(order)

        uids = [source.sop_instance_uid for source in volume.sources]
        assert repeated.SOPInstanceUID in uids
        assert len(uids) == len(series)
        assert volume.flags == {QualityFlag.DUPLICATE_POSITIONS}


def test_of_two_images_at_one_position_the_plain_one_counts():
    """The models know no contrast agent, so the phase without it is taken."""
    plain = build_ct_series(shape_yx=SMALL)
    enhanced = build_ct_series(shape_yx=SMALL)
    rename(enhanced)
    for ds in enhanced:
        ds.AcquisitionNumber = 100
        ds.ContrastBolusAgent = "IOMERON 400"

    volume = read_ct_series(plain + enhanced)

    assert {s.sop_instance_uid for s in volume.sources} == {ds.SOPInstanceUID for ds in plain}
    assert volume.flags == {QualityFlag.DUPLICATE_POSITIONS}


def test_the_same_instance_twice_is_one_instance():
    """A series sent twice raises no doubt."""
    series = build_ct_series(shape_yx=SMALL)

    assert read_ct_series(series + series).flags == frozenset()


def test_a_series_in_time_is_refused():
    """Three images at each position are a perfusion study."""
    phases = [build_ct_series(shape_yx=SMALL) for _ in range(3)]
    for number, phase in enumerate(phases):
        rename(phase, number)

    assert refused([ds for phase in phases for ds in phase]) is RejectionCode.MIXED_SERIES


@pytest.mark.parametrize("missing", [1, 2])
def test_a_short_gap_is_bridged_and_flagged(missing):
    """Up to two slices of 5 mm may be missing: a step of 15 mm."""
    series = build_ct_series(shape_yx=SMALL)
    del series[12 : 12 + missing]

    volume = read_ct_series(series)

    assert volume.flags == {QualityFlag.SLICES_MISSING, QualityFlag.UNEVEN_SPACING}
    assert volume.grid.slice_extents_mm.sum() == pytest.approx(150)


def test_a_long_gap_is_refused_with_both_numbers():
    """Three slices of 5 mm could hide a hematoma."""
    series = build_ct_series(shape_yx=SMALL)
    del series[12:15]

    with pytest.raises(SeriesRejectedError, match=r"20\.0 mm.*at most 15 mm") as error:
        read_ct_series(series)

    assert error.value.reason.code is RejectionCode.GAP


@pytest.mark.parametrize(
    ("steps_mm", "thickness_mm", "expected"),
    [
        ([4.0] * 6 + [1.1] + [7.0] * 6, [4.0] * 7 + [7.0] * 7, False),  # GE, two regimes
        ([2.5] * 6 + [10.0] * 6, [2.5] * 6 + [10.0] * 7, False),  # thin base, thick top
        ([2.5] * 6 + [10.0] * 6, [], False),  # the same, thickness unknown
        ([5.0, 5.0, 10.0], [], True),
        ([10.0] * 6, [1.0] * 7, False),  # slices apart on purpose
        ([0.75] * 5 + [1.5] + [0.75] * 5, [0.75] * 12, True),
    ],
)
def test_a_change_of_protocol_is_no_gap(steps_mm, thickness_mm, expected):
    """A gap is a step longer than those around it and than the slices are thick."""
    heights = np.concatenate([[0.0], np.cumsum(steps_mm)])
    grid = VoxelGrid(
        shape_zyx=(len(heights), 2, 2),
        pixel_spacing_yx_mm=(1.0, 1.0),
        slice_origins_lps_mm=tuple((0.0, 0.0, float(z)) for z in heights),
    )

    assert has_gaps(grid, thickness_mm) is expected


@pytest.mark.parametrize(
    ("thickness_mm", "flags"),
    [
        (5.0, set()),
        (6.0, {QualityFlag.THICK_SLICES}),
        ([4.0] * 15 + [5.0] * 15, {QualityFlag.MIXED_THICKNESS}),
    ],
)
def test_thickness_is_judged(thickness_mm, flags):
    """More than 5 mm is thick; different thicknesses are told."""
    volume = read_ct_series(build_ct_series(shape_yx=SMALL, thickness_mm=thickness_mm))

    assert volume.flags == flags


def test_without_thickness_the_step_is_judged():
    """7 mm steps are thick slices even where the header is silent."""
    series = build_ct_series(shape_yx=SMALL, slices=20, spacing_mm=7)
    for ds in series:
        ds.SliceThickness = None

    volume = read_ct_series(series)

    assert volume.flags == {QualityFlag.THICK_SLICES}
    assert volume.slice_thickness_mm == ()


@pytest.mark.parametrize(
    ("slices", "spacing_mm", "code"),
    [
        (5, 12.0, RejectionCode.TOO_FEW_SLICES),
        (11, 5.0, RejectionCode.COVERAGE),
        (6, 9.9, RejectionCode.COVERAGE),
        (12, 5.0, None),
        (6, 10.0, None),
    ],
)
def test_a_slab_is_no_head(slices, spacing_mm, code):
    """Six slices and 60 mm are the least; half a head is still read."""
    series = build_ct_series(slices=slices, spacing_mm=spacing_mm, shape_yx=SMALL)

    if code is None:
        assert len(read_ct_series(series).sources) == slices
    else:
        assert refused(series) is code


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("PixelSpacing", None),
        ("PixelSpacing", [0, 0]),
        ("PixelSpacing", [12, 12]),
        ("ImageOrientationPatient", [1, 0, 0, 1, 0, 0]),
        ("ImageOrientationPatient", [0, 0, 0, 0, 0, 0]),
        ("ImageOrientationPatient", [2, 0, 0, 0, 2, 0]),
        ("ImagePositionPatient", None),
        ("Rows", 0),
    ],
)
def test_absurd_geometry_is_refused(keyword, value):
    """A missing or impossible image plane is never guessed."""
    series = build_ct_series(slices=12, shape_yx=SMALL)
    for ds in series:
        setattr(ds, keyword, value)

    expected = {RejectionCode.GEOMETRY_MISSING}
    if value in ([1, 0, 0, 1, 0, 0], [0, 0, 0, 0, 0, 0]):
        expected = {RejectionCode.NOT_AXIAL}  # no normal at all
    assert refused(series) in expected
