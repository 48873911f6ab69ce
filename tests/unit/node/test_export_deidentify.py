"""What leaves the site of a data set: nothing that a patient can be read from."""

import shutil
import subprocess
from copy import deepcopy
from datetime import datetime, timedelta
from io import BytesIO

import numpy as np
import pydicom
import pytest
from ct_builder import build_ct_series, set_pixels
from dicomanonymizer.dicomfields_selector import dicom_anonymization_database_selector
from poison import DAY_MARKER, MARKER, UID_MARKER, count_of_elements, marked, poisoned
from pydicom.datadict import keyword_for_tag
from pydicom.tag import Tag
from result_cases import case_with_hematoma, enhanced

from dicom_node.export import rules
from dicom_node.export.deidentify import Subject, deidentified
from dicom_node.export.key import ExportKey
from dicom_node.export.pixels import copy_image_pixels, copy_segmentation_pixels
from dicom_node.results.check_segmentation import unpack_frames
from pipeline.ct_series import read_ct_series

KEY = ExportKey(secret=bytes(range(32)))
SUBJECT = Subject(key=KEY, pseudonym="P1", shift=timedelta(days=-400, hours=-5))


def image():
    return build_ct_series(slices=3, shape_yx=(32, 32), noise_hu=20.0)


@pytest.fixture(scope="module")
def bleeding():
    """Return a series with a hematoma, and the node's segmentation of it."""
    case = case_with_hematoma()
    return case.series, case.encode().segmentation


def exported(source, subject=SUBJECT):
    """Return the copy as its file is read, and the file."""
    result = deidentified(source, subject)
    copy = copy_segmentation_pixels if source.Modality == "SEG" else copy_image_pixels
    copy(source, result)
    buffer = BytesIO()
    result.save_as(buffer, enforce_file_format=True)
    return pydicom.dcmread(BytesIO(buffer.getvalue())), buffer.getvalue()


@pytest.mark.parametrize("kind", ["image", "enhanced image", "segmentation"])
def test_a_marker_in_every_text_is_nowhere_in_the_export(kind, bleeding):
    """Thousands of elements, private ones, overlays, items, file meta, preamble: none gets out."""
    source = {
        "image": lambda: image()[0],
        "enhanced image": lambda: enhanced(image()),
        "segmentation": lambda: bleeding[1],
    }[kind]()
    bad = poisoned(source)
    assert count_of_elements(bad) > 3000
    assert marked(bad)

    result, content = exported(pydicom.dcmread(BytesIO(bad)))

    assert marked(content) == []
    assert result.Rows == source.Rows
    pixels = unpack_frames if kind == "segmentation" else lambda one: one.pixel_array
    assert np.array_equal(pixels(result), pixels(source))


def test_the_marker_is_found_where_it_is_left():
    """The search itself works: in any case, as UTF-16, as UID and as date."""
    for text in (MARKER, MARKER.lower(), UID_MARKER + ".5", DAY_MARKER):
        assert marked(b"..." + text.encode() + b"...")
    assert marked(MARKER.encode("utf-16-le"))
    assert marked(b"ZQPOIS") == ["zqpois"]
    assert marked(b"nothing") == []


def test_nothing_of_table_e_1_1_stays_as_it_was():
    """Attributes that PS3.15 wants removed, emptied or replaced are so, in a full data set.

    The table is that of the library dicom-anonymizer, made from the standard's own pages.
    """
    table = dicom_anonymization_database_selector("dicomfields_2026c")
    named = {
        keyword_for_tag(Tag(*tag)) for tags in table.values() for tag in tags if len(tag) == 2
    }
    kept = rules.NUMBERS | set(rules.TERMS)

    assert len(named) > 500
    assert not kept & named
    # What the table names and an export holds is replaced, moved, or fixed words of its own.
    replaced = rules.UIDS | rules.MOMENTS | {one for pair in rules.DATES_AND_TIMES for one in pair}
    gone_through = {"SourceImageSequence"}  # U: its UIDs are replaced
    for keyword in (rules.SEQUENCES | rules.CODE_SEQUENCES) & named:
        assert keyword in gone_through
    source = pydicom.dcmread(BytesIO(poisoned(image()[0])))
    result, _ = exported(source)
    for keyword in set(result.dir()) & named & replaced:
        value = str(result[keyword].value)
        assert not value or value not in str(source.get_item(keyword).value), keyword


