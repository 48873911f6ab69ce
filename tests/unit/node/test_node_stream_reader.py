"""Storage requests from PDUs: what is taken, what is left to the library, what is broken."""

import struct

import pytest
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom.dimse_messages import DIMSEMessage
from pynetdicom.pdu import P_DATA_TF

from dicom_node.association.receive_limits import ByteBudget, ReceiveLimits
from dicom_node.association.refusals import RefusalKind
from dicom_node.association.stream_reader import BrokenMessageError, Context, StreamReader

VERIFICATION = "1.2.840.10008.1.1"
CONTEXTS = {
    1: Context(sop_class_uid=str(CTImageStorage), transfer_syntax_uid=str(ExplicitVRLittleEndian)),
    3: Context(sop_class_uid=VERIFICATION, transfer_syntax_uid=str(ExplicitVRLittleEndian)),
}


class Desk:
    """A reader with what it stores and sends."""

    def __init__(self, **limits):
        self.stored, self.sent, self.now = [], b"", 0.0
        self.budget = ByteBudget(limits.pop("budget", 10_000))
        self.reader = StreamReader(
            contexts=CONTEXTS,
            store=self.store,
            send=self.send,
            limits=ReceiveLimits(**limits),
            budget=self.budget,
            longest_answer=16384,
            timer=lambda: self.now,
        )

    def store(self, request, transfer_syntax_uid, data_set):
        assert transfer_syntax_uid == ExplicitVRLittleEndian
        if data_set.refusal is not None:
            return 0xA703
        self.stored.append((request.sop_instance_uid, data_set.getvalue()))
        return 0

    def send(self, encoded):
        self.sent += encoded

    @property
    def statuses(self):
        """Status of each answer, as pynetdicom reads them."""
        found, rest = [], self.sent
        while rest:
            (length,) = struct.unpack_from(">L", rest, 2)
            pdu, message = P_DATA_TF(), DIMSEMessage()
            pdu.decode(rest[: 6 + length])
            assert message.decode_msg(pdu.to_primitive())
            found.append(message.message_to_primitive().Status)
            rest = rest[6 + length :]
        return found

    def take(self, *values):
        return self.reader.take(memoryview(pdu(*values)))


def value(control, data, context_id=1):
    return struct.pack(">LBB", len(data) + 2, context_id, control) + data


def pdu(*values, kind=4):
    body = b"".join(values)
    return struct.pack(">BBL", kind, 0, len(body)) + body


def element(number, data):
    return struct.pack("<HHL", 0, number, len(data)) + data


def command(kind=1, uid=b"1.2.3.4\0", sop_class=None, data_set_type=0):
    body = (
        element(0x0002, sop_class or CTImageStorage.encode() + b"\0")
        + element(0x0100, struct.pack("<H", kind))
        + element(0x0110, struct.pack("<H", 1))
        + element(0x0700, struct.pack("<H", 0))
        + element(0x0800, struct.pack("<H", data_set_type))
        + element(0x1000, uid)
    )
    return element(0x0000, struct.pack("<L", len(body))) + body


STORE = value(3, command())
ECHO = value(3, command(0x30, sop_class=VERIFICATION.encode() + b"\0", data_set_type=0x0101), 3)


@pytest.fixture
def desk():
    return Desk()


def test_an_object_in_three_pdus_is_stored_and_answered(desk):
    """The data set is what stood in the fragments, one after the other."""
    assert desk.take(STORE)
    assert desk.take(value(0, b"ab"))
    assert desk.sent == b""
    assert desk.take(value(2, b"cd"))
    assert desk.stored == [("1.2.3.4", b"abcd")]
    assert desk.statuses == [0]
    assert desk.reader.is_between


def test_command_and_data_may_share_a_pdu(desk):
    """PS3.8, section 9.3.5: one or more presentation data values."""
    assert desk.take(STORE, value(0, b"ab"), value(0, b""), value(2, b"c"))
    assert desk.stored == [("1.2.3.4", b"abc")]


