"""Files written straight to the network: what a peer receives, and what becomes of odd answers.

pynetdicom is the peer and the oracle; a scripted peer answers what no library would.
"""

import socket
import struct
import threading
from contextlib import contextmanager

import pytest
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.pdu import A_ASSOCIATE_RQ, P_DATA_TF

from dicom_node.association import storage_scu
from dicom_node.association.peers import Peer
from dicom_node.association.storage_scu import SendKind, outgoing_file, send_files
from dicom_node.association.stream_command import store_command
from dicom_node.association.stream_sender import ShortFileError
from dicom_node.errors import AssociationAbortedError, PeerTimeoutError

HOST = "127.0.0.1"
PATIENCE_S = 60


def peer(port, **settings):
    return Peer(
        name="pacs", ae_title="PACS", host=HOST, port=port, calling_ae_title="NODE", **settings
    )


@contextmanager
def pacs(*, longest=16382):
    """Have pynetdicom as a provider; yields its port and what it received, PDU by PDU."""
    seen = []
    entity = AE(ae_title="PACS")
    entity.maximum_pdu_size = longest
    entity.add_supported_context(CTImageStorage, [ExplicitVRLittleEndian])

    def note(event):
        if isinstance(event.pdu, P_DATA_TF):
            seen.append(event.pdu)

    def store(event):
        seen.append((event.request.MessageID, bytes(event.request.DataSet.getvalue())))
        return 0

    server = entity.start_server(
        (HOST, 0), block=False, evt_handlers=[(evt.EVT_PDU_RECV, note), (evt.EVT_C_STORE, store)]
    )
    try:
        yield server.server_address[1], seen
    finally:
        server.shutdown()
        entity.shutdown()


def messages(seen):
    """Return command set and data set of each message, from its PDUs."""
    found, command, data = [], b"", b""
    for one in seen:
        if isinstance(one, tuple):
            continue
        for item in one.presentation_data_value_items:
            control, piece = item.message_control_header_byte, item.presentation_data_value[1:]
            if control in {"00000001", "00000011"}:
                command += piece
            else:
                data += piece
            if control == "00000010":
                found.append((command, data))
                command, data = b"", b""
    return found


@pytest.mark.parametrize("longest", [200, 16382, 131072, 0])
def test_a_file_travels_as_it_lies_whatever_the_peer_takes_at_a_time(files, longest):
    """The data set is the rest of the file behind its meta information, in PDUs of that size."""
    few = files[:1] if longest == 200 else files
    with pacs(longest=longest) as (port, seen):
        outcomes = send_files(peer(port), few)
    assert [one.kind for one in outcomes] == [SendKind.ACCEPTED] * len(few)
    stored = [one for one in seen if isinstance(one, tuple)]
    assert [number for number, _ in stored] == list(range(1, len(few) + 1))
    for file, (_, data) in zip(few, stored, strict=True):
        assert file.path.read_bytes().endswith(data)
        assert len(data) > 100_000
    if longest:
        sizes = [one.pdu_length for one in seen if not isinstance(one, tuple)]
        assert max(sizes) <= longest
        assert all(size % 2 == 0 for size in sizes)


def test_the_library_sends_the_same_messages(files):
    """The oracle: command set and data set of pynetdicom, but for the number of the message."""
    told = []
    for by_library in (True, False):
        with pacs() as (port, seen):
            for file in files:
                send_files(peer(port), [file], by_library=by_library)
        told.append(messages(seen))
    assert told[0] == told[1]
    assert len(told[0]) == 3


def response(status=0, message_id=1, kind=0x8001, data_set_type=0x0101, context_id=1, cut=0):
    """Return a C-STORE response in one PDU, or something like it."""
    body = (
        struct.pack("<HHL", 0, 0x0002, 26) + CTImageStorage.encode() + b"\0"
        + struct.pack("<HHLH", 0, 0x0100, 2, kind)
        + struct.pack("<HHLH", 0, 0x0120, 2, message_id)
        + struct.pack("<HHLH", 0, 0x0800, 2, data_set_type)
        + struct.pack("<HHLH", 0, 0x0900, 2, status)
    )  # fmt: skip
    command = struct.pack("<HHLL", 0, 0, 4, len(body)) + body
    return pdv(command[:cut] if cut else command, context_id, 1 if cut else 3) + (
        pdv(command[cut:], context_id) if cut else b""
    )


def pdv(data, context_id=1, control=3):
    return struct.pack(">BBLLBB", 4, 0, len(data) + 6, len(data) + 2, context_id, control) + data


class Scripted:
    """A peer that accepts, takes a message whole, and answers what it is told to."""

    def __init__(self, answer, *, hangs_up=False):
        self._answer, self._hangs_up = answer, hangs_up
        self._door = socket.create_server((HOST, 0))
        self.port = self._door.getsockname()[1]
        self.over = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.over.set()
        self._thread.join(PATIENCE_S)
        self._door.close()

    def _serve(self):
        plug, _ = self._door.accept()
        plug.settimeout(PATIENCE_S)
        with plug:
            kind, body = self._pdu(plug)
            assert kind == 1
            request = A_ASSOCIATE_RQ()
            request.decode(struct.pack(">BBL", 1, 0, len(body)) + body)
            plug.sendall(accepting(len(request.presentation_context)))
            while True:
                kind, body = self._pdu(plug)
                if kind == 4 and body[5] == 2:
                    plug.sendall(self._answer)
                    if self._hangs_up:
                        return
                elif kind == 5:
                    plug.sendall(struct.pack(">BBLL", 6, 0, 4, 0))
                    return
                elif kind != 4:
                    return

    @staticmethod
    def _pdu(plug):
        head = exactly(plug, 6)
        if len(head) < 6:
            return 0, b""
        kind, _, length = struct.unpack(">BBL", head)
        return kind, exactly(plug, length)


