"""Callers that want too much: too long, too slow, too many, or no DICOM at all."""

import contextlib
import socket
import struct
import threading
import tracemalloc
from ipaddress import ip_network

import pytest
from node_builders import Clock, small_series, wait_for
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE, build_context

from dicom_node.association.callers import Caller, Permission
from dicom_node.association.receive_limits import ReceiveLimits
from dicom_node.association.refusals import RefusalKind
from dicom_node.association.scp_settings import ScpSettings
from dicom_node.association.storage_scp import StorageScp

HOST = "127.0.0.1"
ABORT = b"\x07\x00\x00\x00\x00\x04"
CALLERS = (Caller(ae_title="MODALITY"),)
VERIFICATION = "1.2.840.10008.1.1"

pytestmark = [
    pytest.mark.usefixtures("reader"),
]


class GatedIntake:
    """Keeps what it is given; can be made to wait."""

    def __init__(self):
        self.requests = []
        self.gate = threading.Event()
        self.gate.set()

    def accept(self, request):
        self.requests.append(request)
        self.gate.wait(60)

    def association_closed(self, sender, at):
        """Forget it."""


@pytest.fixture
def intake():
    return GatedIntake()


@contextlib.contextmanager
def listening(intake, *, callers=CALLERS, **options):
    limits = {
        key: options.pop(key)
        for key in ("request_s", "pdu_s", "message_s", "max_object_bytes", "max_unfinished_bytes")
        if key in options
    }
    provider = StorageScp(
        settings=ScpSettings(
            ae_title="ICHNODE",
            host=HOST,
            port=0,
            callers=callers,
            limits=ReceiveLimits(**limits),
            **options,
        ),
        intake=intake,
        clock=Clock(),
    )
    provider.start()
    try:
        yield provider
    finally:
        provider.stop(grace_s=0.5)


def call(port, *, calling="MODALITY", contexts=None):
    entity = AE(ae_title=calling)
    entity.acse_timeout = entity.dimse_timeout = 60
    contexts = contexts or [build_context(CTImageStorage, ExplicitVRLittleEndian)]
    return entity.associate(HOST, port, contexts=contexts, ae_title="ICHNODE")


@contextlib.contextmanager
def association_with(port, **options):
    association = call(port, **options)
    assert association.is_established
    try:
        yield association
    finally:
        if association.is_established:
            association.release()


@contextlib.contextmanager
def raw_connection(port):
    with socket.create_connection((HOST, port), timeout=60) as plug:
        yield plug


def pdu(kind, body, *, length=None):
    return struct.pack(">BBL", kind, 0, len(body) if length is None else length) + body


def item(kind, body):
    return struct.pack(">BBH", kind, 0, len(body)) + body


def association_request(calling=b"MODALITY"):
    """Return an A-ASSOCIATE-RQ for CT in Explicit VR (PS3.8, section 9.3.2)."""
    context = item(
        0x20,
        b"\x01\0\0\0" + item(0x30, CTImageStorage.encode()) + item(0x40, b"1.2.840.10008.1.2.1"),
    )
    user = item(0x50, item(0x51, struct.pack(">L", 16384)) + item(0x52, b"1.2.3"))
    body = struct.pack(">HH16s16s32s", 1, 0, b"ICHNODE".ljust(16), calling.ljust(16), bytes(32))
    return pdu(0x01, body + item(0x10, b"1.2.840.10008.3.1.1.1") + context + user)


def fragment(control, data):
    """Return a P-DATA-TF with one presentation data value."""
    return pdu(0x04, struct.pack(">LBB", len(data) + 2, 1, control) + data)


def element(number, value):
    return struct.pack("<HHL", 0, number, len(value)) + value


