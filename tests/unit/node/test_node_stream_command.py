"""Requests read and answers written by hand, against pynetdicom's own messages."""

import io
import itertools
import struct

import pytest
from pydicom.uid import CTImageStorage
from pynetdicom.dimse_messages import (
    C_ECHO_RQ,
    C_FIND_RQ,
    C_STORE_RQ,
    C_STORE_RSP,
    DIMSEMessage,
)
from pynetdicom.dimse_primitives import C_ECHO, C_FIND, C_STORE
from pynetdicom.pdu import P_DATA_TF

from dicom_node.association.stream_command import (
    Request,
    RequestKind,
    answer,
    read_request,
)

VERIFICATION = "1.2.840.10008.1.1"
STORE = Request(RequestKind.C_STORE, 7, str(CTImageStorage), "1.2.3.45")
ECHO = Request(RequestKind.C_ECHO, 65535, VERIFICATION, "")


def pieces(message, primitive, *, longest=16384):
    """Return the P-DATA-TF that pynetdicom makes of a message."""
    message.primitive_to_message(primitive)
    found = []
    for data in message.encode_msg(1, longest):
        pdu = P_DATA_TF()
        pdu.from_primitive(data)
        found.append(pdu.encode())
    return found


def command_of(pdus):
    """Return the command set that stands in PDUs of one value each."""
    return b"".join(pdu[12:] for pdu in pdus if pdu[11] & 1)


def store_request(**values):
    primitive = C_STORE()
    primitive.MessageID = 7
    primitive.AffectedSOPClassUID = CTImageStorage
    primitive.AffectedSOPInstanceUID = "1.2.3.45"
    primitive.Priority = 2
    primitive.DataSet = io.BytesIO(b"\x08\x00")
    for name, value in values.items():
        setattr(primitive, name, value)
    return command_of(pieces(C_STORE_RQ(), primitive))


def echo_request():
    primitive = C_ECHO()
    primitive.MessageID = 65535
    primitive.AffectedSOPClassUID = VERIFICATION
    return command_of(pieces(C_ECHO_RQ(), primitive))


def test_a_store_request_of_the_library_is_read():
    """What pynetdicom encodes comes back with the same values."""
    assert read_request(store_request()) == STORE


def test_an_echo_request_of_the_library_is_read():
    """C-ECHO has neither instance nor priority (PS3.7, table 9.3-12)."""
    assert read_request(echo_request()) == ECHO


def test_the_originator_of_a_move_is_passed_over():
    """Two elements more, in images that come by C-MOVE (PS3.7, table 9.3-1)."""
    command = store_request(MoveOriginatorApplicationEntityTitle="PACS", MoveOriginatorMessageID=3)
    assert read_request(command) == STORE


def test_another_request_is_left_to_the_library():
    """C-FIND has the same elements but another command."""
    primitive = C_FIND()
    primitive.MessageID = 1
    primitive.AffectedSOPClassUID = "1.2.840.10008.5.1.4.1.2.2.1"
    primitive.Priority = 2
    primitive.Identifier = io.BytesIO(b"\x08\x00")
    assert read_request(command_of(pieces(C_FIND_RQ(), primitive))) is None


def test_a_command_set_that_is_cut_off_is_none():
    """Every beginning of a request lacks something that it must have."""
    command = store_request()
    for length in range(len(command)):
        assert read_request(command[:length]) is None, length


@pytest.mark.parametrize(
    ("number", "value"),
    [
        (0x0002, b"../../etc\0"),
        (0x0100, struct.pack("<H", 0x8001)),
        (0x0110, b"\x01"),
        (0x0700, struct.pack("<H", 9)),
        (0x0800, struct.pack("<H", 0x0101)),
        (0x1000, b"1" * 66),
        (0x1000, b""),
    ],
)
def test_a_value_that_is_none_leaves_the_request_to_the_library(number, value):
    """Class, command, ID, priority, missing data set and instance must be what they should."""
    values = {
        0x0002: CTImageStorage.encode() + b"\0",
        0x0100: struct.pack("<H", 1),
        0x0110: struct.pack("<H", 7),
        0x0700: struct.pack("<H", 0),
        0x0800: struct.pack("<H", 0),
        0x1000: b"1.2.3.45",
    }

    def command(of):
        return b"".join(struct.pack("<HHL", 0, n, len(v)) + v for n, v in of.items())

    assert read_request(command(values)) is not None
    assert read_request(command(values | {number: value})) is None


def test_elements_out_of_order_are_left_to_the_library():
    """Elements stand by ascending tag (PS3.5, section 7.1)."""
    command = store_request()
    elements = []
    offset = 0
    while offset < len(command):
        (length,) = struct.unpack_from("<L", command, offset + 4)
        elements.append(command[offset : offset + 8 + length])
        offset += 8 + length
    swapped = b"".join([*elements[:2], elements[3], elements[2], *elements[4:]])
    assert read_request(command) is not None
    assert read_request(swapped) is None


@pytest.mark.parametrize(
    ("request_", "status", "longest"),
    [*itertools.product([STORE], [0, 0xA700, 0xC000], [0, 16384, 128, 70]), (ECHO, 0, 16384)],
)
def test_the_library_reads_an_answer(request_, status, longest):
    """The PDUs pass for the answer to this request with pynetdicom, however short they must be."""
    found = DIMSEMessage()
    encoded = answer(request_, status, context_id=5, longest_pdu=longest)
    done = False
    while encoded:
        (length,) = struct.unpack_from(">L", encoded, 2)
        assert not longest or length <= max(longest, 70)
        pdu = P_DATA_TF()
        pdu.decode(encoded[: 6 + length])
        encoded = encoded[6 + length :]
        done = found.decode_msg(pdu.to_primitive())
    assert done
    assert found.context_id == 5
    primitive = found.message_to_primitive()
    assert primitive.MessageIDBeingRespondedTo == request_.message_id
    assert primitive.Status == status
    assert primitive.AffectedSOPClassUID == request_.sop_class_uid
    if request_ is STORE:
        assert primitive.AffectedSOPInstanceUID == request_.sop_instance_uid


def test_an_answer_is_what_the_library_would_send():
    """Byte for byte, group length included."""
    primitive = C_STORE()
    primitive.MessageIDBeingRespondedTo = 7
    primitive.AffectedSOPClassUID = CTImageStorage
    primitive.AffectedSOPInstanceUID = "1.2.3.45"
    primitive.Status = 0xA700
    expected = b"".join(pieces(C_STORE_RSP(), primitive))
    assert answer(STORE, 0xA700, context_id=1, longest_pdu=16384) == expected
