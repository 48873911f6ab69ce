"""The two requests that storage lives from, and their answers, without a data set library.

Read and answered where the node is called; written, with the answer to be read, where it calls.

A command set of C-STORE has a hundred and fifty bytes; to make and to read one as a data set
costs more processor time than to receive the image behind it. PS3.7, sections 6.3, 9.3.1, 9.3.5
and annex E.
"""

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from dicom_node.association.pdu_format import COMMAND_PART, LAST_PART, P_DATA, PDU_HEAD, PDV_HEAD

_ELEMENT = struct.Struct("<HHL")
_SHORT = struct.Struct("<H")
_LONG = struct.Struct("<L")

_SOP_CLASS, _COMMAND, _MESSAGE_ID, _ANSWERED_ID = 0x0002, 0x0100, 0x0110, 0x0120
_PRIORITY, _DATA_SET_TYPE, _STATUS, _SOP_INSTANCE = 0x0700, 0x0800, 0x0900, 0x1000

#: Command Data Set Type of a message without a data set (PS3.7, section E.1).
_NO_DATA_SET = 0x0101

#: The same of one with a data set, and the priority that the library asks for (section E.1).
_DATA_SET, _LOW = 0x0001, 0x0002

#: What an answer adds to the Command Field of its request (PS3.7, section E.1).
_ANSWER = 0x8000

#: What the message needs that it is read here; all else is left to the library.
_EVERY: Final = frozenset({_SOP_CLASS, _COMMAND, _MESSAGE_ID, _DATA_SET_TYPE})
_STORE: Final = _EVERY | {_PRIORITY, _SOP_INSTANCE}

#: What an answer needs that it is read here.
_ANSWERED: Final = frozenset({_COMMAND, _ANSWERED_ID, _DATA_SET_TYPE, _STATUS})

_LONGEST_UID = 64

#: Smallest piece of an answer, whatever a caller says of its own longest PDU.
_LEAST_PIECE = 64


class RequestKind(IntEnum):
    """Command Field of the requests (PS3.7, section E.1)."""

    C_STORE = 0x0001
    C_ECHO = 0x0030


@dataclass(frozen=True, slots=True)
class Request:
    """A C-STORE or C-ECHO request.

    Attributes
    ----------
    kind : RequestKind
        Which.
    message_id : int
        Message ID.
    sop_class_uid : str
        Affected SOP Class UID.
    sop_instance_uid : str
        Affected SOP Instance UID; empty for C-ECHO.
    """

    kind: RequestKind
    message_id: int
    sop_class_uid: str
    sop_instance_uid: str


def read_request(encoded: bytes) -> Request | None:
    """Return the request of a whole command set, None if it is another or not as it should be.

    Parameters
    ----------
    encoded
        The command set in Implicit VR Little Endian.
    """
    values = _values(encoded)
    if values is None or not values.keys() >= _EVERY:
        return None
    kind, has_data = _number(values[_COMMAND]), _number(values[_DATA_SET_TYPE]) != _NO_DATA_SET
    message_id, sop_class = _number(values[_MESSAGE_ID]), _uid(values[_SOP_CLASS])
    if message_id is None or not sop_class:
        return None
    if kind == RequestKind.C_ECHO and not has_data:
        return Request(RequestKind.C_ECHO, message_id, sop_class, "")
    if kind != RequestKind.C_STORE or not has_data or not values.keys() >= _STORE:
        return None
    sop_instance = _uid(values[_SOP_INSTANCE])
    if not sop_instance or _number(values[_PRIORITY]) not in {0, 1, 2}:
        return None
    return Request(RequestKind.C_STORE, message_id, sop_class, sop_instance)