def store_command(message_id=1, uid=b"1.2.3.4\0"):
    """Return the command set of a C-STORE request (PS3.7, table 9.3-1)."""
    body = (
        element(0x0002, CTImageStorage.encode() + b"\0")
        + element(0x0100, struct.pack("<H", 1))
        + element(0x0110, struct.pack("<H", message_id))
        + element(0x0700, struct.pack("<H", 0))
        + element(0x0800, struct.pack("<H", 0))
        + element(0x1000, uid)
    )
    return element(0x0000, struct.pack("<L", len(body))) + body


def established(plug):
    plug.sendall(association_request())
    assert plug.recv(6)[:1] == b"\x02"
    plug.settimeout(0.3)
    try:
        while plug.recv(4096):
            pass
    except TimeoutError:
        plug.settimeout(20)


def rest_of(plug):
    """Return what still comes until the other side hangs up."""
    found = b""
    try:
        while piece := plug.recv(4096):
            found += piece
    except ConnectionResetError:
        pass
    return found


def count_of(scp, kind):
    return scp.refusals.totals().get(kind, 0)


# Who may do what.


def test_a_caller_may_do_what_its_entry_says(intake):
    """Echo for one, store for the other; the other context is rejected, not the association."""
    callers = (
        Caller(ae_title="MONITOR", may=frozenset({Permission.ECHO})),
        Caller(ae_title="MODALITY", may=frozenset({Permission.STORE})),
    )
    contexts = [
        build_context(CTImageStorage, ExplicitVRLittleEndian),
        build_context(VERIFICATION, ExplicitVRLittleEndian),
    ]
    accepted = {}

    with listening(intake, callers=callers) as scp:
        for calling in ("MONITOR", "MODALITY"):
            with association_with(scp.port, calling=calling, contexts=contexts) as association:
                accepted[calling] = [
                    context.abstract_syntax for context in association.accepted_contexts
                ]

    assert accepted == {"MONITOR": [VERIFICATION], "MODALITY": [CTImageStorage]}


def test_the_right_title_from_the_wrong_address_is_rejected(intake, caplog):
    """A copied AE title is not enough."""
    callers = (
        Caller(ae_title="MODALITY", network=ip_network("10.0.0.21")),
        Caller(ae_title="OTHER", network=ip_network("127.0.0.0/8")),
    )

    with listening(intake, callers=callers) as scp:
        association = call(scp.port)
        answer = association.acceptor.primitive
        counted = scp.refusals.totals()

    assert (answer.result, answer.result_source, answer.diagnostic) == (1, 1, 3)
    assert counted == {RefusalKind.WRONG_ADDRESS: 1}
    assert "not from this address" in caplog.text


def test_an_address_of_nobody_is_not_even_answered(intake):
    """Not a byte is read, so none can do harm."""
    callers = (Caller(ae_title="MODALITY", network=ip_network("10.0.0.21")),)

    with listening(intake, callers=callers) as scp, raw_connection(scp.port) as plug:
        assert rest_of(plug) == b""
        assert count_of(scp, RefusalKind.UNKNOWN_ADDRESS) == 1


def test_a_caller_has_its_own_limit(intake):
    """A modality that forgets to release does not lock the others out."""
    callers = (Caller(ae_title="MODALITY", max_associations=1), Caller(ae_title="PACS"))

    with listening(intake, callers=callers) as scp, association_with(scp.port):
        second = call(scp.port)
        answer = second.acceptor.primitive
        with association_with(scp.port, calling="PACS"):
            pass

    assert (answer.result, answer.result_source, answer.diagnostic) == (2, 3, 2)


def test_a_place_is_free_again_after_release_and_after_a_break(intake):
    """The limit counts what is open, not what has been."""
    callers = (Caller(ae_title="MODALITY", max_associations=1),)

    with listening(intake, callers=callers) as scp:
        for _ in range(2):
            with association_with(scp.port):
                pass
        broken = call(scp.port)
        broken.dul.socket.socket.shutdown(socket.SHUT_RDWR)
        wait_for(lambda: not scp._guests.everybody())
        with association_with(scp.port):
            pass


