"""Real associations on loopback: who is let in, what is answered, what is sent."""

import socket
import threading
from contextlib import contextmanager

import pytest
from node_builders import Clock, encoded, file_bytes, small_series, wait_for
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    MRImageStorage,
    SecondaryCaptureImageStorage,
)
from pynetdicom import AE, build_context, evt

from dicom_node.association.callers import Caller
from dicom_node.association.file_format import split_file
from dicom_node.association.peers import Peer
from dicom_node.association.presentation import ACCEPTED
from dicom_node.association.refusals import Refusals
from dicom_node.association.scp_settings import ScpSettings
from dicom_node.association.storage_scp import StorageScp
from dicom_node.association.storage_scu import SendKind, outgoing_file, send_files
from dicom_node.association.verification import echo
from dicom_node.errors import (
    AssociationAbortedError,
    AssociationRejectedError,
    PeerTimeoutError,
    PeerUnreachableError,
    SpoolFullError,
    UnreadableInstanceError,
)

HOST = "127.0.0.1"

#: Only ever reached when something is wrong.
PATIENCE_S = 60


class MemoryIntake:
    """Keeps requests, and refuses on demand."""

    def __init__(self) -> None:
        self.requests = []
        self.closed = []
        self.error = None

    def accept(self, request):
        if self.error is not None:
            raise self.error
        self.requests.append(request)

    def association_closed(self, sender, at):
        del at
        self.closed.append(sender)


@pytest.fixture
def intake():
    return MemoryIntake()


@pytest.fixture
def scp(intake, reader):
    del reader  # both are tried
    with running_scp(intake) as scp:
        yield scp


@contextmanager
def running_scp(intake, *, refusals=None, **settings):
    provider = StorageScp(
        settings=ScpSettings(
            **{
                "ae_title": "ICHNODE",
                "host": HOST,
                "port": 0,
                "callers": (Caller(ae_title="MODALITY"),),
            }
            | settings
        ),
        intake=intake,
        clock=Clock(),
        refusals=refusals,
    )
    provider.start()
    try:
        yield provider
    finally:
        provider.stop(grace_s=0.5)


def call(port, *, calling="MODALITY", called="ICHNODE", contexts=None, **options):
    entity = AE(ae_title=calling)
    entity.acse_timeout = entity.dimse_timeout = 10
    contexts = contexts or [build_context(CTImageStorage, ExplicitVRLittleEndian)]
    return entity.associate(HOST, port, contexts=contexts, ae_title=called, **options)


@contextmanager
def association_with(port, **options):
    association = call(port, **options)
    assert association.is_established
    try:
        yield association
    finally:
        if association.is_established:
            association.release()


def peer(port, **options):
    return Peer(
        **{
            "name": "pacs",
            "ae_title": "ICHNODE",
            "host": HOST,
            "port": port,
            "calling_ae_title": "MODALITY",
        }
        | options
    )


# The provider.


def test_success_means_custody(scp, intake):
    """The sender hears Success after the intake has the instance, untouched."""
    ds = small_series(1)[0]

    with association_with(scp.port) as association:
        status = association.send_c_store(ds)
        assert status.Status == 0x0000
        (request,) = intake.requests

    assert request.sop_instance_uid == ds.SOPInstanceUID
    assert request.data_set == encoded(ds)
    assert request.transfer_syntax_uid == ExplicitVRLittleEndian
    assert request.sender.calling_ae_title == "MODALITY"
    assert request.sender.address == HOST
    meta, offset = split_file(request.file_header + request.data_set)
    assert (meta.calling_ae_title, offset) == ("MODALITY", len(request.file_header))


