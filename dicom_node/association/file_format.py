"""The DICOM file format around an encoded data set: preamble and file meta information.

Written and read by hand, so that the data set behind it stays byte for byte as it was received
and no data element of it is looked at. PS3.10, section 7.1.
"""

import struct
from dataclasses import dataclass

#: Implementation Class UID of this software, made once from a random UUID (PS3.5, section B.2).
IMPLEMENTATION_CLASS_UID = "2.25.275025281539849141031874244941275657708"

#: Implementation Version Name, at most 16 characters (PS3.7, section D.3.3.2.4).
IMPLEMENTATION_VERSION_NAME = "ICHNODE_0_1"

#: File meta information is far shorter than this.
LONGEST_META = 16384

PREAMBLE = b"\0" * 128 + b"DICM"

#: VRs whose length field has four bytes after two reserved ones (PS3.5, section 7.1.2).
_LONG_VRS = frozenset(
    {b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"SQ", b"UC", b"UN", b"UR", b"UT"}
)

_GROUP = 0x0002
_GROUP_LENGTH = 0x0000
_SOP_CLASS = 0x0002
_SOP_INSTANCE = 0x0003
_TRANSFER_SYNTAX = 0x0010
_SOURCE_AE = 0x0016
_RECEIVING_AE = 0x0018


@dataclass(frozen=True, slots=True, kw_only=True)
class FileMeta:
    """What the file meta information says about the data set behind it.

    Attributes
    ----------
    sop_class_uid, sop_instance_uid, transfer_syntax_uid : str
        (0002,0002), (0002,0003) and (0002,0010).
    calling_ae_title, called_ae_title : str
        Source (0002,0016) and Receiving (0002,0018) Application Entity Title; empty if absent.
    """

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    calling_ae_title: str = ""
    called_ae_title: str = ""


def encode_file_header(meta: FileMeta) -> bytes:
    """Return preamble, prefix and file meta information, ready to be followed by the data set."""
    body = b"".join(
        (
            _element(0x0001, b"OB", b"\x00\x01"),
            _element(_SOP_CLASS, b"UI", _uid(meta.sop_class_uid)),
            _element(_SOP_INSTANCE, b"UI", _uid(meta.sop_instance_uid)),
            _element(_TRANSFER_SYNTAX, b"UI", _uid(meta.transfer_syntax_uid)),
            _element(0x0012, b"UI", _uid(IMPLEMENTATION_CLASS_UID)),
            _element(0x0013, b"SH", _text(IMPLEMENTATION_VERSION_NAME)),
            _element(_SOURCE_AE, b"AE", _text(meta.calling_ae_title)),
            _element(_RECEIVING_AE, b"AE", _text(meta.called_ae_title)),
        )
    )
    return PREAMBLE + _element(_GROUP_LENGTH, b"UL", struct.pack("<I", len(body))) + body


def split_file(encoded: bytes) -> tuple[FileMeta, int]:
    """Return the file meta information and the offset of the data set behind it.

    Raises
    ------
    ValueError
        If the bytes are no DICOM file or lack one of the three UIDs.
    """
    if encoded[128:132] != b"DICM":
        raise ValueError("Not a DICOM file: the prefix DICM is missing at byte 128")
    values: dict[int, bytes] = {}
    offset = len(PREAMBLE)
    while offset + 8 <= len(encoded):
        group, element = struct.unpack_from("<HH", encoded, offset)
        if group != _GROUP:
            break
        start, length = _value_at(encoded, offset)
        if start + length > len(encoded):
            raise ValueError("The file meta information is cut off")
        values[element] = encoded[start : start + length]
        offset = start + length
    for needed in (_SOP_CLASS, _SOP_INSTANCE, _TRANSFER_SYNTAX):
        if needed not in values:
            raise ValueError(f"The file meta information lacks (0002,{needed:04X})")
    return (
        FileMeta(
            sop_class_uid=_string(values[_SOP_CLASS]),
            sop_instance_uid=_string(values[_SOP_INSTANCE]),
            transfer_syntax_uid=_string(values[_TRANSFER_SYNTAX]),
            calling_ae_title=_string(values.get(_SOURCE_AE, b"")),
            called_ae_title=_string(values.get(_RECEIVING_AE, b"")),
        ),
        offset,
    )


def _element(element: int, vr: bytes, value: bytes) -> bytes:
    if vr in _LONG_VRS:
        return struct.pack("<HH2sHI", _GROUP, element, vr, 0, len(value)) + value
    return struct.pack("<HH2sH", _GROUP, element, vr, len(value)) + value


def _value_at(encoded: bytes, offset: int) -> tuple[int, int]:
    vr = encoded[offset + 4 : offset + 6]
    if vr not in _LONG_VRS:
        (short,) = struct.unpack_from("<H", encoded, offset + 6)
        return offset + 8, short
    if offset + 12 > len(encoded):
        raise ValueError("The file meta information is cut off")
    (length,) = struct.unpack_from("<I", encoded, offset + 8)
    return offset + 12, length


def _uid(uid: str) -> bytes:
    value = uid.encode("ascii")
    return value + b"\0" * (len(value) % 2)


def _text(text: str) -> bytes:
    value = text.encode("ascii", errors="replace")
    return value + b" " * (len(value) % 2)


def _string(value: bytes) -> str:
    return value.decode("ascii", errors="replace").strip("\0 ")
