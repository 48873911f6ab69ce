"""Whatever the source leaves out or spells oddly, results inherit what can be inherited."""

from dataclasses import replace
from io import BytesIO

import pydicom
import pytest
from ct_builder import build_ct_series
from pydicom.dataset import Dataset
from result_cases import SMALL

from dicom_node.results.errors import ResultSourceError
from dicom_node.results.patient_study import patient_and_study
from dicom_node.results.source import source_series
from pipeline.ct_series import read_ct_series
from pipeline.errors import SeriesRejectedError
from pipeline.rejection import RejectionCode
from pipeline.volume import CtVolume


@pytest.fixture
def series():
    return build_ct_series(shape_yx=SMALL)


def test_pixels_are_not_needed(series):
    """A source read without its pixels serves as well."""
    volume = read_ct_series(series)
    for ds in series:
        del ds.PixelData

    assert len(source_series(series, volume).images) == 30


def test_images_stand_in_slice_order(series):
    """Slice 0 is the most inferior image, the last of the series as it was built."""
    made = source_series(series, read_ct_series(series))

    assert [i.sop_instance_uid for i in made.images] == [
        ds.SOPInstanceUID for ds in reversed(series)
    ]


def test_no_frame_of_reference_is_a_rejection(series):
    """Without Frame of Reference UID a mask lies nowhere; the reason names it."""
    volume = read_ct_series(series)
    for ds in series:
        del ds.FrameOfReferenceUID

    with pytest.raises(SeriesRejectedError, match="Frame of Reference UID") as caught:
        source_series(series, volume)

    assert caught.value.reason.code is RejectionCode.GEOMETRY_MISSING


def test_a_missing_image_is_an_error(series):
    """Results may not refer to what was not given."""
    volume = read_ct_series(series)

    with pytest.raises(ResultSourceError, match="1 images"):
        source_series(series[1:], volume)


def test_a_volume_without_sources_is_an_error(series):
    """A volume that never was DICOM has nothing to refer to."""
    volume = read_ct_series(series)
    bare = CtVolume(hu_zyx=volume.hu_zyx, grid=volume.grid)

    with pytest.raises(ResultSourceError, match="no source"):
        source_series(series, bare)


def test_two_series_are_an_error(series):
    """One result belongs to one series."""
    volume = read_ct_series(series)
    series[3].SeriesInstanceUID = "1.2.3"

    with pytest.raises(ResultSourceError, match="several series"):
        source_series(series, volume)


def test_absent_type_2_attributes_are_written_empty():
    """Type 2: the attribute must be there, its value may be unknown (PS3.5, 7.4.3)."""
    copied = patient_and_study(Dataset())

    assert copied.StudyID == ""
    assert copied.AccessionNumber == ""
    assert "IssuerOfPatientID" not in copied


def test_identity_is_copied_as_it_stands():
    """Issuer, time zone and overlong texts stay what they are."""
    header = Dataset()
    header.PatientID = "4711"
    header.IssuerOfPatientID = "HOSPITAL"
    header.TimezoneOffsetFromUTC = "+0800"
    header.StudyDescription = "HEAD"
    header.AccessionNumber = "A1"

    copied = patient_and_study(header)

    for keyword in header.dir():
        assert copied[keyword].value == header[keyword].value


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("PatientSex", "U"),
        ("PatientBirthDate", "unknown"),
        ("StudyDate", "2026/01/05"),
        ("StudyTime", "half past"),
    ],
)
@pytest.mark.filterwarnings("ignore:Invalid value")
def test_values_that_nobody_could_read_become_empty(keyword, value):
    """A wrong date or sex is no reason to lose a result."""
    header = Dataset()
    setattr(header, keyword, value)

    assert patient_and_study(header).get(keyword) == ""


def test_an_incomplete_further_number_of_the_patient_costs_no_result():
    """PS3.3, table C.7-1: an item needs a number and its type; found by poisoned data sets."""
    whole, number_alone = Dataset(), Dataset()
    whole.PatientID, whole.TypeOfPatientID = "4711", "TEXT"
    number_alone.PatientID = "0815"
    header = Dataset()
    header.OtherPatientIDsSequence = [number_alone, whole, Dataset()]
    hopeless = Dataset()
    hopeless.OtherPatientIDsSequence = [number_alone]

    (kept,) = patient_and_study(header).OtherPatientIDsSequence
    assert kept.PatientID == "4711"
    assert "OtherPatientIDsSequence" not in patient_and_study(hopeless)


@pytest.mark.parametrize("charset", ["GB18030", "GBK", "ISO_IR 192"])
def test_chinese_names_survive_any_character_set(charset):
    """All component groups read the same after the way through UTF-8."""
    name = "Zhang^XiaoDong=张^小东"
    header = Dataset()
    header.SpecificCharacterSet = charset
    header.PatientName = name
    header.StudyDescription = "头部平扫"
    stored = BytesIO()
    pydicom.dcmwrite(stored, header, implicit_vr=False, little_endian=True)
    read = pydicom.dcmread(BytesIO(stored.getvalue()), force=True)

    copied = patient_and_study(read)
    copied.SpecificCharacterSet = "ISO_IR 192"
    again = BytesIO()
    pydicom.dcmwrite(again, copied, implicit_vr=False, little_endian=True)

    result = pydicom.dcmread(BytesIO(again.getvalue()), force=True)
    assert str(result.PatientName) == name
    assert result.StudyDescription == header.StudyDescription
    assert "张^小东".encode() in again.getvalue()


@pytest.mark.parametrize(
    ("keyword", "value", "expected"),
    [(None, None, "00"), ("LossyImageCompression", "01", "01")],
)
def test_loss_is_inherited(series, keyword, value, expected):
    """Once lossy, always lossy (PS3.3, C.7.6.1.1.5)."""
    if keyword:
        for ds in series:
            setattr(ds, keyword, value)
            ds.LossyImageCompressionRatio = "12.5"
            ds.LossyImageCompressionMethod = "ISO_10918_1"

    flags = source_series(series, read_ct_series(series)).lossy_flags()

    assert flags.LossyImageCompression == expected
    assert ("LossyImageCompressionRatio" in flags) == (expected == "01")


def test_a_slice_without_thickness_stands_for_its_step(series):
    """Slice Thickness may be empty (type 2); the step, 5 mm, then tells the slab."""
    volume = read_ct_series(series)
    for ds in series:
        ds.SliceThickness = None
    bare = replace(volume, slice_thickness_mm=())

    plane = source_series(series, bare).slice_geometry(3)

    assert float(plane.SliceThickness) == pytest.approx(5.0)


def test_what_goes_to_the_library_is_nobody(series):
    """The library that builds objects logs names; it is given none."""
    header = source_series(series, read_ct_series(series)).slice_header(0)

    assert "POISON" not in str(header)


@pytest.mark.parametrize("empty", [None, ""])
def test_a_removed_identity_states_how(empty):
    """PS3.3, C.7.1.1: with Patient Identity Removed a method must be named."""
    header = Dataset()
    header.PatientIdentityRemoved = "YES"
    header.DeidentificationMethod = empty

    assert patient_and_study(header).DeidentificationMethod == "Not stated by the source"