def answer(request: Request, status: int, *, context_id: int, longest_pdu: int) -> bytes:
    """Return the PDUs that answer a request, to be sent at once.

    Parameters
    ----------
    request
        What is answered.
    status
        Status of the answer.
    context_id
        Presentation context of the request.
    longest_pdu
        The most that the caller takes in a P-DATA-TF; 0 for no limit.
    """
    body = (
        _element(_SOP_CLASS, _padded(request.sop_class_uid))
        + _element(_COMMAND, _SHORT.pack(_ANSWER | request.kind))
        + _element(_ANSWERED_ID, _SHORT.pack(request.message_id))
        + _element(_DATA_SET_TYPE, _SHORT.pack(_NO_DATA_SET))
        + _element(_STATUS, _SHORT.pack(status))
    )
    if request.sop_instance_uid:
        body += _element(_SOP_INSTANCE, _padded(request.sop_instance_uid))
    command = _element(0x0000, _LONG.pack(len(body))) + body
    room = max(longest_pdu - PDV_HEAD.size, _LEAST_PIECE) if longest_pdu else len(command)
    pieces = [command[start : start + room] for start in range(0, len(command), room)]
    return b"".join(
        PDU_HEAD.pack(P_DATA, 0, PDV_HEAD.size + len(piece))
        + PDV_HEAD.pack(
            len(piece) + 2,
            context_id,
            COMMAND_PART | (LAST_PART if number == len(pieces) else 0),
        )
        + piece
        for number, piece in enumerate(pieces, start=1)
    )


def store_command(message_id: int, *, sop_class_uid: str, sop_instance_uid: str) -> bytes:
    """Return the command set of a C-STORE request of low priority (PS3.7, section 9.3.1.1)."""
    body = (
        _element(_SOP_CLASS, _padded(sop_class_uid))
        + _element(_COMMAND, _SHORT.pack(RequestKind.C_STORE))
        + _element(_MESSAGE_ID, _SHORT.pack(message_id))
        + _element(_PRIORITY, _SHORT.pack(_LOW))
        + _element(_DATA_SET_TYPE, _SHORT.pack(_DATA_SET))
        + _element(_SOP_INSTANCE, _padded(sop_instance_uid))
    )
    return _element(0x0000, _LONG.pack(len(body))) + body


def status_of_answer(body: bytes, *, context_id: int, message_id: int) -> int | None:
    """Return the status of a C-STORE response that stands in one piece in one P-DATA-TF.

    None if it is anything else: that is left to the library.

    Parameters
    ----------
    body
        What follows the head of the PDU.
    context_id, message_id
        Of the request.
    """
    if len(body) < PDV_HEAD.size:
        return None
    length, found_id, control = PDV_HEAD.unpack_from(body)
    if length != len(body) - 4 or (found_id, control) != (context_id, COMMAND_PART | LAST_PART):
        return None
    values = _values(body[PDV_HEAD.size :])
    if values is None or not values.keys() >= _ANSWERED:
        return None
    is_answer = _number(values[_COMMAND]) == _ANSWER | RequestKind.C_STORE
    has_data = _number(values[_DATA_SET_TYPE]) != _NO_DATA_SET
    if not is_answer or has_data or _number(values[_ANSWERED_ID]) != message_id:
        return None
    return _number(values[_STATUS])


def _values(encoded: bytes) -> dict[int, bytes] | None:
    """Return the values of a command set by element number; None if it is damaged."""
    found: dict[int, bytes] = {}
    offset, last = 0, -1
    while offset < len(encoded):
        if offset + _ELEMENT.size > len(encoded):
            return None
        group, number, length = _ELEMENT.unpack_from(encoded, offset)
        offset += _ELEMENT.size
        if group != 0 or number <= last or offset + length > len(encoded):
            return None
        found[number] = encoded[offset : offset + length]
        offset, last = offset + length, number
    return found


def _number(value: bytes) -> int | None:
    return int(_SHORT.unpack(value)[0]) if len(value) == _SHORT.size else None


def _uid(value: bytes) -> str:
    """Return a UID, empty if it is none."""
    value = value.rstrip(b"\0 ")
    if len(value) > _LONGEST_UID or not set(value) <= set(b"0123456789."):
        return ""
    return value.decode("ascii")


def _element(number: int, value: bytes) -> bytes:
    return _ELEMENT.pack(0, number, len(value)) + value


def _padded(uid: str) -> bytes:
    value = uid.encode("ascii")
    return value + b"\0" * (len(value) % 2)
