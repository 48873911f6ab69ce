"""When a series was acquired."""

from datetime import UTC, datetime, timedelta

import pytest
from pydicom.dataset import Dataset

from dicom_node.results.scan_time import ScanTime, elapsed_between, scan_time


def image(**attributes):
    header = Dataset()
    for keyword, value in attributes.items():
        setattr(header, keyword, value)
    return header


def test_the_earliest_image_counts():
    """A series begins with its first image, wherever it stands in the list."""
    first = image(AcquisitionDate="20260105", AcquisitionTime="235958.5")
    second = image(AcquisitionDate="20260106", AcquisitionTime="000003")

    found = scan_time([second, first])

    assert found == ScanTime(moment=datetime.fromisoformat("2026-01-05T23:59:58.5"))
    assert not found.has_zone


def test_acquisition_datetime_is_believed_first():
    """PS3.3, C.7.6.1: it is the more exact of the two; its own zone counts before the object's."""
    header = image(
        AcquisitionDateTime="20260105101112.5+0800",
        TimezoneOffsetFromUTC="+0100",
        AcquisitionDate="20250101",
        AcquisitionTime="000000",
    )

    found = scan_time([header])

    assert found.has_zone
    assert found.moment.astimezone(UTC) == datetime(2026, 1, 5, 2, 11, 12, 500000, tzinfo=UTC)


def test_the_zone_of_the_object_holds_for_date_and_time():
    """PS3.3, C.12.1: the offset is that of all times of the object without one."""
    header = image(ContentDate="20260105", ContentTime="0930", TimezoneOffsetFromUTC="-0500")

    found = scan_time([header])

    assert found.moment.astimezone(UTC) == datetime(2026, 1, 5, 14, 30, tzinfo=UTC)


def test_frames_have_times_of_their_own():
    """An enhanced image says in each frame when it was acquired (PS3.3, C.7.6.16.2.2)."""
    header, early, late = Dataset(), Dataset(), Dataset()
    for frame, time in ((late, "20260105101500"), (early, "20260105101400")):
        frame.FrameContentSequence = [image(FrameAcquisitionDateTime=time)]
    header.PerFrameFunctionalGroupsSequence = [late, early]

    assert scan_time([header]).moment == datetime.fromisoformat("2026-01-05T10:14")


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"AcquisitionDate": "20260105"},
        {"AcquisitionDateTime": "20260105"},
        {"SeriesDate": "", "SeriesTime": ""},
        {"StudyDate": "20260105", "StudyTime": "1000"},
    ],
)
def test_without_a_time_of_day_there_is_no_time(attributes):
    """A date alone cannot order two scans of one day; a study's time is not a scan's."""
    assert scan_time([image(**attributes)]) is None


def test_an_absurd_value_is_passed_over():
    """The next best attribute is read instead."""
    header = Dataset()
    for keyword, value in (
        ("AcquisitionDate", "20261399"),
        ("AcquisitionTime", "100000"),
        ("SeriesDate", "20260105"),
        ("SeriesTime", "1000"),
    ):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("pydicom.config.settings.reading_validation_mode", 0)
            header.add_new(keyword, "LO", value)

    assert scan_time([header]).moment == datetime.fromisoformat("2026-01-05T10:00")


def test_a_missing_zone_is_taken_to_be_the_other_scans():
    """10:00+08:00 and 12:30 without a zone are 2.5 h apart in one hospital."""
    zoned = ScanTime(moment=datetime.fromisoformat("2026-01-05T10:00+08:00"))
    naive = ScanTime(moment=datetime.fromisoformat("2026-01-05T12:30"))

    assert elapsed_between(zoned, naive).time == timedelta(hours=2.5)
    assert elapsed_between(zoned, naive).is_zone_assumed
    assert elapsed_between(naive, naive).is_zone_assumed


def test_zones_are_reckoned_with():
    """10:00+08:00 is 02:00 UTC, six hours before 09:00+01:00."""
    first, second = (
        ScanTime(moment=datetime.fromisoformat(text))
        for text in ("2026-01-05T10:00+08:00", "2026-01-05T09:00+01:00")
    )

    found = elapsed_between(first, second)

    assert found.time == timedelta(hours=6)
    assert not found.is_zone_assumed
