"""The few elements of an encoded data set that custody and assembly need.

A small scanner instead of a full reader: it looks at tags and lengths, copies the values that are
asked for and never decodes the others, so that no library can quote a patient attribute in a
warning, and an image costs a fraction of a millisecond. It walks to the end of the pixel data and
so also notices a data set that is cut off. PS3.5, sections 7.1 to 7.5.
"""

import struct
import zlib
from enum import IntEnum

from dicom_node.errors import UnreadableInstanceError


class HeaderTag(IntEnum):
    """The elements that are read, by tag (PS3.6)."""

    IMAGE_TYPE = 0x00080008
    SOP_CLASS_UID = 0x00080016
    SOP_INSTANCE_UID = 0x00080018
    ACCESSION_NUMBER = 0x00080050
    MODALITY = 0x00080060
    MANUFACTURER = 0x00080070
    STATION_NAME = 0x00081010
    STUDY_DESCRIPTION = 0x00081030
    SERIES_DESCRIPTION = 0x0008103E
    PATIENT_ID = 0x00100020
    ISSUER_OF_PATIENT_ID = 0x00100021
    CONTRAST_BOLUS_AGENT = 0x00180010
    BODY_PART_EXAMINED = 0x00180015
    SLICE_THICKNESS = 0x00180050
    PROTOCOL_NAME = 0x00181030
    CONVOLUTION_KERNEL = 0x00181210
    STUDY_INSTANCE_UID = 0x0020000D
    SERIES_INSTANCE_UID = 0x0020000E
    INSTANCE_NUMBER = 0x00200013
    IMAGE_POSITION_PATIENT = 0x00200032
    IMAGE_ORIENTATION_PATIENT = 0x00200037
    NUMBER_OF_FRAMES = 0x00280008
    STUDY_PRIORITY_ID = 0x0032000C
    REQUESTED_PROCEDURE_PRIORITY = 0x00401003

    @property
    def label(self) -> str:
        """The tag as the standard writes it."""
        return f"({self >> 16:04X},{self & 0xFFFF:04X})"


#: Transfer syntaxes by UID (PS3.6, table A-1). As text: whoever reads the ledger needs no pydicom.
_IMPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2"
_DEFLATED = "1.2.840.10008.1.2.1.99"
_BIG_ENDIAN = "1.2.840.10008.1.2.2"

#: Values of these elements are short strings; a longer one is damage.
_LONGEST_VALUE = 16384

#: Largest data set that a deflated one may become; a whole enhanced CT is far smaller.
_LONGEST_INFLATED = 2**30

#: A deflated CT becomes two to four times as long; air and padding alone reach a hundred. What
#: becomes longer than so many times itself is a bomb, unless it stays small in any case.
_MOST_INFLATION = 128
_SMALL = 2**26

_UNDEFINED = 0xFFFFFFFF
_PIXEL_DATA = 0x7FE00010
_ITEM = 0xFFFEE000
_ITEM_END = 0xFFFEE00D
_SEQUENCE_END = 0xFFFEE0DD
_LONG_VRS = frozenset(b"OB OW OF OD OL OV SQ SV UC UN UR UT UV".split())
_WANTED = {int(tag): tag for tag in HeaderTag}

#: Sequences nest in enhanced CT by two or three; deeper than this is an attack.
_MAX_DEPTH = 32


def read_header(data_set: bytes, transfer_syntax_uid: str) -> dict[HeaderTag, bytes]:
    """Return the values of those elements of `HeaderTag` that the data set has.

    Parameters
    ----------
    data_set
        Encoded data set without preamble and file meta information.
    transfer_syntax_uid
        How it is encoded.

    Raises
    ------
    UnreadableInstanceError
        If the bytes are no data set in this transfer syntax, or are cut off.
    """
    if transfer_syntax_uid == _DEFLATED:
        data_set = _inflate(data_set)
    scanner = _Scanner(
        data_set,
        implicit=transfer_syntax_uid == _IMPLICIT_LITTLE_ENDIAN,
        big_endian=transfer_syntax_uid == _BIG_ENDIAN,
    )
    return scanner.top_level()


def read_beginning(data_set: bytes, transfer_syntax_uid: str) -> dict[HeaderTag, bytes]:
    """Return what `read_header` would of a data set of which only the beginning is there.

    Raises
    ------
    UnreadableInstanceError
        If not even the first element can be read, or the data set is deflated.
    """
    if transfer_syntax_uid == _DEFLATED:
        raise UnreadableInstanceError("A deflated data set can only be read as a whole")
    scanner = _Scanner(
        data_set,
        implicit=transfer_syntax_uid == _IMPLICIT_LITTLE_ENDIAN,
        big_endian=transfer_syntax_uid == _BIG_ENDIAN,
    )
    return scanner.top_level(may_be_cut_off=True)


