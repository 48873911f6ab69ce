"""A sender that costs next to nothing: everything is encoded before the clock starts.

As a program: python raw_sender.py HOST PORT CALLED FOLDER ASSOCIATIONS; prints seconds per image
of each response. DCMTK's storescu spends more time on an image than a fast receiver does.
"""

import contextlib
import json
import socket
import struct
import sys
import time
from dataclasses import dataclass
from pathlib import Path

_CT = b"1.2.840.10008.5.1.4.1.1.2"
_EXPLICIT = b"1.2.840.10008.1.2.1"
_VERIFICATION = b"1.2.840.10008.1.1"
_PATIENCE_S = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """An image as a receiver gets it: SOP Instance UID and encoded data set."""

    sop_instance_uid: bytes
    data_set: bytes


def encode_folder(folder: Path) -> list[Encoded]:
    """Return the images of a folder, in Explicit VR Little Endian, in the order of their names."""
    found = []
    for path in sorted(folder.rglob("*.dcm")):
        content = path.read_bytes()
        (length,) = struct.unpack_from("<I", content, 140)
        meta, data_set = content[132 : 144 + length], content[144 + length :]
        at = meta.index(b"\x02\x00\x03\x00UI") + 8
        (size,) = struct.unpack_from("<H", meta, at - 2)
        found.append(Encoded(sop_instance_uid=meta[at : at + size], data_set=data_set))
    return found


class RawSender:
    """One association; a response is waited for after each image."""

    def __init__(self, host: str, port: int, called: str, *, calling: str = "STORESCU") -> None:
        self._plug = socket.create_connection((host, port))
        # By the kernel: Python's own time-outs cost a call more for each read and write.
        for way in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            self._plug.setsockopt(socket.SOL_SOCKET, way, struct.pack("ll", _PATIENCE_S, 0))
        self._plug.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._plug.sendall(_request(called.encode(), calling.encode()))
        kind, body = self._pdu()
        if kind != 2:
            raise RuntimeError(f"The association was not accepted: PDU {kind}")
        self._longest = _maximum_length(body)
        self._number = 0

    def pieces(self, image: Encoded) -> list[bytes | memoryview]:
        """Return the PDUs of an image, in pieces."""
        self._number = self._number % 65535 + 1
        command = _store_command(self._number, image.sop_instance_uid)
        room = (self._longest or 2**24) - 6
        out: list[bytes | memoryview] = [_fragment(1, 3, command)]
        view = memoryview(image.data_set)
        for start in range(0, len(view), room):
            piece = view[start : start + room]
            is_last = start + room >= len(view)
            out += [_head(1, 2 if is_last else 0, len(piece)), piece]
        return out

    def send(self, pieces: list[bytes | memoryview]) -> int:
        """Send an image and return the status of the response."""
        left = sum(len(piece) for piece in pieces)
        left -= self._plug.sendmsg(pieces)
        if left:
            self._plug.sendall(b"".join(pieces)[-left:])
        _, body = self._pdu()
        at = body.index(struct.pack("<HHL", 0, 0x0900, 2)) + 8
        return int(struct.unpack_from("<H", body, at)[0])

    def echo(self) -> None:
        """Send C-ECHO and wait for its response."""
        self._number = self._number % 65535 + 1
        body = (
            _element(0x0002, _VERIFICATION + b"\0")
            + _element(0x0100, struct.pack("<H", 0x0030))
            + _element(0x0110, struct.pack("<H", self._number))
            + _element(0x0800, struct.pack("<H", 0x0101))
        )
        command = _element(0x0000, struct.pack("<L", len(body))) + body
        self._plug.sendall(_fragment(3, 3, command))
        self._pdu()

    def release(self) -> None:
        """End the association."""
        self._plug.sendall(struct.pack(">BBLL", 5, 0, 4, 0))
        with contextlib.suppress(OSError):
            self._pdu()
        self._plug.close()

    def _pdu(self) -> tuple[int, bytes]:
        kind, _, length = struct.unpack(">BBL", self._exactly(6))
        return kind, self._exactly(length)

    def _exactly(self, count: int) -> bytes:
        found = bytearray()
        while len(found) < count:
            piece = self._plug.recv(count - len(found))
            if not piece:
                raise ConnectionError("The receiver hung up")
            found += piece
        return bytes(found)


def _element(number: int, value: bytes) -> bytes:
    return struct.pack("<HHL", 0, number, len(value)) + value


def _store_command(message_id: int, uid: bytes) -> bytes:
    body = (
        _element(0x0002, _CT + b"\0")
        + _element(0x0100, struct.pack("<H", 1))
        + _element(0x0110, struct.pack("<H", message_id))
        + _element(0x0700, struct.pack("<H", 0))
        + _element(0x0800, struct.pack("<H", 0))
        + _element(0x1000, uid)
    )
    return _element(0x0000, struct.pack("<L", len(body))) + body


def _fragment(context: int, control: int, data: bytes) -> bytes:
    return _head(context, control, len(data)) + data


def _head(context: int, control: int, length: int) -> bytes:
    return struct.pack(">BBLLBB", 4, 0, length + 6, length + 2, context, control)


def _item(kind: int, body: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(body)) + body


def _request(called: bytes, calling: bytes) -> bytes:
    contexts = b"".join(
        _item(0x20, bytes([number, 0, 0, 0]) + _item(0x30, sop) + _item(0x40, _EXPLICIT))
        for number, sop in ((1, _CT), (3, _VERIFICATION))
    )
    user = _item(0x50, _item(0x51, struct.pack(">L", 0)) + _item(0x52, b"1.2.3"))
    body = struct.pack(">HH16s16s32s", 1, 0, called.ljust(16), calling.ljust(16), bytes(32))
    body += _item(0x10, b"1.2.840.10008.3.1.1.1") + contexts + user
    return struct.pack(">BBL", 1, 0, len(body)) + body


def _maximum_length(body: bytes) -> int:
    at = body.index(b"\x51\x00\x00\x04") + 4
    return int(struct.unpack_from(">L", body, at)[0])


def main() -> None:
    """Send a folder over so many associations in turn and print what it took.

    Everything is encoded before a line comes on standard input; then the clock starts.
    """
    host, port, called, folder, associations = sys.argv[1:6]
    images = encode_folder(Path(folder))
    share = -(-len(images) // int(associations))
    times, opening = [], []
    print("ready", flush=True)
    sys.stdin.readline()
    first = time.monotonic()
    for start in range(0, len(images), share):
        begun = time.perf_counter()
        sender = RawSender(host, int(port), called)
        opening.append(time.perf_counter() - begun)
        for image in images[start : start + share]:
            begun = time.perf_counter()
            status = sender.send(sender.pieces(image))
            times.append(time.perf_counter() - begun)
            if status != 0:
                raise RuntimeError(f"Refused with 0x{status:04X}")
        last = time.monotonic()
        sender.release()
    print(json.dumps({"images": times, "opening": opening, "first": first, "last": last}))


if __name__ == "__main__":
    main()
