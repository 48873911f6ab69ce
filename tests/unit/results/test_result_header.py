"""All objects of a set say the same of patient, equipment and time."""

from datetime import UTC, datetime

import pytest
from result_cases import case_with_hematoma

from dicom_node.results import codes


@pytest.fixture(scope="module")
def results():
    return case_with_hematoma().encode()


@pytest.mark.parametrize(
    ("offset", "date", "time"),
    [
        (None, "20260105", "233000"),
        ("+0800", "20260106", "073000"),
        ("-0330", "20260105", "200000"),
        ("nonsense", "20260105", "233000"),
    ],
)
def test_times_are_those_of_the_study_s_zone(offset, date, time):
    """23:30 UTC is 07:30 next day in +08:00; without a zone the time stays as given."""
    case = case_with_hematoma()
    for ds in case.series:
        if offset:
            ds.TimezoneOffsetFromUTC = offset

    results = case.encode(now=datetime(2026, 1, 5, 23, 30, tzinfo=UTC))

    for result in results.in_send_order:
        assert (result.ContentDate, result.ContentTime) == (date, time)
        assert (result.SeriesDate, result.SeriesTime) == (date, time)
        assert (result.InstanceCreationDate, result.InstanceCreationTime) == (date, time)
        assert result.get("TimezoneOffsetFromUTC") == offset


def test_every_object_names_scanner_node_and_models(results):
    """IHE AIR: every algorithm is contributing equipment, with version and Device UID."""
    for result in results.in_send_order:
        scanner, *ours = result.ContributingEquipmentSequence

        assert scanner.ManufacturerModelName == "Ellipsoid"
        assert scanner.PurposeOfReferenceCodeSequence[0].CodeValue == "109101"
        assert [item.ManufacturerModelName for item in ours] == ["ichnode", "ich-seg", "he-vit"]
        assert {item.PurposeOfReferenceCodeSequence[0].CodeValue for item in ours} == {"109102"}
        assert len({item.DeviceUID for item in ours}) == 3


def test_every_object_identifies_the_private_scheme(results):
    """A reader who does not know 99HENODE learns whose it is."""
    for result in results.in_send_order:
        (scheme,) = result.CodingSchemeIdentificationSequence

        assert scheme.CodingSchemeDesignator == "99HENODE"
        assert scheme.CodingSchemeUID == codes.PRIVATE_SCHEME_UID


def test_series_are_numbered_after_the_images(results):
    """Report 900, segmentation 901, captures 907, each marked as research."""
    assert [(r.SeriesNumber, r.Modality) for r in results.in_send_order] == [
        *[(907, "OT")] * 3,
        (901, "SEG"),
        (900, "SR"),
    ]
    for result in results.in_send_order:
        assert result.SeriesDescription.endswith("[RESEARCH]")
        assert len(result.SeriesDescription) <= 64


def test_a_scanner_without_a_name_is_no_obstacle():
    """Manufacturer is type 2 in CT and may be empty."""
    case = case_with_hematoma()
    for ds in case.series:
        ds.Manufacturer = ""
        del ds.ManufacturerModelName

    report = case.encode().report

    assert report.ContributingEquipmentSequence[0].Manufacturer == "UNKNOWN"