def test_an_echo_is_answered(desk):
    """Without anybody else being asked."""
    assert desk.take(ECHO)
    assert desk.statuses == [0]


def test_memory_is_given_back_after_each_object(desk):
    """The budget is as it was."""
    for _ in range(3):
        desk.take(STORE)
        desk.take(value(0, b"x" * 4000))
        assert desk.budget.used == 4000
        desk.take(value(2, b""))
    assert desk.budget.used == 0


def test_an_object_that_is_dropped_gives_its_memory_back(desk):
    """An abort in the middle: the library gets it, nothing is stored."""
    desk.take(STORE, value(0, b"x" * 100))
    assert not desk.reader.take(memoryview(pdu(b"\0\0\0\0", kind=7)))
    assert desk.budget.used == 0
    assert desk.stored == []
    assert desk.reader.is_between


def test_a_data_set_that_is_too_long_is_refused_and_the_next_one_taken():
    """A703H; the association goes on."""
    desk = Desk(max_object_bytes=10)
    desk.take(STORE, value(0, b"x" * 8), value(2, b"y" * 8))
    desk.take(STORE, value(2, b"z"))
    assert desk.statuses == [0xA703, 0]
    assert desk.stored == [("1.2.3.4", b"z")]


@pytest.mark.parametrize(
    "values",
    [
        (value(1, command()[:20]),),  # a command set in pieces
        (value(3, command(0x20)),),  # C-FIND
        (value(3, command(), 5),),  # a context that was not accepted
        (value(3, command(), 3),),  # an image where Verification was agreed
        (value(3, command(sop_class=b"1.2.840.10008.5.1.4.1.1.4\0")),),  # MR in the CT context
        (value(2, b"data"),),  # a data set without a command
        (value(3, b"garbage"),),
        (b"\0\0",),
        (struct.pack(">LBB", 5000, 1, 3),),
        (struct.pack(">L", 1),),
        (),
    ],
)
def test_what_is_no_storage_request_is_left_to_the_library(desk, values):
    """Nothing of it has happened here: the library finds all of it."""
    assert not desk.take(*values)
    assert desk.sent == b""
    assert desk.reader.is_between


@pytest.mark.parametrize(
    "values",
    [
        (value(0, b"x", 3),),  # another context
        (STORE,),  # a command amid a data set
        (b"\0\0",),
        (struct.pack(">LBB", 5000, 1, 0),),
        (struct.pack(">LBB", 0, 1, 0),),
        (value(2, b"x"), value(2, b"y")),  # more behind the end
    ],
)
def test_a_message_that_goes_on_wrongly_is_broken(desk, values):
    """PS3.8, annex E: fragments of one message follow one another in one context."""
    desk.take(STORE)
    with pytest.raises(BrokenMessageError) as broken:
        desk.take(*values)
    assert broken.value.kind is RefusalKind.MALFORMED


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ((value(0, b"x", 3),), "a fragment of context 3 amid a message of 1"),
        ((struct.pack(">LBB", 5000, 1, 0) + b"four",), "says 5000 bytes, 2 to 6 can be"),
        ((b"\0\0",), "2 bytes, the head of a fragment has 6"),
    ],
)
def test_what_is_broken_is_told_with_what_was_expected(desk, values, words):
    """For whoever must find out which device sends it."""
    desk.take(STORE)
    with pytest.raises(BrokenMessageError, match=words):
        desk.take(*values)


def test_a_message_that_takes_too_long_is_broken():
    """From its first PDU on."""
    desk = Desk(message_s=10)
    desk.take(STORE)
    desk.now = 10.0
    desk.take(value(0, b"x"))
    desk.now = 10.1
    with pytest.raises(BrokenMessageError) as broken:
        desk.take(value(0, b"x"))
    assert broken.value.kind is RefusalKind.TOO_SLOW