def _inflate(deflated: bytes) -> bytes:
    # Raw deflate without a zlib header (PS3.5, section A.5).
    inflater = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
    limit = min(_LONGEST_INFLATED, max(_SMALL, _MOST_INFLATION * len(deflated)))
    try:
        inflated = inflater.decompress(deflated, limit)
    except zlib.error:
        raise UnreadableInstanceError("The deflated data set is damaged") from None
    if not inflater.eof:
        raise UnreadableInstanceError("The deflated data set is cut off or too large")
    return inflated


class _Scanner:
    """Walks over elements by tag, VR and length."""

    def __init__(self, data: bytes, *, implicit: bool, big_endian: bool) -> None:
        order = ">" if big_endian else "<"
        self._data = data
        self._implicit = implicit
        self._tag = struct.Struct(f"{order}HH")
        self._short = struct.Struct(f"{order}H")
        self._long = struct.Struct(f"{order}I")

    def top_level(self, *, may_be_cut_off: bool = False) -> dict[HeaderTag, bytes]:
        """Return the wanted values outside sequences."""
        found: dict[HeaderTag, bytes] = {}
        offset, tag = 0, 0
        while offset < len(self._data) and tag != _PIXEL_DATA:
            try:
                tag, start, length = self._element(offset, implicit=self._implicit)
                offset = self._end(start, length, implicit=self._is_implicit(start, length))
            except UnreadableInstanceError:
                if may_be_cut_off and offset > 0:
                    return found
                raise
            wanted = _WANTED.get(tag)
            if wanted is not None:
                if offset - start > _LONGEST_VALUE:
                    raise UnreadableInstanceError(f"{wanted.label} is longer than it can be")
                found.setdefault(wanted, self._data[start:offset])
        return found

    def _element(self, offset: int, *, implicit: bool) -> tuple[int, int, int]:
        """Return tag, start of the value, and its length."""
        try:
            group, number = self._tag.unpack_from(self._data, offset)
            tag = group << 16 | number
            if implicit or group == _ITEM >> 16:
                return tag, offset + 8, self._long.unpack_from(self._data, offset + 4)[0]
            vr = self._data[offset + 4 : offset + 6]
            if vr in _LONG_VRS:
                return tag, offset + 12, self._long.unpack_from(self._data, offset + 8)[0]
            if not vr.isalpha() or not vr.isupper():
                raise UnreadableInstanceError(f"No VR at byte {offset} of the data set")
            return tag, offset + 8, self._short.unpack_from(self._data, offset + 6)[0]
        except struct.error:
            raise UnreadableInstanceError(
                f"The data set of {len(self._data)} bytes is cut off at byte {offset}"
            ) from None

    def _is_implicit(self, start: int, length: int) -> bool:
        # UN of undefined length holds items in implicit VR (PS3.5, section 6.2.2, note 4).
        if self._implicit:
            return True
        return length == _UNDEFINED and self._data[start - 8 : start - 6] == b"UN"

    def _end(self, start: int, length: int, *, implicit: bool, depth: int = 0) -> int:
        """Return the offset behind a value."""
        if length == _UNDEFINED:
            return self._end_of_items(start, implicit=implicit, depth=depth)
        if start + length > len(self._data):
            raise UnreadableInstanceError(
                f"An element needs {start + length} bytes, the data set has {len(self._data)}"
            )
        return start + length

    def _end_of_items(self, offset: int, *, implicit: bool, depth: int) -> int:
        """Return the offset behind the delimiter of a sequence or of encapsulated pixels."""
        if depth > _MAX_DEPTH:
            raise UnreadableInstanceError(f"Sequences are nested deeper than {_MAX_DEPTH}")
        while True:
            tag, start, length = self._element(offset, implicit=implicit)
            if tag == _SEQUENCE_END:
                return start + length
            if tag != _ITEM:
                raise UnreadableInstanceError(f"No item at byte {offset} of the data set")
            if length == _UNDEFINED:
                offset = self._end_of_item(start, implicit=implicit, depth=depth)
            else:
                offset = self._end(start, length, implicit=implicit)

    def _end_of_item(self, offset: int, *, implicit: bool, depth: int) -> int:
        """Return the offset behind the delimiter of an item of undefined length."""
        while True:
            tag, start, length = self._element(offset, implicit=implicit)
            if tag == _ITEM_END:
                return start + length
            nested = implicit or self._is_implicit(start, length)
            offset = self._end(start, length, implicit=nested, depth=depth + 1)
