"""What else lies in a series is left out; what is no head CT is refused."""

import logging

import pytest
from ct_builder import POISON_BIRTH_DATE, POISON_ID, build_ct_series
from pydicom.dataset import Dataset
from pydicom.uid import (
    CTImageStorage,
    EnhancedCTImageStorage,
    MRImageStorage,
    SecondaryCaptureImageStorage,
    generate_uid,
)

from pipeline.ct_series import read_ct_series
from pipeline.errors import SeriesRejectedError
from pipeline.quality_flags import QualityFlag
from pipeline.rejection import RejectionCode

SMALL = (64, 64)


def head(**options) -> list[Dataset]:
    return build_ct_series(shape_yx=SMALL, **options)


def changed(ds: Dataset, **values) -> Dataset:
    """Return another instance of the series with other values; None deletes."""
    other = build_ct_series(slices=1, shape_yx=SMALL)[0]
    other.SeriesInstanceUID, other.StudyInstanceUID = ds.SeriesInstanceUID, ds.StudyInstanceUID
    other.SOPInstanceUID = generate_uid(entropy_srcs=[str(sorted(values)), str(values)])
    for keyword, value in values.items():
        if value is None:
            delattr(other, keyword)
        else:
            setattr(other, keyword, value)
    return other


SIDE_VIEW = [0, 1, 0, 0, 0, -1]
LOCALIZER = {
    "ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"],
    "ImageOrientationPatient": SIDE_VIEW,
}
DOSE_CAPTURE = {
    "SOPClassUID": SecondaryCaptureImageStorage,
    "ImageType": ["DERIVED", "SECONDARY", "DOSE_INFO"],
    "ImageOrientationPatient": None,
    "ImagePositionPatient": None,
    "RescaleSlope": None,
}


@pytest.mark.parametrize(
    "values",
    [
        LOCALIZER,
        {"ImageOrientationPatient": SIDE_VIEW},
        {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]},
        DOSE_CAPTURE,
        {"ImageType": ["DERIVED", "SECONDARY", "OTHER", "PROT"], "ImagePositionPatient": None},
        {"ImageOrientationPatient": None, "ImagePositionPatient": None},
        {"ImageType": ["DERIVED", "SECONDARY", "MIP"]},
        {"SOPClassUID": MRImageStorage, "Modality": "MR"},
        {"PixelData": None},
    ],
)
def test_what_is_no_slice_is_left_out_and_flagged(values):
    """The slices make the same volume with and without the odd object."""
    series = head()

    volume = read_ct_series([changed(series[0], **values), *series])

    assert volume.flags == {QualityFlag.NON_CT_DROPPED}
    assert [s.sop_instance_uid for s in volume.sources] == [
        ds.SOPInstanceUID for ds in reversed(series)
    ]


def test_a_media_directory_beside_the_images_is_ignored():
    """A folder copied from a CD holds a DICOMDIR; it belongs to no series."""
    directory = Dataset()
    directory.FileSetID = "CD"

    assert read_ct_series([directory, *head()]).flags == frozenset()


@pytest.mark.parametrize(
    ("values", "code"),
    [
        (LOCALIZER, RejectionCode.NOT_ORIGINAL),
        (DOSE_CAPTURE, RejectionCode.NOT_ORIGINAL),
        ({"ImageType": ["DERIVED", "PRIMARY", "PERFUSION", "RCBF"]}, RejectionCode.NOT_ORIGINAL),
        ({"SOPClassUID": MRImageStorage, "Modality": "MR"}, RejectionCode.NOT_CT),
        ({"SOPClassUID": CTImageStorage, "Modality": "PT"}, RejectionCode.NOT_CT),
        ({"ImageOrientationPatient": SIDE_VIEW}, RejectionCode.NOT_AXIAL),
        ({"ImagePositionPatient": None}, RejectionCode.GEOMETRY_MISSING),
        ({"PixelData": None}, RejectionCode.NO_IMAGES),
    ],
)
def test_a_series_without_axial_slices_is_refused(values, code):
    """The reason counts what the series holds instead."""
    ds = changed(head(slices=1)[0], **values)

    with pytest.raises(SeriesRejectedError, match=r"found 1 .*; needed axial CT images") as error:
        read_ct_series([ds])

    assert error.value.reason.code is code