def test_a_fault_in_judging_a_caller_lets_nobody_in(intake):
    """An open door would be the worse fault; PS3.8, table 9-21: transient, no reason given."""

    class BrokenRule:
        def knows_address(self, address):
            return bool(address)

        def decide(self, call, open_calls):
            raise KeyError(call, open_calls)

    with listening(intake) as scp:
        scp._admission = BrokenRule()
        association = call(scp.port)
        answer = association.acceptor.primitive

    assert (answer.result, answer.result_source, answer.diagnostic) == (2, 2, 1)


# Too slow.


def test_who_asks_for_nothing_is_disconnected(intake):
    """A connection without an association request."""
    with listening(intake, request_s=0.5) as scp, raw_connection(scp.port) as plug:
        assert rest_of(plug) == b""
        wait_for(lambda: count_of(scp, RefusalKind.TOO_SLOW) == 1)


@pytest.mark.parametrize("begun", [1, 5, 20])
def test_who_asks_byte_by_byte_is_disconnected(intake, begun):
    """Part of an association request: in the header, after it, or in the middle."""
    with listening(intake, request_s=0.5) as scp, raw_connection(scp.port) as plug:
        plug.sendall(association_request()[:begun])
        assert rest_of(plug) in {b"", ABORT + b"\0\0\x02\x06"}
        wait_for(lambda: count_of(scp, RefusalKind.TOO_SLOW) == 1)


def test_a_drip_of_bytes_does_not_extend_the_time(intake):
    """One byte every tenth of a second: the time is for the whole, not for each byte."""
    with listening(intake, request_s=0.8) as scp, raw_connection(scp.port) as plug:
        stop = threading.Event()

        def drip():
            for byte in association_request():
                if stop.wait(0.1):
                    return
                try:
                    plug.sendall(bytes([byte]))
                except OSError:
                    return

        thread = threading.Thread(target=drip)
        thread.start()
        wait_for(lambda: count_of(scp, RefusalKind.TOO_SLOW) == 1)
        stop.set()
        thread.join()


def test_a_pdu_that_stops_in_the_middle_ends_the_association(intake):
    """Established, then half a P-DATA-TF."""
    with listening(intake, pdu_s=0.5) as scp, raw_connection(scp.port) as plug:
        established(plug)
        plug.sendall(fragment(0x03, store_command())[:50])

        assert rest_of(plug).startswith(ABORT)
        assert count_of(scp, RefusalKind.TOO_SLOW) == 1


def test_a_message_that_never_ends_is_aborted(intake):
    """Every PDU is in time, the message is not."""
    with listening(intake, message_s=0.5) as scp, raw_connection(scp.port) as plug:
        established(plug)
        plug.sendall(fragment(0x03, store_command()))
        pause = threading.Event()
        while count_of(scp, RefusalKind.TOO_SLOW) == 0:
            plug.sendall(fragment(0x00, bytes(100)))
            pause.wait(0.05)
        assert rest_of(plug).startswith(ABORT)
        assert count_of(scp, RefusalKind.TOO_SLOW) == 1
        assert intake.requests == []


def test_slow_callers_leave_no_threads_behind(intake):
    """Whatever they stopped in."""
    before = threading.active_count()

    with listening(intake, request_s=0.5, pdu_s=0.5) as scp:
        for begun in (0, 3, 30):
            with raw_connection(scp.port) as plug:
                plug.sendall(association_request()[:begun])
                rest_of(plug)
        with raw_connection(scp.port) as plug:
            established(plug)
            plug.sendall(b"\x04\0")
            rest_of(plug)

    wait_for(lambda: threading.active_count() <= before)


def test_strangers_that_wait_do_not_keep_a_modality_out(intake):
    """One address may have as many connections without an association as there may be with."""
    with listening(intake, request_s=2.0, max_associations=8) as scp:
        mute = [socket.create_connection((HOST, scp.port), timeout=60) for _ in range(8)]
        wait_for(lambda: len(scp._listeners["without TLS"].active_associations) == 8)
        with raw_connection(scp.port) as ninth:
            assert rest_of(ninth) == b""
        assert count_of(scp, RefusalKind.CONNECTION_LIMIT) == 1
        for one in mute:
            one.close()
        wait_for(lambda: not scp._listeners["without TLS"].active_associations)
        with association_with(scp.port):
            pass


