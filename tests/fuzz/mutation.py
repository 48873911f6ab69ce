"""Changes of bytes: blind ones, and those that know what a DICOM data set or a PDU is."""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from fuzz import wire

Mutation = Callable[[bytes, Random], bytes]

#: Numbers at which lengths, counts and signs turn over.
_EDGES = (0, 1, 2, 7, 8, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 2**31 - 1, 2**31)
_EDGES_32 = (*_EDGES, 2**32 - 2, 2**32 - 1)
_LONGEST = 1 << 20
_LONG_VRS = frozenset(b"OB OW OF OD OL OV SQ SV UC UN UR UT UV".split())
_VRS = (*_LONG_VRS, *b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())

#: Values that are meant for somebody behind the parser.
HOSTILE = (
    b"../../../../etc/passwd",
    b"/etc/passwd\0",
    b"1.2/../../3",
    b"1.2.840.\n2026-01-01 office INFO forged line",
    b"<script>alert(1)</script>",
    b"'; DROP TABLE jobs; --",
    b"{{7*7}}%s%n%x${jndi:ldap://x}",
    b"\x1b[2J\x1b]0;title\x07",
    b"\xff\xfe\x00\xd8",
    b"\\" * 60,
    b"9" * 400,
    b"-1",
    b"1e308",
    b"1e999",
    b"nan",
    b"inf\\-inf\\nan",
    b"0\\0\\0",
    b"\0" * 16,
    b"A" * 70000,
)


@dataclass(frozen=True, slots=True)
class Span:
    """Where an element in Explicit VR Little Endian stands: its tag, value and length field."""

    start: int
    value: int
    end: int

    @property
    def is_long(self) -> bool:
        """Whether its length has four bytes."""
        return self.value - self.start == 12


def spans(data: bytes) -> list[Span]:
    """Return the elements of a data set as far as it can be walked; sequences are one element."""
    found, offset = [], 0
    while offset + 12 <= len(data):
        vr = data[offset + 4 : offset + 6]
        if vr in _LONG_VRS:
            value, length = offset + 12, struct.unpack_from("<I", data, offset + 8)[0]
        else:
            value, length = offset + 8, struct.unpack_from("<H", data, offset + 6)[0]
        end = len(data) if length == 0xFFFFFFFF else value + length
        if end > len(data):
            break
        found.append(Span(offset, value, end))
        offset = end
    return found


def blind(data: bytes, random: Random) -> bytes:  # noqa: PLR0911 - a table of changes
    """Change bytes without knowing what they are."""
    if not data:
        return random.randbytes(random.randint(1, 64))
    at = random.randrange(len(data))
    upto = min(len(data), at + random.choice((1, 2, 4, 8, 64, 1024)))
    match random.randrange(8):
        case 0:
            return data[:at] + bytes([data[at] ^ 1 << random.randrange(8)]) + data[at + 1 :]
        case 1:
            width, sign = random.choice(((1, "B"), (2, "H"), (4, "I")))
            number = random.choice(_EDGES_32) & (256**width - 1)
            packed = struct.pack(random.choice("<>") + sign, number)
            return data[:at] + packed + data[at + width :]
        case 2:
            return data[:at] + data[upto:]
        case 3:
            return data[:at] + data[at:upto] * random.choice((2, 3, 50)) + data[upto:]
        case 4:
            return data[:at]
        case 5:
            return data[:at] + random.randbytes(upto - at) + data[upto:]
        case 6:
            return data[:at] + random.choice(HOSTILE) + data[at:]
        case _:
            other = random.randrange(len(data))
            return data[:at] + data[other : other + upto - at] + data[upto:]


def tokens(words: Sequence[bytes]) -> Mutation:
    """Return a mutation that puts one of the words somewhere."""

    def put(data: bytes, random: Random) -> bytes:
        at = random.randrange(len(data) + 1)
        return data[:at] + random.choice(words) + data[at + random.choice((0, 0, 1, 4)) :]

    return put


def elements(data: bytes, random: Random) -> bytes:  # noqa: PLR0911 - a table of changes
    """Change one element of a data set in Explicit VR Little Endian."""
    found = spans(data)
    if not found:
        return blind(data, random)
    one = random.choice(found)
    head, value = data[one.start : one.value], data[one.value : one.end]
    before, after = data[: one.start], data[one.end :]
    match random.randrange(9):
        case 0:  # a length that is not true
            return before + _with_length(head, random.choice(_EDGES_32), one) + value + after
        case 1:
            return before + head[:4] + random.choice(_VRS) + head[6:] + value + after
        case 2:
            return before + after
        case 3:
            return before + (head + value) * random.choice((2, 100)) + after
        case 4:
            other = random.choice(HOSTILE)
            other = other if one.is_long else other[: 2**16 - 2]
            return before + _with_length(head, len(other), one) + other + after
        case 5:  # numbers of any width
            number = random.choice(_EDGES_32)
            other = struct.pack("<Q", number)[: max(1, min(8, len(value)))]
            return before + _with_length(head, len(other), one) + other + after
        case 6:
            return before + nested(random.choice((2, 31, 33, 300, 3000))) + data[one.start :]
        case 7:
            block = struct.pack("<HH2sHI", 0x0009, 0x1001, b"UN", 0, 300) + random.randbytes(300)
            return before + block + data[one.start :]
        case _:
            changed = blind(value, random)
            return before + _with_length(head, len(changed), one) + changed + after


def nested(depth: int) -> bytes:
    """Return sequences of undefined length within each other."""
    opening = struct.pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, 2**32 - 1)
    opening += struct.pack("<HHI", 0xFFFE, 0xE000, 2**32 - 1)
    closing = struct.pack("<HHI", 0xFFFE, 0xE00D, 0) + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    return opening * depth + closing * depth


def pdus(data: bytes, random: Random) -> bytes:
    """Change one protocol data unit of a stream (PS3.8, section 9.3)."""
    units = wire.units(data)
    if not units:
        return blind(data, random)
    at = random.randrange(len(units))
    unit = units[at]
    match random.randrange(6):
        case 0:
            units[at] = unit[:2] + struct.pack(">I", random.choice(_EDGES_32)) + unit[6:]
        case 1:
            units[at] = bytes([random.randrange(10)]) + unit[1:]
        case 2:
            units.insert(random.randrange(len(units) + 1), random.choice(units))
        case 3:
            del units[at]
        case 4:
            random.shuffle(units)
        case _:  # damage within, with a true length
            body = blind(unit[6:], random)[:_LONGEST]
            units[at] = unit[:2] + struct.pack(">I", len(body)) + body
    return b"".join(units)


def mutated(data: bytes, random: Random, mutations: Sequence[Mutation]) -> bytes:
    """Return data after one to eight changes, at most a megabyte long."""
    for _ in range(random.choice((1, 1, 1, 2, 2, 3, 8))):
        data = random.choice(mutations)(data, random)[:_LONGEST]
    return data


def _with_length(head: bytes, length: int, one: Span) -> bytes:
    if one.is_long:
        return head[:8] + struct.pack("<I", length & 0xFFFFFFFF)
    return head[:6] + struct.pack("<H", length & 0xFFFF)