def test_nothing_is_refused_as_nothing():
    """An empty series is a finding about the series, not a crash."""
    with pytest.raises(SeriesRejectedError) as error:
        read_ct_series([])

    assert error.value.reason.code is RejectionCode.NO_IMAGES


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("PatientID", "OTHER-ID"),
        ("StudyInstanceUID", "1.2.3"),
        ("SeriesInstanceUID", "1.2.4"),
        ("FrameOfReferenceUID", "1.2.5"),
    ],
)
def test_two_of_anything_that_must_be_one_are_refused(keyword, value):
    """One foreign slice could put another patient's blood into the report."""
    series = head()
    setattr(series[11], keyword, value)

    with pytest.raises(SeriesRejectedError) as error:
        read_ct_series(series)

    assert error.value.reason.code is RejectionCode.MIXED_SERIES
    assert error.value.reason.found.split()[0] in {"2", "objects"}


@pytest.mark.parametrize(
    "part",
    [
        "HEAD",
        "",
        "BRAIN",
        "SKULL",
        "HEADNECK",
        "HEAD NECK",
        "FACE",
        "KOPF",
        "TRAUMA",
        "NEURO SPINE",
    ],
)
def test_a_head_by_any_name_is_read(part):
    """Sites write what they like; only another part of the body is a reason."""
    assert read_ct_series(head(body_part=part)).flags == frozenset()


@pytest.mark.parametrize(
    ("part", "found"),
    [
        ("CHEST", "CHEST"),
        ("ABDOMEN", "ABDOMEN"),
        ("ABDOMENPELVIS", "ABDOMEN"),
        ("ANKLE", "ANKLE"),
        ("CSPINE", "CSPINE"),
        ("NECK", "NECK"),
        ("LOW EXTREMITY", "EXTREMITY"),
    ],
)
def test_another_part_of_the_body_is_refused_by_name(part, found):
    """The reason repeats the word of the standard, never the site's text."""
    with pytest.raises(SeriesRejectedError) as error:
        read_ct_series(head(body_part=part))

    assert error.value.reason.code is RejectionCode.NOT_A_HEAD
    assert error.value.reason.found == f"body part {found}"


@pytest.mark.parametrize("agent", ["OMNIPAQUE 350", "IV Contrast"])
def test_a_contrast_agent_in_the_header_is_flagged(agent):
    """The models saw no contrast agent."""
    series = head()
    for ds in series:
        ds.ContrastBolusAgent = agent

    assert read_ct_series(series).flags == {QualityFlag.CONTRAST_SUSPECTED}


@pytest.mark.parametrize("agent", ["", "NONE", "No"])
def test_no_contrast_agent_in_words_is_none(agent):
    """Technicians write NONE into the field."""
    series = head()
    for ds in series:
        ds.ContrastBolusAgent = agent

    assert read_ct_series(series).flags == frozenset()


def test_an_enhanced_image_without_frames_is_refused():
    """The number of frames and their functional groups must agree."""
    series = head(slices=1)
    series[0].SOPClassUID = EnhancedCTImageStorage
    series[0].NumberOfFrames = 3

    with pytest.raises(SeriesRejectedError, match="3 frames with 0 per-frame") as error:
        read_ct_series(series)

    assert error.value.reason.code is RejectionCode.GEOMETRY_MISSING


def broken_series() -> list[list[Dataset]]:
    """Return series that are refused at every step of the reader."""
    no_rescale, no_pixels, mixed, far = head(), head(), head(), head(spacing_mm=20)
    del no_rescale[4].RescaleSlope
    no_pixels[4]["PixelData"].value = b"\0\0"
    mixed[4].PatientID = "POISON-ID-0815"
    return [no_rescale, no_pixels, mixed, far, head(slices=3), head(body_part="ANKLE POISON")]


def test_no_reason_and_no_log_line_names_the_patient(caplog):
    """Reasons end in ledgers, web pages and reports of any reader."""
    caplog.set_level(logging.DEBUG)

    for series in broken_series():
        with pytest.raises(SeriesRejectedError) as error:
            read_ct_series(series)
        written = f"{error.value} {error.value.reason!r} {error.value.__cause__!r}"
        for poison in ("POISON", POISON_ID, POISON_BIRTH_DATE):
            assert poison not in written

    assert "POISON" not in caplog.text