# Too much.


@pytest.mark.parametrize(
    ("kind", "length"),
    [(0x01, 2**32 - 1), (0x01, 256 * 1024 + 1), (0x07, 5000)],
)
def test_a_long_first_pdu_is_not_waited_for(intake, kind, length):
    """Four gigabytes announced: nothing is read, nothing is allocated."""
    with listening(intake) as scp, raw_connection(scp.port) as plug:
        plug.sendall(pdu(kind, b"", length=length))

        assert rest_of(plug).startswith(ABORT)
        refused = scp.refusals.totals()

    assert refused in ({RefusalKind.PDU_TOO_LONG: 1}, {RefusalKind.NOT_DICOM: 1})


@pytest.mark.parametrize("length", [131072 + 7, 2**31, 2**32 - 1])
def test_a_pdu_longer_than_agreed_ends_the_association(intake, length):
    """131072 bytes were agreed; the header may be counted in."""
    with listening(intake) as scp, raw_connection(scp.port) as plug:
        established(plug)
        plug.sendall(pdu(0x04, b"", length=length))

        assert rest_of(plug).startswith(ABORT)
        assert count_of(scp, RefusalKind.PDU_TOO_LONG) == 1


def test_an_object_above_the_limit_is_refused_and_the_next_one_taken(intake):
    """A703H, in the same association; the sender keeps the one and has delivered the other."""
    large, small = small_series(2)
    large.PixelData = bytes(3 * 2**20)
    large.Rows = large.Columns = 1

    with listening(intake, max_object_bytes=2**20) as scp, association_with(scp.port) as sending:
        first = sending.send_c_store(large)
        second = sending.send_c_store(small)

        assert (first.Status, second.Status) == (0xA703, 0x0000)
        assert count_of(scp, RefusalKind.OBJECT_TOO_LARGE) == 1
    assert [one.sop_instance_uid for one in intake.requests] == [small.SOPInstanceUID]


def test_a_huge_object_needs_no_huge_memory(intake):
    """64 MB are sent with a limit of 1 MB: never more than a few are held."""
    with (
        listening(intake, max_object_bytes=2**20) as scp,
        raw_connection(scp.port) as plug,
    ):
        established(plug)
        plug.sendall(fragment(0x03, store_command()))
        piece = fragment(0x00, bytes(65536))
        tracemalloc.start()
        for _ in range(1024):
            plug.sendall(piece)
        plug.sendall(fragment(0x02, b""))
        answer = plug.recv(4096)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

    assert answer[:1] == b"\x04"
    assert struct.pack("<HHLH", 0, 0x0900, 2, 0xA703) in answer
    assert peak < 16 * 2**20


def test_all_objects_together_have_a_limit(intake):
    """A704H while another large one is on its way; afterwards it is taken."""
    intake.gate.clear()
    first, second = small_series(2)
    for ds in (first, second):
        ds.PixelData = bytes(700_000)
        ds.Rows = ds.Columns = 1

    with (
        listening(intake, max_unfinished_bytes=2**20) as scp,
        association_with(scp.port) as one,
        association_with(scp.port) as other,
    ):
        statuses = []
        sending = threading.Thread(target=lambda: statuses.append(one.send_c_store(first).Status))
        sending.start()
        wait_for(lambda: len(intake.requests) == 1)
        refused = other.send_c_store(second).Status
        intake.gate.set()
        sending.join()
        taken = other.send_c_store(second).Status

    assert (refused, statuses, taken) == (0xA704, [0], 0)


