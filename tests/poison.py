"""Data sets with a marker in every place that can hold a text, to see what gets through."""

import struct
from copy import deepcopy
from functools import cache
from io import BytesIO

import pydicom
from pydicom import config
from pydicom.datadict import DicomDictionary, dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset, write_file_meta_info
from pydicom.sequence import Sequence
from pydicom.tag import Tag

#: Fits every text that DICOM knows, and stands in no dictionary.
MARKER = "ZQPOISON"
#: The same for UIDs, which hold digits alone.
UID_MARKER = "1.2.840.66600666007"
#: The same for dates: nobody was scanned on this day.
DAY_MARKER = "19110611"

_TEXTS = {"AE", "AS", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT", "DT", "TM", "DS", "IS"}
_BYTES = {"OB", "UN", "OB or OW", "OW"}
_TEXT_OF = {"UI": UID_MARKER, "DA": DAY_MARKER}
_BYTE = 8

#: Without these a CT image is none; numbers or UIDs that each test sets itself.
NEEDED = {
    *("SOPClassUID", "Modality", "ImagePositionPatient", "ImageOrientationPatient"),
    *("PixelSpacing", "RescaleIntercept", "RescaleSlope", "NumberOfFrames"),
    *("PhotometricInterpretation", "PixelData", "SpecificCharacterSet"),
    *("SegmentationType", "RescaleType", "ImageType", "CodeValue", "CodingSchemeDesignator"),
}

#: Groups that are no part of a stored data set, or would end it early.
_NO_DATA_GROUPS = {0x0000, 0x0002, 0x0004, 0xFFFA, 0xFFFC, 0xFFFE}


def poisoned(source: Dataset, *, spared: frozenset[str] = frozenset()) -> bytes:
    """Return a file of the same object with the marker wherever there is room for it.

    `spared` are attributes that keep their values, beside `NEEDED`.
    """
    needed = NEEDED | spared
    ds = deepcopy(source)
    for item in _items(ds):
        for keyword in ("CodeMeaning", "SegmentLabel", "ImageComments", "PatientID"):
            item.add(_element(keyword, MARKER))
    ds.ImageType = [*ds.ImageType, MARKER]
    block = ds.private_block(0x0009, MARKER, create=True)
    block.add_new(1, "LO", MARKER)
    block.add_new(2, "UN", MARKER.encode())
    ds.PixelData = ds.PixelData + MARKER.encode()
    ds["PixelData"].VR = "OW" if int(ds.BitsAllocated) > _BYTE else "OB"
    encoded = {int(element.tag): _encoded(element) for element in ds}
    encoded[0x60003000] = _raw(0x60003000, "OB", MARKER)  # an overlay
    for tag, (keyword, element) in _everything().items():
        is_there = keyword in ds and dictionary_VR(tag) == "SQ"  # its items are full already
        if keyword not in needed and not is_there:
            encoded[tag] = element
    data_set = b"".join(encoded[tag] for tag in sorted(encoded))
    return MARKER.encode().ljust(128) + b"DICM" + _file_meta(ds) + data_set


def count_of_elements(content: bytes) -> int:
    """Return how many elements a file holds, not counting those within items."""
    return len(pydicom.dcmread(BytesIO(content)))


def marked(content: bytes) -> list[str]:
    """Return which markers a file or text holds, in whatever case or character set."""
    low = content.lower()
    found = []
    for marker in (MARKER, UID_MARKER, DAY_MARKER):
        texts = (marker.lower(), marker.lower()[:6]) if marker is MARKER else (marker,)
        for encoding in ("ascii", "utf-16-le", "utf-16-be"):
            found += [text for text in texts if text.encode(encoding) in low]
    return found


@cache
def _everything() -> dict[int, tuple[str, bytes]]:
    """Return an element with a marker for every attribute that can hold one, by tag."""
    found = {}
    for tag, (vr, _, _, _, keyword) in DicomDictionary.items():
        if not keyword or tag >> 16 in _NO_DATA_GROUPS:
            continue
        text = _TEXT_OF.get(vr, MARKER if vr in _TEXTS | _BYTES else "")
        if text:
            found[tag] = (keyword, _raw(tag, vr.split(maxsplit=1)[0], text))
        elif vr == "SQ":
            element = DataElement(Tag(tag), "SQ", Sequence([_item()]))
            found[tag] = (keyword, _encoded(element))
    return found


def _item() -> Dataset:
    item = Dataset()
    for keyword in ("PatientName", "CodeMeaning", "ImageComments", "SegmentLabel"):
        item.add(_element(keyword, MARKER))
    item.add(_element("ReferencedSOPInstanceUID", UID_MARKER))
    return item


def _raw(tag: int, vr: str, text: str) -> bytes:
    """Return an element in Explicit VR Little Endian, whether or not its VR allows the text."""
    value = text.encode() + b"\0" * (len(text) % 2)
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr.encode())
    long = vr in {"OB", "OW", "UN", "UC", "UR", "UT"}
    return head + struct.pack("<HI" if long else "<H", *((0,) if long else ()), len(value)) + value


def _encoded(element: DataElement) -> bytes:
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = False, True
    write_dataset(buffer, Dataset({element.tag: element}))
    return buffer.getvalue()


def _file_meta(ds: Dataset) -> bytes:
    meta = deepcopy(ds.file_meta)
    meta.SourceApplicationEntityTitle = MARKER
    meta.PrivateInformationCreatorUID = UID_MARKER
    meta.PrivateInformation = MARKER.encode()
    buffer = DicomBytesIO()
    write_file_meta_info(buffer, meta)
    return buffer.getvalue()


def _items(ds: Dataset):
    for element in ds:
        if element.VR == "SQ":
            for item in element.value:
                yield item
                yield from _items(item)


def _element(keyword: str, value: str) -> DataElement:
    vr = dictionary_VR(keyword)
    return DataElement(Tag(keyword), vr, value, validation_mode=config.IGNORE)
