"""Targets of TLS: handshakes and records at the listener's own context, and at its port."""

import contextlib
import socket
import ssl
from functools import cache
from random import Random

from fuzz import wire
from fuzz.campaign import Target
from fuzz.listeners import assert_answers, provider, streams, tls_files
from fuzz.mutation import Mutation, blind, elements, pdus, tokens
from fuzz.sockets import HOST, PATIENCE_S, Deaths, exchange, talk

from dicom_node.association.scp_settings import Reader
from dicom_node.association.tls import (
    ClientTls,
    ServerTls,
    client_context,
    handshake_words,
    server_context,
)

_RAW, _WITHIN = 0, 1
_ALIVE_EVERY = 50
_LONGEST_WORDS = 200


@cache
def _contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    files = tls_files()
    return server_context(ServerTls(files=files)), client_context(ClientTls(files=files))


def _flight(*, version: ssl.TLSVersion | None = None) -> list[bytes]:
    """Return what a good caller sends in a handshake, flight by flight."""
    server, client = _contexts()
    client = client_context(ClientTls(files=tls_files()))
    client.maximum_version = version or client.maximum_version
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    node = server.wrap_bio(to_server, to_client, server_side=True)
    caller = client.wrap_bio(to_client, to_server, server_hostname=HOST)
    said = []
    for _ in range(4):
        with contextlib.suppress(ssl.SSLWantReadError):
            caller.do_handshake()
        if flight := to_server.read():
            said.append(flight)
            to_server.write(flight)
        with contextlib.suppress(ssl.SSLWantReadError):
            node.do_handshake()
    return said


def _shake_hands(data: bytes) -> None:
    """Give bytes to the listener's context: a handshake fails in words of ours, or waits."""
    server, _ = _contexts()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    node = server.wrap_bio(incoming, outgoing, server_side=True)
    incoming.write(data)
    incoming.write_eof()
    try:
        node.do_handshake()
        node.read(1)
    except ssl.SSLError as error:
        words = handshake_words(error)
        assert words.isprintable(), "what the other side sent must not be told"
        assert len(words) < _LONGEST_WORDS


class _Attacker:
    """Sends cases to the port, raw or within TLS."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._cases = 0
        self._deaths: Deaths | None = None

    def __call__(self, data: bytes) -> None:
        """Send a case; its first byte says how."""
        deaths = self._deaths = self._deaths or Deaths()
        port = provider(self._reader).tls_port
        if data[:1] == bytes([_RAW]):
            exchange(port, [data[1:]])
        else:
            self._within(port, data[1:])
        deaths.check()
        self._cases += 1
        if self._cases % _ALIVE_EVERY == 0:
            assert_answers(port, call=_call)

    @staticmethod
    def _within(port: int, data: bytes) -> None:
        with contextlib.suppress(OSError), _connected(port) as plug:
            talk(plug, wire.in_turn(data))


def _connected(port: int) -> ssl.SSLSocket:
    plug = socket.create_connection((HOST, port), timeout=PATIENCE_S)
    try:
        return _contexts()[1].wrap_socket(plug, server_hostname=HOST)
    except OSError:
        plug.close()
        raise


def _call(port: int, pieces: list[bytes]) -> bytes:
    with _connected(port) as plug:
        return talk(plug, pieces)


def _records(data: bytes, random: Random) -> bytes:
    """Change one record of TLS: type, version, length (RFC 8446, section 5.1), or its order."""
    found, offset = [], 0
    while offset + 5 <= len(data):
        end = offset + 5 + int.from_bytes(data[offset + 3 : offset + 5])
        found.append(data[offset:end])
        offset = end
    if not found:
        return blind(data, random)
    at = random.randrange(len(found))
    one = found[at]
    match random.randrange(6):
        case 0:
            found[at] = bytes([random.choice((0, 20, 21, 22, 23, 24, 255))]) + one[1:]
        case 1:
            found[at] = one[:1] + random.choice((b"\3\0", b"\3\1", b"\3\4", b"\x7f\x1c")) + one[3:]
        case 2:
            found[at] = (
                one[:3] + random.choice((b"\0\0", b"\0\1", b"\x40\1", b"\xff\xff")) + one[5:]
            )
        case 3:
            found.insert(at, random.choice(found))
        case 4:
            del found[at]
        case _:
            body = blind(one[5:], random)[:65535]
            found[at] = one[:3] + len(body).to_bytes(2) + body
    return b"".join(found)


_ALERTS = tokens((b"\x15\x03\x03\0\2\2\x28", b"\x14\x03\x03\0\1\1", b"\x18\x03\x02\0\3\1\x40\0"))


def _behind_a_byte(on_raw: Mutation, within: Mutation) -> Mutation:
    def change(data: bytes, random: Random) -> bytes:
        mutation = on_raw if data[:1] == bytes([_RAW]) else within
        return data[:1] + mutation(data[1:], random)

    return change


def targets() -> list[Target]:
    """Return the targets of this module."""
    good = [*_flight(), *_flight(version=ssl.TLSVersion.TLSv1_2)]
    spoken = [bytes([_WITHIN]) + stream for stream in streams()]
    raw = [bytes([_RAW]) + flight for flight in good]
    echoed = bytes([_RAW]) + wire.association_request()
    pairs = ((_records, pdus), (_records, pdus), (blind, blind), (_ALERTS, elements))
    return [
        Target(
            name="hello",
            seeds=[*good, b"".join(good)],
            check=_shake_hands,
            mutations=(_records, _records, blind, _ALERTS),
        ),
        *(
            Target(
                name=name,
                seeds=[*spoken, *raw, echoed],
                check=_Attacker(reader),
                mutations=tuple(_behind_a_byte(*pair) for pair in pairs),
            )
            for name, reader in (("tls", Reader.STREAM), ("tls_library", Reader.LIBRARY))
        ),
    ]