def test_an_object_on_the_heels_of_the_acceptance_is_stored(intake):
    """The A-ASSOCIATE-AC may be answered before the thread of the association goes on."""
    is_answered = threading.Event()

    class HeldUp(Refusals):
        def admit(self):
            is_answered.wait(PATIENCE_S)
            super().admit()

    with (
        running_scp(intake, refusals=HeldUp(Clock())) as scp,
        association_with(scp.port) as sender,
    ):
        status = sender.send_c_store(small_series(1)[0])
        is_answered.set()

    assert status.Status == 0x0000
    assert len(intake.closed) == 1


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (SpoolFullError("full"), 0xA700),
        (UnreadableInstanceError("garbage"), 0xC000),
        (KeyError("unforeseen"), 0xC001),
    ],
)
def test_every_refusal_reaches_the_sender(scp, intake, error, status):
    """The sender keeps its copy, and the association goes on."""
    intake.error = error
    first, second = small_series(2)

    with association_with(scp.port) as association:
        assert association.send_c_store(first).Status == status
        intake.error = None
        assert association.send_c_store(second).Status == 0x0000


def rejected(port, **titles):
    """Return an association that was rejected.

    pynetdicom's requestor overlooks one rejection in some forty on a busy machine: where rejection
    and end of the connection are here before it looks, it takes the call for one that never
    connected. On the wire all of 400 came whole.
    """
    calls = (call(port, **titles) for _ in range(5))
    return next(association for association in calls if association.is_rejected)


@pytest.mark.parametrize(
    ("titles", "reason"),
    [({"calling": "STRANGER"}, 0x03), ({"called": "SOMEBODY"}, 0x07)],
)
def test_strangers_are_rejected_with_the_right_reason(scp, caplog, titles, reason):
    """PS3.8, table 9-21: permanent, by the service user, title not recognized; and logged."""
    association = rejected(scp.port, **titles)

    answer = association.acceptor.primitive
    assert (answer.result, answer.result_source, answer.diagnostic) == (1, 1, reason)
    wait_for(lambda: "Association refused" in caplog.text)
    assert next(iter(titles.values())) in caplog.text
    assert HOST in caplog.text


def test_anybody_may_call_where_the_site_says_so(intake):
    """None is not an empty list."""
    with (
        running_scp(intake, callers=(Caller(ae_title=None),)) as scp,
        association_with(scp.port, calling="STRANGER"),
    ):
        pass
    with pytest.raises(ValueError, match="callers must name"):
        ScpSettings(ae_title="A", host=HOST, port=0, callers=())


def test_too_many_associations_are_told_to_come_later(intake):
    """PS3.8, table 9-21: transient, presentation related, local limit exceeded."""
    with running_scp(intake, max_associations=1) as scp, association_with(scp.port):
        answer = rejected(scp.port).acceptor.primitive

        assert (answer.result, answer.result_source, answer.diagnostic) == (2, 3, 2)


def test_only_listed_contexts_are_accepted(scp):
    """CT in all encodings beside MR and captures: CT is accepted, the others are not."""
    offered = [
        build_context(CTImageStorage, [str(s) for s in ACCEPTED[1].transfer_syntaxes]),
        build_context(MRImageStorage),
        build_context(SecondaryCaptureImageStorage),
    ]

    with association_with(scp.port, contexts=offered) as association:
        accepted = [context.abstract_syntax for context in association.accepted_contexts]
        rejected = {context.abstract_syntax for context in association.rejected_contexts}

    assert accepted == [CTImageStorage]
    assert rejected == {MRImageStorage, SecondaryCaptureImageStorage}


@pytest.mark.parametrize("syntax", ACCEPTED[1].transfer_syntaxes, ids=lambda uid: uid.name)
def test_every_encoding_can_be_negotiated(scp, syntax):
    """One context each, as a sender with a single encoding proposes it."""
    contexts = [build_context(CTImageStorage, syntax)]

    with association_with(scp.port, contexts=contexts) as association:
        assert association.accepted_contexts[0].transfer_syntax == [syntax]


def serving():
    """Return the threads of associations that are established here."""
    return [
        thread
        for thread in threading.enumerate()
        if getattr(thread, "is_acceptor", False) and thread.is_established
    ]


