"""What is read of a received instance."""

from dataclasses import replace

import pytest
from ct_builder import POISON_ID, POISON_NAME
from node_builders import SALT, encoded, received, request_of, small_series

from dicom_node.errors import InstanceMismatchError, UnreadableInstanceError
from dicom_node.intake.instance import accession_key, receive


def test_geometry_and_series_attributes_come_from_the_header():
    """The values are those the series was built with: 5 mm, head, soft kernel, number 1."""
    instance = received(small_series(3)[0])

    assert instance.slice_attributes.instance_number == 1
    assert instance.slice_attributes.orientation == (1, 0, 0, 0, 1, 0)
    assert instance.slice_attributes.position_lps_mm[2] == 5
    assert instance.slice_attributes.frames == 1
    assert instance.series_attributes.modality == "CT"
    assert instance.series_attributes.body_part == "HEAD"
    assert instance.series_attributes.kernel == "H31s"
    assert instance.series_attributes.image_type == "ORIGINAL\\PRIMARY\\AXIAL"
    assert instance.series_attributes.slice_thickness_mm == 5


def test_an_announced_instance_that_is_another_is_a_mismatch():
    """PS3.4, table B.2-1: A9xx when the data set is not what the command said."""
    request = request_of(small_series(1)[0])

    for wrong in ({"sop_instance_uid": "1.2.3"}, {"sop_class_uid": "1.2.840.10008.5.1.4.1.1.4"}):
        with pytest.raises(InstanceMismatchError):
            receive(replace(request, **wrong), patient_salt=SALT)


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"])
@pytest.mark.parametrize("value", [None, "", "no-uid", "1." * 33 + "1"])
def test_an_instance_without_identity_is_unreadable(keyword, value):
    """Without its UIDs an image belongs nowhere."""
    ds = small_series(1)[0]
    request = request_of(ds)
    if value is None:
        del ds[keyword]
    else:
        ds.add_new(keyword, "LT", value)  # UI would not take it

    with pytest.raises(UnreadableInstanceError):
        receive(replace(request, data_set=encoded(ds)), patient_salt=SALT)


def test_patients_are_told_apart_but_not_named():
    """The key differs by patient and by issuer, and holds nothing of either."""
    first, same, other, elsewhere = small_series(4)
    other.PatientID = "ANOTHER"
    elsewhere.IssuerOfPatientID = "ANOTHER HOSPITAL"

    keys = [received(ds).patient_key for ds in (first, same, other, elsewhere)]

    assert keys[0] == keys[1]
    assert len(set(keys)) == 3
    assert POISON_ID not in str(keys)


def test_an_accession_number_has_a_key_and_is_not_kept():
    """As it is typed, without the blank that makes its length even; another salt, another key."""
    number, none = small_series(2)
    number.AccessionNumber, none.AccessionNumber = "POISON7", ""
    keys = [received(ds).accession_key for ds in (number, none)]

    assert keys == [accession_key(" POISON7 ", patient_salt=SALT), ""]
    assert keys[0] != accession_key("POISON7", patient_salt=b"another")
    assert accession_key("", patient_salt=SALT) == ""
    assert "POISON7" not in repr(replace(received(number), request=None))


def test_numbers_that_are_none_are_absent():
    """A scanner that writes words for numbers does not lose its images."""
    ds = small_series(1)[0]
    ds.add_new("InstanceNumber", "LO", "first")
    ds.add_new("ImagePositionPatient", "LO", "0\\0")
    ds.add_new("SliceThickness", "LO", "nan")

    instance = received(ds)

    assert instance.slice_attributes.instance_number is None
    assert instance.slice_attributes.position_lps_mm is None
    assert instance.series_attributes.slice_thickness_mm is None


def test_messages_name_no_patient():
    """The reason of a refusal goes to log and ledger."""
    ds = small_series(1)[0]
    ds.add_new("SeriesInstanceUID", "LO", POISON_NAME)
    request = replace(request_of(small_series(1)[0]), data_set=encoded(ds))

    with pytest.raises(UnreadableInstanceError) as caught:
        receive(request, patient_salt=SALT)

    assert POISON_NAME not in str(caught.value)
