"""The scanner of data sets, against pydicom."""

import io
import tracemalloc
import zlib

import pytest
from node_builders import encoded, small_series
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from dicom_node.association.file_format import split_file
from dicom_node.errors import UnreadableInstanceError
from dicom_node.intake.header import HeaderTag, read_header

WORDS = {
    HeaderTag.SOP_CLASS_UID: "SOPClassUID",
    HeaderTag.SOP_INSTANCE_UID: "SOPInstanceUID",
    HeaderTag.ACCESSION_NUMBER: "AccessionNumber",
    HeaderTag.STUDY_INSTANCE_UID: "StudyInstanceUID",
    HeaderTag.SERIES_INSTANCE_UID: "SeriesInstanceUID",
    HeaderTag.INSTANCE_NUMBER: "InstanceNumber",
    HeaderTag.MODALITY: "Modality",
    HeaderTag.CONVOLUTION_KERNEL: "ConvolutionKernel",
    HeaderTag.SLICE_THICKNESS: "SliceThickness",
}


def nested() -> Dataset:
    """Return an image with sequences in sequences, of defined and undefined length."""
    ds = small_series(1)[0]
    inner = Dataset()
    inner.SeriesInstanceUID = "1.2.3"  # must not be taken for the series of the image
    inner.add_new(0x00280008, "IS", "77")
    middle = Dataset()
    middle.ReferencedSOPSequence = Sequence([inner, Dataset()])
    for keyword in ("ReferencedStudySequence", "SourceImageSequence", "RequestAttributesSequence"):
        setattr(ds, keyword, Sequence([middle, inner]))
    ds["SourceImageSequence"].is_undefined_length = True
    ds["RequestAttributesSequence"].is_undefined_length = True
    for item in ds.RequestAttributesSequence:
        item.is_undefined_length_sequence_item = True
    return ds


@pytest.mark.parametrize(
    "syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian]
)
def test_values_are_those_that_pydicom_reads(syntax):
    """The same elements are found in every encoding, none inside a sequence."""
    ds = nested()
    if syntax is ExplicitVRBigEndian:
        ds.PixelData = ds.PixelData[::-1]

    header = read_header(encoded(ds, syntax), syntax)

    for tag, keyword in WORDS.items():
        assert header[tag].strip(b"\0 ").decode() == str(ds[keyword].value), keyword
    assert HeaderTag.NUMBER_OF_FRAMES not in header


def test_a_deflated_data_set_is_read():
    """Raw deflate, as PS3.5 section A.5 asks."""
    ds = small_series(1)[0]
    deflater = zlib.compressobj(wbits=-15)
    data = deflater.compress(encoded(ds)) + deflater.flush()

    header = read_header(data, DeflatedExplicitVRLittleEndian)

    assert header[HeaderTag.SOP_INSTANCE_UID].strip(b"\0").decode() == ds.SOPInstanceUID
    with pytest.raises(UnreadableInstanceError, match="cut off"):
        read_header(data[:-20], DeflatedExplicitVRLittleEndian)
    with pytest.raises(UnreadableInstanceError, match="damaged"):
        read_header(b"\xff" + data, DeflatedExplicitVRLittleEndian)


def test_a_deflate_bomb_is_not_blown_up():
    """A quarter of a megabyte that would become 256 MB stops at 64 MB and is refused."""
    deflater = zlib.compressobj(level=9, wbits=-15)
    block = bytes(2**20)
    bomb = b"".join(deflater.compress(block) for _ in range(256)) + deflater.flush()
    assert len(bomb) < 2**18 + 2**16

    tracemalloc.start()
    with pytest.raises(UnreadableInstanceError, match="too large"):
        read_header(bomb, DeflatedExplicitVRLittleEndian)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 3 * 2**26


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_a_data_set_cut_anywhere_is_unreadable_or_lacks_elements(syntax):
    """No cut can raise anything but the error that becomes 0xC000, and none passes as whole."""
    data = encoded(nested(), syntax)
    whole = read_header(data, syntax)

    for length in range(len(data)):
        try:
            header = read_header(data[:length], syntax)
        except UnreadableInstanceError:
            continue
        assert len(header) < len(whole) or length < len(data)
        assert b"\xe0\x7f\x10\x00" not in data[:length], "pixels were cut unnoticed"


@pytest.mark.parametrize(
    "noise", [b"\0" * 64, b"\xff" * 64, bytes(range(256)), b"no data set at all, just a sentence"]
)
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_noise_raises_only_the_intake_error(noise, syntax):
    """Whatever a sender sends, the scanner answers with a value or the error that has a status."""
    try:
        header = read_header(noise, syntax)
    except UnreadableInstanceError:
        return
    assert HeaderTag.SOP_INSTANCE_UID not in header


def test_endless_nesting_is_refused():
    """A data set of nothing but sequence openings does not exhaust the stack."""
    opening = bytes.fromhex("0800401153510000ffffffff" + "feff00e0ffffffff")

    with pytest.raises(UnreadableInstanceError, match="nested"):
        read_header(opening * 10_000, ExplicitVRLittleEndian)


@pytest.mark.data
@pytest.mark.parametrize(
    "folder", ["cornerstone-ct-transfer-syntaxes", "fo-dicom-ct", "dcm_qa_ct", "real-head-ct/052"]
)
def test_reference_files_are_read_as_pydicom_does(data_dir, folder):
    """Files of many vendors and encodings: every wanted text is the one that pydicom finds."""
    compared = 0
    for path in [path for path in sorted((data_dir / folder).rglob("*")) if path.is_file()][:60]:
        data = path.read_bytes()
        expected = texts_by_pydicom(data)
        if expected is None:
            continue
        meta, offset = split_file(data)

        header = read_header(data[offset:], meta.transfer_syntax_uid)

        found = {tag: header.get(tag, b"").strip(b"\0 ").decode("latin-1") for tag in WORDS}
        assert found == expected, path
        compared += 1
    assert compared


def texts_by_pydicom(data: bytes) -> dict[HeaderTag, str] | None:
    """Return the wanted texts as they are stored, None if pydicom cannot read the file."""
    try:
        ds = dcmread(io.BytesIO(data), stop_before_pixels=True)
    except (InvalidDicomError, OSError):
        return None
    texts = {}
    for tag, keyword in WORDS.items():
        element = ds.get_item(keyword)
        stored = element.value if element is not None and element.value is not None else b""
        texts[tag] = (
            stored.decode("latin-1") if isinstance(stored, bytes) else str(stored)
        ).strip("\0 ")
    return texts