def test_the_provider_takes_large_pieces_and_sends_at_once(scp):
    """128 kB P-DATA-TF, and no waiting for a fuller packet."""
    with association_with(scp.port) as association:
        assert association.acceptor.maximum_length == 131072
        wait_for(serving)
        (served,) = serving()
        plug = served.dul.socket.socket
        assert plug.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.parametrize("end", ["release", "abort"])
def test_the_end_of_an_association_is_reported_once(scp, intake, end):
    """However it ends, assembly must not wait for it."""
    association = call(scp.port)
    association.send_c_store(small_series(1)[0])

    getattr(association, end)()

    wait_for(lambda: bool(intake.closed))
    assert intake.closed == [intake.requests[0].sender]


def test_the_end_of_an_association_without_objects_is_nobodys_business(scp, intake):
    """Whoever only asks for an answer costs no entry in the ledger; who brings something does."""
    echo(peer(scp.port))
    association = call(scp.port)
    association.send_c_store(small_series(1)[0])
    association.release()

    wait_for(lambda: bool(intake.closed))
    assert intake.closed == [intake.requests[0].sender]


def test_a_connection_that_breaks_is_an_end_too(scp, intake):
    """The cable was pulled: no release, no abort."""
    association = call(scp.port)
    association.send_c_store(small_series(1)[0])

    association.dul.socket.socket.shutdown(socket.SHUT_RDWR)

    wait_for(lambda: bool(intake.closed))
    assert len(intake.closed) == 1


def test_stop_ends_what_is_open(intake):
    """A stopping node closes its port, aborts what lingers, and reports it."""
    with running_scp(intake) as scp:
        association = call(scp.port)
        association.send_c_store(small_series(1)[0])
        port = scp.port

    assert len(intake.closed) == 1
    wait_for(lambda: not association.is_established)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((HOST, port), timeout=60)
    with pytest.raises(RuntimeError):
        _ = scp.port


# The user.


@pytest.fixture
def files(tmp_path):
    """Three images as files."""
    paths = []
    for number, ds in enumerate(small_series(3)):
        paths.append(tmp_path / f"{number}.dcm")
        paths[-1].write_bytes(file_bytes(ds))
    return [outgoing_file(path) for path in paths]


@contextmanager
def pacs(handle_store, *, syntaxes=(ExplicitVRLittleEndian,), title="PACS"):
    """Another maker's storage provider."""
    entity = AE(ae_title=title)
    entity.add_supported_context(CTImageStorage, list(syntaxes))
    server = entity.start_server(
        (HOST, 0), block=False, evt_handlers=[(evt.EVT_C_STORE, handle_store)]
    )
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        entity.shutdown()


def test_files_arrive_as_they_are_in_the_order_given(scp, intake, files):
    """The node's user and the node's provider, byte for byte."""
    outcomes = send_files(peer(scp.port), files)

    assert [one.kind for one in outcomes] == [SendKind.ACCEPTED] * 3
    assert [one.sop_instance_uid for one in intake.requests] == [f.sop_instance_uid for f in files]
    for request, file in zip(intake.requests, files, strict=True):
        assert file.path.read_bytes().endswith(request.data_set)


def test_only_needed_contexts_are_proposed(files):
    """One class, two plain encodings."""
    seen = []

    def store(event):
        seen.append(event.assoc.requestor.requested_contexts)
        return 0

    with pacs(store, syntaxes=[ExplicitVRLittleEndian, ImplicitVRLittleEndian]) as port:
        send_files(peer(port), files)

    assert {context.abstract_syntax for context in seen[0]} == {CTImageStorage}
    assert len(seen[0]) == 2


def test_a_peer_with_one_plain_encoding_is_served_in_it(files):
    """Implicit VR only: the data set is converted, nothing is lost."""
    got = []

    def store(event):
        got.append((event.context.transfer_syntax, event.dataset))
        return 0

    with pacs(store, syntaxes=[ImplicitVRLittleEndian]) as port:
        (outcome,) = send_files(peer(port), files[:1])

    ((syntax, ds),) = got
    assert outcome.accepted
    assert syntax == ImplicitVRLittleEndian
    assert ds == dcmread(files[0].path)


