"""Preamble and file meta information."""

import io

import pytest
from node_builders import encoded, file_bytes, small_series
from pydicom import dcmread
from pydicom.uid import JPEG2000Lossless

from dicom_node.association.file_format import (
    IMPLEMENTATION_CLASS_UID,
    IMPLEMENTATION_VERSION_NAME,
    FileMeta,
    encode_file_header,
    split_file,
)

META = FileMeta(
    sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
    sop_instance_uid="1.2.3.45",
    transfer_syntax_uid=str(JPEG2000Lossless),
    calling_ae_title="MODALITY",
    called_ae_title="ICHNODE",
)


def test_pydicom_reads_the_header():
    """An independent reader finds every value, and the data set where the header ends."""
    ds = small_series(1)[0]
    meta = FileMeta(
        sop_class_uid=ds.SOPClassUID,
        sop_instance_uid=ds.SOPInstanceUID,
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        calling_ae_title="MODALITY",
        called_ae_title="ICHNODE",
    )

    read = dcmread(io.BytesIO(encode_file_header(meta) + encoded(ds)))

    assert read.file_meta.FileMetaInformationVersion == b"\x00\x01"
    assert read.file_meta.MediaStorageSOPClassUID == ds.SOPClassUID
    assert read.file_meta.MediaStorageSOPInstanceUID == ds.SOPInstanceUID
    assert read.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
    assert read.file_meta.ImplementationClassUID == IMPLEMENTATION_CLASS_UID
    assert read.file_meta.ImplementationVersionName == IMPLEMENTATION_VERSION_NAME
    assert read.file_meta.SourceApplicationEntityTitle == "MODALITY"
    assert read.file_meta.ReceivingApplicationEntityTitle == "ICHNODE"
    assert read == ds


def test_what_was_written_is_read_back():
    """Header and offset come back from the bytes."""
    header = encode_file_header(META)

    assert split_file(header + b"data set") == (META, len(header))


def test_a_file_of_pydicom_is_split():
    """The offset found is that of the data set."""
    ds = small_series(1)[0]

    meta, offset = split_file(file_bytes(ds))

    assert meta.sop_instance_uid == ds.SOPInstanceUID
    assert file_bytes(ds)[offset:] == encoded(ds)


def test_version_name_fits_its_vr():
    """SH holds 16 characters, a UID 64 (PS3.5, section 6.2)."""
    assert len(IMPLEMENTATION_VERSION_NAME) <= 16
    assert len(IMPLEMENTATION_CLASS_UID) <= 64


@pytest.mark.parametrize("length", [0, 131, 140, 160, 250])
def test_a_file_that_is_cut_in_its_header_is_refused(length):
    """A half file never passes for an instance."""
    with pytest.raises(ValueError, match=r"cut off|lacks|prefix"):
        split_file(encode_file_header(META)[:length])
