"""DICOM upper layer and DIMSE by hand (PS3.8, section 9.3; PS3.7, section 9.3)."""

import struct

from pydicom.uid import CTImageStorage

VERIFICATION = "1.2.840.10008.1.1"
EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"

#: Types of PDUs (PS3.8, section 9.3.1).
REQUEST, ACCEPT, REJECT, DATA, RELEASE, RELEASED, ABORT = range(1, 8)

#: Command Field (PS3.7, annex E).
C_STORE, C_FIND, C_MOVE, C_GET, C_ECHO = 0x0001, 0x0020, 0x0021, 0x0010, 0x0030
N_EVENT_REPORT, N_ACTION = 0x0100, 0x0130
RESPONSE = 0x8000

_NO_DATA = 0x0101
_DATA = 0x0001


def pdu(kind: int, body: bytes) -> bytes:
    """Return a PDU."""
    return struct.pack(">BBI", kind, 0, len(body)) + body


def item(kind: int, body: bytes) -> bytes:
    """Return an item of an association PDU."""
    return struct.pack(">BBH", kind, 0, len(body)) + body


def association_request(sop_classes=(CTImageStorage, VERIFICATION)) -> bytes:
    """Return an A-ASSOCIATE-RQ (PS3.8, section 9.3.2); contexts are numbered 1, 3, 5."""
    contexts = b"".join(
        item(
            0x20,
            bytes([2 * index + 1, 0, 0, 0])
            + item(0x30, name.encode())
            + item(0x40, EXPLICIT.encode())
            + item(0x40, IMPLICIT.encode()),
        )
        for index, name in enumerate(sop_classes)
    )
    return pdu(REQUEST, _parties() + contexts + item(0x50, _about()))


def association_answer(contexts: int, *, syntax: str = IMPLICIT) -> bytes:
    """Return an A-ASSOCIATE-AC that accepts so many contexts (PS3.8, section 9.3.3)."""
    answers = b"".join(
        item(0x21, bytes([2 * index + 1, 0, 0, 0]) + item(0x40, syntax.encode()))
        for index in range(contexts)
    )
    return pdu(ACCEPT, _parties() + answers + item(0x50, _about()))


def _parties() -> bytes:
    titles = b"ICHNODE".ljust(16), b"MODALITY".ljust(16)
    head = struct.pack(">HH16s16s32s", 1, 0, *titles, bytes(32))
    return head + item(0x10, b"1.2.840.10008.3.1.1.1")


def _about() -> bytes:
    """Return user information: length, implementation, window, role, identity."""
    about = item(0x51, struct.pack(">I", 16384)) + item(0x52, b"1.2.3") + item(0x55, b"X")
    about += item(0x53, struct.pack(">HH", 1, 1))
    name = CTImageStorage.encode()
    about += item(0x54, struct.pack(">H", len(name)) + name + b"\1\1")
    return about + item(0x58, b"\1\0" + struct.pack(">H", 4) + b"user" + struct.pack(">H", 0))


def fragment(context: int, control: int, data: bytes) -> bytes:
    """Return a P-DATA-TF: control 1 is command, 2 the last of it."""
    return pdu(DATA, struct.pack(">IBB", len(data) + 2, context, control) + data)


def element(number: int, value: bytes) -> bytes:
    """Return an element of a command set."""
    return struct.pack("<HHI", 0, number, len(value)) + value


def command(kind: int, sop_class: str, *, has_data: bool, uid: str = "") -> bytes:
    """Return the command set of a request of the C services."""
    more = element(0x0700, struct.pack("<H", 0)) if has_data else b""
    more += element(0x0800, struct.pack("<H", _DATA if has_data else _NO_DATA))
    more += element(0x1000, _even(uid)) if uid else b""
    return _with_length(_begin(0x0002, kind, sop_class) + more)


def n_action(sop_class: str, instance: str, number: int) -> bytes:
    """Return the command set of an N-ACTION-RQ (PS3.7, section 10.3.4)."""
    more = element(0x0800, struct.pack("<H", _DATA)) + element(0x1001, _even(instance))
    more += element(0x1008, struct.pack("<H", number))
    return _with_length(_begin(0x0003, N_ACTION, sop_class) + more)


def n_event_report(sop_class: str, instance: str, number: int) -> bytes:
    """Return the command set of an N-EVENT-REPORT-RQ (PS3.7, section 10.3.1)."""
    more = element(0x0800, struct.pack("<H", _DATA)) + element(0x1000, _even(instance))
    more += element(0x1002, struct.pack("<H", number))
    return _with_length(_begin(0x0002, N_EVENT_REPORT, sop_class) + more)


def _begin(class_element: int, kind: int, sop_class: str) -> bytes:
    body = element(class_element, _even(sop_class)) + element(0x0100, struct.pack("<H", kind))
    return body + element(0x0110, struct.pack("<H", 7))


def response(
    kind: int, sop_class: str, *, status: int = 0, has_data: bool = False, more: bytes = b""
) -> bytes:
    """Return the command set of a response to message 1; `more` are elements behind the status."""
    body = element(0x0002, _even(sop_class))
    body += element(0x0100, struct.pack("<H", kind | RESPONSE))
    body += element(0x0120, struct.pack("<H", 1))
    body += element(0x0800, struct.pack("<H", _DATA if has_data else _NO_DATA))
    return _with_length(body + element(0x0900, struct.pack("<H", status)) + more)


def units(stream: bytes) -> list[bytes]:
    """Return the PDUs of a stream; what is left at the end is one, too."""
    found, offset = [], 0
    while offset + 6 <= len(stream):
        end = offset + 6 + struct.unpack_from(">I", stream, offset + 2)[0]
        found.append(stream[offset:end])
        offset = end
    if offset < len(stream):
        found.append(stream[offset:])
    return found


def in_turn(stream: bytes) -> list[bytes]:
    """Return a stream as a caller sends it: what follows the request waits for its answer.

    What comes before the answer is refused without a look (PS3.8, section 9.2, state 3).
    """
    first, *rest = units(stream) or [b""]
    return [first, b"".join(rest)] if rest else [first]


def _with_length(body: bytes) -> bytes:
    return element(0, struct.pack("<I", len(body))) + body


def _even(uid: str) -> bytes:
    return uid.encode() + b"\0" * (len(uid) % 2)