def exactly(plug, count):
    found = b""
    while len(found) < count:
        piece = plug.recv(count - len(found))
        if not piece:
            return found
        found += piece
    return found


def accepting(contexts):
    """Return an A-ASSOCIATE-AC that takes every context in Explicit VR Little Endian."""

    def item(kind, body):
        return struct.pack(">BBH", kind, 0, len(body)) + body

    body = struct.pack(">HH16s16s32s", 1, 0, b"PACS".ljust(16), b"NODE".ljust(16), bytes(32))
    body += item(0x10, b"1.2.840.10008.3.1.1.1")
    for number in range(contexts):
        result = 0 if number == 0 else 4
        head = bytes([2 * number + 1, 0, result, 0])
        body += item(0x21, head + item(0x40, ExplicitVRLittleEndian.encode()))
    body += item(0x50, item(0x51, struct.pack(">L", 16384)) + item(0x52, b"1.2.3"))
    return struct.pack(">BBL", 2, 0, len(body)) + body


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (response(), 0),
        (response(0xB000), 0xB000),
        (response(0xA700), 0xA700),
        (response(cut=40), 0),
    ],
    ids=["whole", "warning", "refused", "in two pieces, by the library"],
)
def test_an_answer_is_heard_in_one_piece_or_two(files, answer, status):
    """PS3.8, annex E: a command may be fragmented, which the library puts together."""
    with Scripted(answer) as one:
        (outcome,) = send_files(peer(one.port), files[:1])
    assert outcome.status == status


@pytest.mark.parametrize(
    "answer",
    [
        response(message_id=2),
        response(kind=0x8020),
        response(context_id=3),
        pdv(b"rubbish"),
        pdv(b""),
        b"\x04\0\0\0\0\x02ab",
        b"\x09\0\0\0\0\x04abcd",
        struct.pack(">BBLBBBB", 7, 0, 4, 0, 0, 2, 0),
    ],
    ids=[
        "to-another",
        "of-another-kind",
        "in-another-context",
        "rubbish",
        "empty",
        "short-value",
        "no-pdu",
        "abort",
    ],
)
def test_what_is_no_answer_ends_the_association(files, answer):
    """Nobody knows whether the peer has the object: it will be sent again."""
    with Scripted(answer) as one, pytest.raises((AssociationAbortedError, PeerTimeoutError)):
        send_files(peer(one.port, dimse_timeout_s=0.4), files[:1])


@pytest.mark.parametrize("answer", [b"", b"\x04\0", response()[:30]], ids=["none", "head", "half"])
def test_a_peer_that_hangs_up_has_not_answered(files, answer):
    """Whether before its answer or within."""
    with Scripted(answer, hangs_up=True) as one, pytest.raises(AssociationAbortedError):
        send_files(peer(one.port), files[:1])


@pytest.mark.parametrize("answer", [b"", response()[:30]], ids=["silence", "half an answer"])
def test_a_peer_that_falls_silent_is_given_up_in_time(files, answer):
    """After the time for an answer, with what it said before lost."""
    with Scripted(answer) as one, pytest.raises((PeerTimeoutError, AssociationAbortedError)):
        send_files(peer(one.port, dimse_timeout_s=0.3, network_timeout_s=0.5), files[:1])


def test_a_file_that_becomes_shorter_is_not_sent_as_a_whole(files, tmp_path, monkeypatch):
    """What was begun is aborted; the peer never gets a shorter object as if it were whole."""
    path = tmp_path / "one.dcm"
    content = files[0].path.read_bytes()
    path.write_bytes(content)
    outgoing = outgoing_file(path)

    class Cutting(storage_scu.StreamSender):
        def _write(self, *arguments):
            path.write_bytes(content[:-1000])
            super()._write(*arguments)

    monkeypatch.setattr(storage_scu, "StreamSender", Cutting)
    with pacs() as (port, seen), pytest.raises(ShortFileError):
        send_files(peer(port), [outgoing])
    assert not [one for one in seen if isinstance(one, tuple)]


def test_the_library_takes_no_answer_away(files, monkeypatch):
    """Its thread may have been on its way to the network when somebody else began to read."""
    inside = threading.Event()

    class Late(storage_scu.StreamSender):
        def _share(self):
            dul = self._association.dul
            look = dul._is_transport_event

            def look_late():
                inside.set()
                threading.Event().wait(0.2)  # as on a machine that has no time for this thread
                return look()

            dul._is_transport_event = look_late
            assert inside.wait(PATIENCE_S)
            super()._share()

        def _answer(self, *arguments):
            threading.Event().wait(0.4)
            return super()._answer(*arguments)

    monkeypatch.setattr(storage_scu, "StreamSender", Late)
    with Scripted(response()) as one:
        (outcome,) = send_files(peer(one.port, dimse_timeout_s=5.0), files[:1])
    assert outcome.accepted


def test_a_command_set_is_that_of_the_standard():
    """PS3.7, section 9.3.1.1, element by element: the length of the group comes first."""
    command = store_command(7, sop_class_uid="1.2.3", sop_instance_uid="1.2.34")
    assert command == (
        b"\0\0\0\0\4\0\0\0" + struct.pack("<L", 68)
        + b"\0\0\2\0\6\0\0\0" + b"1.2.3\0"
        + b"\0\0\0\1\2\0\0\0\1\0" + b"\0\0\x10\1\2\0\0\0\7\0"
        + b"\0\0\0\7\2\0\0\0\2\0" + b"\0\0\0\x08\2\0\0\0\1\0"
        + b"\0\0\0\x10\6\0\0\0" + b"1.2.34"
    )  # fmt: skip