def test_uids_are_replaced_alike_everywhere(bleeding):
    """A segmentation refers to the images' new UIDs; the standard's own UIDs stay."""
    series, segmentation = bleeding
    images = [exported(one)[0] for one in series]
    mask, _ = exported(segmentation)

    assert mask.SOPClassUID == "1.2.840.10008.5.1.4.1.1.66.4"
    assert {one.SOPClassUID for one in images} == {"1.2.840.10008.5.1.4.1.1.2"}
    assert mask.ReferencedSeriesSequence[0].SeriesInstanceUID == images[0].SeriesInstanceUID
    assert mask.FrameOfReferenceUID == images[0].FrameOfReferenceUID
    referenced = {
        group.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        for group in mask.PerFrameFunctionalGroupsSequence
    }
    assert referenced <= {one.SOPInstanceUID for one in images}
    assert images[0].SeriesInstanceUID != series[0].SeriesInstanceUID
    assert all(pydicom.uid.UID(one.SOPInstanceUID).is_valid for one in images)


def test_the_exported_scan_is_the_same_volume():
    """Grid and Hounsfield units are those that the node has seen."""
    source = build_ct_series(slices=14, shape_yx=(64, 64), noise_hu=20.0, tilt_deg=12.0)

    before = read_ct_series(source)
    after = read_ct_series([exported(one)[0] for one in source])

    assert np.array_equal(before.hu_zyx, after.hu_zyx)
    assert after.grid.slice_origins_lps_mm == before.grid.slice_origins_lps_mm
    assert after.grid.pixel_spacing_yx_mm == before.grid.pixel_spacing_yx_mm


def test_signed_pixels_stay_what_they_are():
    """Values below zero survive, and unused high bits do not."""
    source = image()[0]
    values = np.arange(-512, 512, dtype=float).reshape(32, 32)
    set_pixels(source, values, signed=True)
    hidden = deepcopy(image()[0])
    hidden.PixelData = (
        np.frombuffer(hidden.PixelData, "<u2") | 0x8000  # an overlay in bit 15 of 12-bit data
    ).tobytes()

    kept, _ = exported(source)
    cleaned, _ = exported(hidden)

    assert np.array_equal(np.frombuffer(kept.PixelData, "<i2").reshape(32, 32), values)
    assert np.frombuffer(cleaned.PixelData, "<u2").max() < 4096


def test_all_times_of_a_patient_move_by_the_same_interval():
    """Intervals between scans stay; the hours of the day do not tell the day."""
    source = image()[0]
    source.AcquisitionDateTime = "20260105083000.250000"
    later = deepcopy(source)
    later.AcquisitionDateTime = "20260106103000"
    later.AcquisitionDate, later.AcquisitionTime = "20260106", "103000"

    first, second = exported(source)[0], exported(later)[0]

    assert first.AcquisitionDateTime == "20241201033000.250000"
    assert (first.StudyDate, first.StudyTime) == ("20241201", "033000.000000")
    ends = [
        datetime.strptime(f"{one.AcquisitionDate}{one.AcquisitionTime}Z", "%Y%m%d%H%M%S.%f%z")
        for one in (first, second)
    ]
    assert ends[1] - ends[0] == timedelta(hours=26)
    assert second.LongitudinalTemporalInformationModified == "MODIFIED"


def test_zones_are_reckoned_with_where_all_scans_state_one():
    """10:00 at +0200 is 08:00 at +0000, whether the value or the object states the zone."""
    by_value, by_object = image()[0], image()[0]
    by_value.AcquisitionDateTime = "20260105100000+0200"
    by_object.AcquisitionDateTime = "20260105100000"
    by_object.AcquisitionDate, by_object.AcquisitionTime = "20260105", "100000"
    by_object.TimezoneOffsetFromUTC = "+0200"
    subject = Subject(key=KEY, pseudonym="P1", shift=timedelta(), with_zones=True)

    assert exported(by_value, subject)[0].AcquisitionDateTime == "20260105080000.000000"
    result, _ = exported(by_object, subject)

    assert result.AcquisitionDateTime == "20260105080000.000000"
    assert result.AcquisitionTime == "080000.000000"
    assert "TimezoneOffsetFromUTC" not in result