@pytest.mark.parametrize(
    ("status", "kind", "word"),
    [
        (0xB000, SendKind.WARNING, "stored with a warning (0xB000)"),
        (0xA700, SendKind.REFUSED, "out of resources (0xA700)"),
        (0xA900, SendKind.REFUSED, "data set does not match SOP class (0xA900)"),
        (0xC123, SendKind.REFUSED, "cannot understand (0xC123)"),
        (0x0122, SendKind.REFUSED, "SOP class not supported (0x0122)"),
        (0x0110, SendKind.REFUSED, "failed (0x0110)"),
    ],
)
def test_statuses_are_told_apart(files, status, kind, word):
    """PS3.4, table B.2-1; the following file is sent all the same."""
    answers = iter([status, 0])

    with pacs(lambda _event: next(answers)) as port:
        first, second = send_files(peer(port), files[:2])

    assert (first.kind, first.status) == (kind, status)
    assert word in first.message
    assert first.accepted is (kind is SendKind.WARNING)
    assert second.accepted


@pytest.mark.parametrize(
    ("wanted", "taken"),
    [
        ([DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian], DeflatedExplicitVRLittleEndian),
        ([ImplicitVRLittleEndian, ExplicitVRLittleEndian], ImplicitVRLittleEndian),
        ([ExplicitVRLittleEndian, ImplicitVRLittleEndian], ExplicitVRLittleEndian),
    ],
)
def test_the_preferred_encoding_is_used_and_nothing_is_lost(tmp_path, wanted, taken):
    """A peer that takes all three; nested items and pixels arrive as they were."""
    source = small_series(1)[0]
    item = Dataset()
    item.ReferencedSOPInstanceUID = "1.2.3"
    item.ContentSequence = [Dataset()]
    item.ContentSequence[0].TextValue = "a text of odd length."
    source.ReferencedImageSequence = [item]
    path = tmp_path / "image.dcm"
    path.write_bytes(file_bytes(source))
    arrived = []

    def store(event):
        arrived.append((event.context.transfer_syntax, event.dataset))
        return 0

    everything = [
        ExplicitVRLittleEndian,
        ImplicitVRLittleEndian,
        DeflatedExplicitVRLittleEndian,
    ]
    with pacs(store, syntaxes=everything) as port:
        encodings = tuple(str(one) for one in wanted)
        (outcome,) = send_files(peer(port, encodings=encodings), [outgoing_file(path)])

    assert outcome.accepted
    ((syntax, ds),) = arrived
    assert syntax == taken
    assert {one.keyword: one.value for one in ds if one.keyword} == {
        one.keyword: one.value for one in dcmread(path) if one.keyword
    }


def test_a_rejected_context_names_class_and_encoding(tmp_path, files):
    """A PACS that takes CT, but not in JPEG 2000: the others arrive."""
    data = files[0].path.read_bytes()
    other = tmp_path / "other.dcm"
    old, new = str(ExplicitVRLittleEndian).encode(), str(JPEG2000Lossless).encode()
    old, new = old + b"\0" * (len(old) % 2), new + b"\0" * (len(new) % 2)
    before, after = data.split(b"\x02\x00\x10\x00UI" + bytes([len(old), 0]) + old)
    body = before + b"\x02\x00\x10\x00UI" + bytes([len(new), 0]) + new + after
    other.write_bytes(body)

    with pacs(lambda _event: 0) as port:
        first, second = send_files(peer(port), [outgoing_file(other), files[1]])
        (alone,) = send_files(peer(port), [outgoing_file(other)])

    assert first.kind is SendKind.CONTEXT_REJECTED
    assert first.message == (
        "pacs does not accept CT Image Storage in JPEG 2000 Image Compression (Lossless Only): "
        "refused: transfer syntax not supported"
    )
    refused = "refused: transfer syntax not supported"
    assert first.negotiation.splitlines() == [
        f"context 1: CT Image Storage in JPEG 2000 Image Compression (Lossless Only): {refused}",
        "context 3: CT Image Storage in Explicit VR Little Endian: accepted",
        f"context 5: CT Image Storage in Implicit VR Little Endian: {refused}",
    ]
    assert second.accepted
    assert alone.kind is SendKind.CONTEXT_REJECTED