def test_requests_that_do_not_wait_for_answers_are_not_piled_up(intake):
    """Asynchronous operations are not agreed: one is served, one waits, the rest stays outside."""
    intake.gate.clear()
    with listening(intake) as scp, raw_connection(scp.port) as plug:
        established(plug)
        plug.settimeout(1.0)
        message = (
            fragment(0x03, store_command())
            + b"".join(fragment(0x00, bytes(65536)) for _ in range(15))
            + fragment(0x02, bytes(16))
        )
        sent = 0
        with contextlib.suppress(TimeoutError):
            for _ in range(40):
                plug.sendall(message)
                sent += 1
        (served,) = [
            thread
            for thread in threading.enumerate()
            if getattr(thread, "is_acceptor", False) and thread.is_established
        ]
        assert served.dimse.msg_queue.qsize() <= 1
        intake.gate.set()

    assert sent < 30


# No DICOM at all.


@pytest.mark.parametrize(
    ("sent", "kind"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", RefusalKind.NOT_DICOM),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", RefusalKind.TLS_ON_PLAIN_PORT),
        (bytes(64), RefusalKind.NOT_DICOM),
        (pdu(0x04, bytes(20)), RefusalKind.NOT_DICOM),
        (pdu(0x99, bytes(20)), RefusalKind.NOT_DICOM),
    ],
)
def test_other_protocols_are_told_apart(intake, sent, kind):
    """HTTP, TLS, zeros, data before an association, an unknown PDU; and a modality comes next."""
    with listening(intake) as scp:
        with raw_connection(scp.port) as plug:
            plug.sendall(sent)
            rest_of(plug)
        wait_for(lambda: count_of(scp, kind) == 1)
        with association_with(scp.port):
            pass


@pytest.mark.parametrize(
    "sent",
    [
        fragment(0x03, b"garbage that is no command set"),
        fragment(0x03, b""),
        fragment(0x03, element(0x0100, struct.pack("<H", 0x7777))),
        pdu(0x04, struct.pack(">LB", 1, 1)),
        pdu(0x04, struct.pack(">LBB", 2**31, 1, 3)),
        fragment(0x01, bytes(60000)) + fragment(0x01, bytes(60000)),
        fragment(0x03, element(0x0002, b"\xff" * 64) + store_command()),
    ],
    ids=["garbage", "empty", "unknown command", "no control", "length", "endless", "twice"],
)
def test_messages_that_make_no_sense_end_one_association_only(intake, sent):
    """A-ABORT or a refusal, no thread that dies aloud, and the next association works."""
    with listening(intake) as scp:
        with raw_connection(scp.port) as plug:
            established(plug)
            plug.sendall(sent)
            plug.shutdown(socket.SHUT_WR)
            rest_of(plug)
        with association_with(scp.port) as association:
            assert association.send_c_store(small_series(1)[0]).Status == 0


def test_a_request_that_makes_no_sense_ends_one_connection_only(intake):
    """An even presentation context ID (PS3.8, table 9-13): aborted at once, no thread dies."""
    request = association_request()
    start = request.index(b"\x30\0")
    request = request[: start - 4] + b"\x02" + request[start - 3 :]

    with listening(intake) as scp:
        with raw_connection(scp.port) as plug:
            plug.sendall(request)
            assert rest_of(plug).startswith(ABORT)
        wait_for(lambda: count_of(scp, RefusalKind.MALFORMED) == 1)
        with association_with(scp.port):
            pass


def test_nothing_of_what_a_stranger_sent_is_in_the_log(intake, caplog):
    """A name in a garbage command set stays out of the log, as it stays out of everything."""
    with listening(intake) as scp, raw_connection(scp.port) as plug:
        established(plug)
        plug.sendall(fragment(0x03, element(0x0100, b"POISON^NAME")))
        rest_of(plug)
        wait_for(lambda: count_of(scp, RefusalKind.MALFORMED) == 1)

    ours = [one for one in caplog.records if one.name.startswith("dicom_node")]
    assert ours
    assert not [one for one in ours if "POISON" in one.getMessage()]
