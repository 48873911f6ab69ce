"""How large an image a compressed frame says it is, read before any decoder is asked.

A decoder reserves memory for what the frame says, not for what the header of the image says; a
frame of a few bytes can ask for gigabytes.
"""

import struct
from typing import NamedTuple

#: Start of a JPEG 2000 codestream: SOC and SIZ markers (ISO/IEC 15444-1, annex A).
_JPEG_2000 = b"\xff\x4f\xff\x51"

#: Behind SIZ: length, capabilities, then the reference grid and the image's offset in it.
_SIZ = struct.Struct(">HHLLLL")

#: Start of a JPEG or JPEG-LS image (ISO/IEC 10918-1, annex B; 14495-1, annex C).
_JPEG = b"\xff\xd8"

#: Frame headers: SOF0 to SOF15 without DHT, JPG and DAC, and SOF55 of JPEG-LS.
_FRAME_HEADERS = frozenset({*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC})

#: Markers without a length.
_BARE = frozenset({0x01, *range(0xD0, 0xD9)})

_START_OF_SCAN = 0xDA

#: Behind the marker: length, precision, lines, samples per line.
_FRAME_HEADER = struct.Struct(">HBHH")


class FrameSize(NamedTuple):
    """Rows and columns of a compressed frame."""

    rows: int
    columns: int


def frame_size(frame: bytes) -> FrameSize | None:
    """Return the size that a JPEG, JPEG-LS or JPEG 2000 frame says it has; None if it says none.

    Parameters
    ----------
    frame
        One encoded frame, with or without the boxes of a file format around it.
    """
    try:
        if frame.startswith(_JPEG):
            return _jpeg_size(frame)
        start = frame.find(_JPEG_2000)
        if start < 0:
            return None
        _, _, right, bottom, left, top = _SIZ.unpack_from(frame, start + len(_JPEG_2000))
    except struct.error:
        return None
    return FrameSize(rows=bottom - top, columns=right - left)


def _jpeg_size(frame: bytes) -> FrameSize | None:
    offset = len(_JPEG)
    while offset + 1 < len(frame) and frame[offset] == 0xFF:  # noqa: PLR2004 - every marker
        marker = frame[offset + 1]
        if marker == 0xFF:  # noqa: PLR2004 - a fill byte
            offset += 1
            continue
        if marker in _FRAME_HEADERS:
            _, _, rows, columns = _FRAME_HEADER.unpack_from(frame, offset + 2)
            return FrameSize(rows=rows, columns=columns)
        if marker == _START_OF_SCAN:
            return None
        offset += 2
        if marker not in _BARE:
            offset += max(2, struct.unpack_from(">H", frame, offset)[0])
    return None