def test_a_rejected_association_says_why(scp, files):
    """The three fields of A-ASSOCIATE-RJ and their words."""
    with pytest.raises(AssociationRejectedError, match="alling AE title not recogni") as caught:
        send_files(peer(scp.port, calling_ae_title="STRANGER"), files)

    assert (caught.value.result, caught.value.source, caught.value.reason) == (1, 1, 3)


def test_a_closed_port_is_unreachable(files):
    """The operating system's words are kept."""
    with socket.socket() as reserved:
        reserved.bind((HOST, 0))
        port = reserved.getsockname()[1]

        with pytest.raises(PeerUnreachableError, match="Connection refused"):
            send_files(peer(port), files)


def test_a_name_that_nobody_knows_is_unreachable(files, monkeypatch):
    """As while the hospital's name service is away: results wait, and use up no attempt."""

    def unknown(*_arguments, **_more):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)

    with pytest.raises(PeerUnreachableError, match="Name or service not known") as no:
        send_files(peer(104, host="pacs.invalid"), files)

    assert no.value.reached is False


def test_a_silent_peer_is_a_timeout(files):
    """It accepts the connection and says nothing."""
    with socket.create_server((HOST, 0)) as mute:
        silent = peer(mute.getsockname()[1], acse_timeout_s=0.3)

        with pytest.raises(PeerTimeoutError, match=r"did not answer .* within 0\.3 s"):
            send_files(silent, files)


def test_an_abort_in_the_middle_keeps_what_was_answered(files):
    """The first image is delivered, the second is not, and the caller knows both."""
    count = iter(range(9))

    def store(event):
        if next(count) == 1:
            event.assoc.abort()
        return 0

    done = []
    with pacs(store) as port, pytest.raises(AssociationAbortedError):
        send_files(peer(port), files, on_outcome=done.append)

    assert [one.file for one in done] == files[:1]


def test_no_answer_to_a_store_is_a_timeout(files):
    """The peer took the image and fell silent: nobody knows whether it has it."""
    gate = threading.Event()

    def store(_event):
        gate.wait(60)
        return 0

    with pacs(store) as port:
        with pytest.raises(PeerTimeoutError, match="did not answer C-STORE"):
            send_files(peer(port, dimse_timeout_s=0.3), files[:1])
        gate.set()


def test_echo_tells_all_ways_apart(scp):
    """Success, rejection, no listener, no Verification: each in words."""
    good = echo(peer(scp.port))
    stranger = echo(peer(scp.port, calling_ae_title="STRANGER"))
    with socket.socket() as reserved:
        reserved.bind((HOST, 0))
        nobody = echo(peer(reserved.getsockname()[1]))
    with pacs(lambda _event: 0) as port:
        without = echo(peer(port))

    assert (good.ok, good.message) == (True, "pacs answered C-ECHO with Success")
    assert good.seconds > 0
    assert not stranger.ok
    assert "rejected the association" in stranger.message
    assert not nobody.ok
    assert "Connection refused" in nobody.message
    assert not without.ok
    assert "not the Verification SOP class" in without.message


def test_what_is_no_dicom_file_is_refused_before_it_is_sent(tmp_path):
    """A text file among the images of `ichnode send`."""
    (tmp_path / "notes.txt").write_text("no image")

    with pytest.raises(ValueError, match="Not a DICOM file"):
        outgoing_file(tmp_path / "notes.txt")