@pytest.mark.parametrize(
    ("age", "told"), [("045Y", "045Y"), ("091Y", "090Y"), ("90", None), ("SMITH", None)]
)
def test_age_is_told_up_to_ninety(age, told):
    """Older patients are few enough to be known by their age."""
    source = image()[0]
    source["PatientAge"] = pydicom.DataElement(
        Tag("PatientAge"), "AS", age, validation_mode=pydicom.config.IGNORE
    )

    assert exported(source)[0].get("PatientAge") == told


def test_age_and_sex_can_be_left_out():
    """Then the option of PS3.15 that keeps them is not stated either."""
    subject = Subject(
        key=KEY, pseudonym="P1", shift=timedelta(days=-1), with_characteristics=False
    )

    result, _ = exported(image()[0], subject)

    assert result.PatientSex == ""
    assert "PatientAge" not in result
    assert [one.CodeValue for one in result.DeidentificationMethodCodeSequence] == [
        "113100",
        "113107",
    ]
    assert result.PatientIdentityRemoved == "YES"


@pytest.mark.parametrize(
    ("kernel", "told"),
    [
        ("H30s", "H30S"),
        (["Hr38h", "3"], "HR38H"),
        ("STANDARD", "STANDARD"),
        ("FC26", "FC26"),
        ("DR SMITH", None),
        ("for J. Doe", None),
    ],
)
def test_a_kernel_is_named_if_it_is_one(kernel, told):
    """Names of Siemens, GE and Canon are known; a technician's note is none."""
    source = image()[0]
    source.ConvolutionKernel = kernel

    assert exported(source)[0].get("ConvolutionKernel") == told


def test_that_there_was_contrast_is_told_but_not_in_whose_words():
    """Whether an agent was given matters to a model; the text may say anything."""
    source = image()[0]
    source.ContrastBolusAgent = "Ultravist, Dr. Smith"

    assert exported(source)[0].ContrastBolusAgent == "CONTRAST AGENT"
    assert "ContrastBolusAgent" not in exported(image()[0])[0]


@pytest.mark.data
@pytest.mark.parametrize(
    ("folder", "maker", "kernel"),
    [
        ("dcm_qa_ct/GE", "GE MEDICAL SYSTEMS", "STD+"),
        ("dcm_qa_ct/Philips_S21610", "Philips", "UB"),
        ("real-head-ct/052", "SIEMENS", "H31S"),  # JPEG-LS
    ],
)
def test_scans_of_real_scanners_stay_the_same_volume(data_dir, folder, maker, kernel, tmp_path):
    """Voxels and places as before, maker and kernel named, an image as the standard wants it."""
    files = sorted(path for path in (data_dir / folder).rglob("*") if path.is_file())
    found = [pydicom.dcmread(path) for path in files]
    first = next(one for one in found if "AXIAL" in one.get("ImageType", ""))
    source = [one for one in found if one.get("SeriesInstanceUID") == first.SeriesInstanceUID]

    copies = [exported(one) for one in source]

    before, after = read_ct_series(source), read_ct_series([one for one, _ in copies])
    assert np.array_equal(before.hu_zyx, after.hu_zyx)
    assert after.grid.slice_origins_lps_mm == before.grid.slice_origins_lps_mm
    image, content = copies[0]
    assert (image.Manufacturer, image.ConvolutionKernel) == (maker, kernel)
    assert not [one for one in image if one.tag.is_private]
    assert str(first.StudyInstanceUID).encode() not in content
    assert errors_of(content, tmp_path) == []


def test_enhanced_images_do_not_name_their_scanner():
    """They must say something; what they say is the same of every scanner."""
    result, _ = exported(enhanced(image()))

    assert (result.ManufacturerModelName, result.DeviceSerialNumber) == ("UNKNOWN", "0")


def errors_of(content, folder):
    """Return what dciodvfy finds wrong in a file."""
    program = shutil.which("dciodvfy")
    if program is None:
        pytest.skip("dciodvfy is missing: install the Debian package dicom3tools")
    path = folder / "object.dcm"
    path.write_bytes(content)
    said = subprocess.run(
        [program, "-new", str(path)], capture_output=True, text=True, check=False
    )
    return [line for line in said.stderr.splitlines() if line.startswith("Error")]


def test_dciodvfy_finds_no_error_in_an_exported_object(tmp_path, bleeding):
    """Images and segmentation still are what their SOP classes ask for."""
    for source in (bleeding[0][0], bleeding[1]):
        assert errors_of(exported(source)[1], tmp_path) == []
