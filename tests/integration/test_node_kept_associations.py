"""Associations that stay open after results: what travels over them, and when they end.

pynetdicom is the peer, and dcmtk's storescp where it is installed; a scripted peer answers what no
library would.
"""

import shutil
import socket
import subprocess
import threading
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import pytest
from node_builders import wait_for
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage
from pynetdicom import AE, evt
from pynetdicom.sop_class import Verification

from dicom_node.association import kept_associations
from dicom_node.association.kept_associations import KeptAssociations
from dicom_node.association.peers import Peer
from dicom_node.association.verification import echo, probe
from dicom_node.errors import AssociationRejectedError, PeerError

HOST = "127.0.0.1"
PATIENCE_S = 60


def peer(port, **settings):
    return Peer(
        name="pacs", ae_title="PACS", host=HOST, port=port, calling_ae_title="NODE", **settings
    )


class Pacs:
    """A peer that writes down what happens to it, and does at an image what a test wants."""

    def __init__(self, *, room=10, classes=(CTImageStorage, Verification)):
        self.seen = []
        self.associations = []
        self.at_store = lambda association: 0  # noqa: ARG005 - answers Success
        self.entity = AE(ae_title="PACS")
        self.entity.maximum_associations = room
        for one in classes:
            self.entity.add_supported_context(one, ExplicitVRLittleEndian)
        handlers = [
            (evt.EVT_ACCEPTED, self._accepted),
            (evt.EVT_RELEASED, lambda _: self.seen.append("released")),
            (evt.EVT_C_STORE, self._stored),
        ]
        self._server = self.entity.start_server((HOST, 0), block=False, evt_handlers=handlers)
        self.port = self._server.server_address[1]

    def _accepted(self, event):
        self.associations.append(event.assoc)
        self.seen.append("accepted")

    def _stored(self, event):
        self.seen.append("stored")
        return self.at_store(event.assoc)

    def close(self):
        self._server.shutdown()
        self.entity.shutdown()


@pytest.fixture
def pacs():
    one = Pacs()
    yield one
    one.close()


class Timer:
    """Seconds that pass when a test says so."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@contextmanager
def kept(port, *, keep_s=10.0, timer=None, **settings):
    store = KeptAssociations(peer(port, **settings), keep_s=keep_s, timer=timer or Timer())
    try:
        yield store
    finally:
        store.close()


@pytest.fixture
def lines(monkeypatch):
    """Write down when the node begins and has ended associations: the peer may notice later."""
    seen, opened = [], kept_associations.storage_line

    @contextmanager
    def noted(*arguments, **options):
        with opened(*arguments, **options) as line:
            seen.append("begun")
            yield line
        seen.append("ended")

    monkeypatch.setattr(kept_associations, "storage_line", noted)
    return seen


def sent(store, files):
    """Send files; return the fate of each and how often time passed without one."""
    outcomes, again = [], []
    store.send(files, on_outcome=outcomes.append, on_progress=lambda: again.append(1))
    return [one.status for one in outcomes], len(again)


def ends(pacs):
    return pacs.seen.count("released")


def test_the_next_results_go_over_the_association_that_is_open(pacs, files):
    """One A-ASSOCIATE for three sets; it is released when its time is up, and not before."""
    timer = Timer()
    with kept(pacs.port, timer=timer) as store:
        for one in files:
            assert sent(store, [one]) == ([0], 0)
            timer.now += 9.9
            store.rest()
        assert pacs.seen == ["accepted", "stored", "stored", "stored"]

        timer.now += 0.1
        store.rest()

        wait_for(lambda: ends(pacs) == 1)
        assert sent(store, files)[0] == [0, 0, 0]
    wait_for(lambda: ends(pacs) == 2)
    assert pacs.seen.count("accepted") == 2


def test_without_a_time_nothing_is_kept(pacs, files, lines):
    """Each set has its own association, which is over before the next begins."""
    with kept(pacs.port, keep_s=0.0) as store:
        for one in files[:2]:
            sent(store, [one])
            assert not store.close()
    assert lines == ["begun", "ended"] * 2
    assert pacs.seen.count("stored") == 2


def test_other_contexts_need_another_association_and_there_is_one_at_a_time(files, lines):
    """A site that lets the node have one association is asked for one."""
    pacs = Pacs(classes=(CTImageStorage, MRImageStorage))
    other = replace(files[1], sop_class_uid=str(MRImageStorage))
    try:
        with kept(pacs.port) as store:
            sent(store, files[:1])
            sent(store, [other])
            sent(store, [other, other])
    finally:
        pacs.close()
    assert lines == ["begun", "ended"] * 2
    assert pacs.seen.count("stored") == 4


def test_a_refused_context_is_asked_for_anew(pacs, files):
    """An administrator may have mended the peer since."""
    unknown = replace(files[1], sop_class_uid=str(MRImageStorage))
    with kept(pacs.port) as store:
        for _ in range(2):
            assert sent(store, [files[0], unknown])[0] == [0, None]
            assert not store.close()
    assert pacs.seen.count("accepted") == 2


@pytest.mark.parametrize("way", ["release", "abort", "hang up"])
def test_a_peer_may_end_what_is_kept(pacs, files, way):
    """It is noticed before anything is sent; the peer that asks for a release is answered."""
    with kept(pacs.port) as store:
        sent(store, files[:1])
        (theirs,) = pacs.associations
        if way == "release":
            ender = threading.Thread(target=theirs.release)
            ender.start()
            wait_for(lambda: store.rest() or theirs.is_released)
            ender.join(PATIENCE_S)
            assert theirs.is_released
        elif way == "abort":
            theirs.abort()
        else:
            theirs.dul.socket.socket.shutdown(socket.SHUT_RDWR)
        wait_for(lambda: not theirs.is_established)

        assert sent(store, files[1:])[0] == [0, 0]
    assert pacs.seen.count("accepted") == 2
    assert pacs.seen.count("stored") == 3


def test_what_fails_on_a_kept_association_is_sent_again_at_once(pacs, files):
    """The peer breaks off at the first image of the second set: nobody is told of a failure."""
    with kept(pacs.port) as store:
        sent(store, files[:1])
        pacs.at_store = partial(end_it, pacs)

        assert sent(store, files[1:]) == ([0, 0], 1)
    assert pacs.seen.count("accepted") == 2
    assert pacs.seen.count("stored") == 4


def end_it(pacs, association):
    pacs.at_store = lambda _: 0
    association.abort()
    return 0


def test_a_failure_after_an_answer_counts(pacs, files):
    """The association was alive: what is left is tried again as after any other failure."""
    with kept(pacs.port) as store:
        sent(store, files[:1])
        pacs.at_store = lambda _: setattr(pacs, "at_store", partial(end_it, pacs)) or 0

        told = []
        with pytest.raises(PeerError):
            store.send(files[1:], on_outcome=told.append, on_progress=lambda: None)
        assert [one.status for one in told] == [0]
    assert pacs.seen.count("accepted") == 1


def test_a_fault_of_who_is_told_is_no_reason_to_send_again(pacs, files):
    """Its error goes through, and the association is not kept."""

    def refuse(outcome):
        raise PeerError(outcome.message)

    with kept(pacs.port) as store:
        sent(store, files[:1])
        with pytest.raises(PeerError, match="accepted"):
            store.send(files[1:], on_outcome=refuse, on_progress=lambda: None)
        assert not store.close()
    assert pacs.seen.count("stored") == 2


def test_what_is_kept_gives_way_where_the_peer_has_no_room(files):
    """Reason local-limit-exceeded (PS3.8, table 9-21); without anything to give, it is told."""
    pacs = Pacs(room=1)
    calls = []

    def call():
        calls.append(1)
        if len(calls) == 2:
            wait_for(lambda: not pacs.entity.active_associations)  # the peer counts so long
        probe(peer(pacs.port))

    try:
        with kept(pacs.port) as store, kept(pacs.port) as other:
            sent(store, files[:1])
            with pytest.raises(AssociationRejectedError):
                other.with_room(lambda: probe(peer(pacs.port)))
            store.with_room(call)
            assert not store.close()
    finally:
        pacs.close()
    assert len(calls) == 2


def test_two_senders_side_by_side_keep_two(pacs, files):
    """Each takes one that is free; the second is opened since the first is in use."""
    inside, go_on = threading.Event(), threading.Event()

    def wait(_association):
        inside.set()
        assert go_on.wait(PATIENCE_S)
        return 0

    with kept(pacs.port) as store:
        pacs.at_store = wait
        slow = threading.Thread(target=sent, args=(store, files[:1]))
        slow.start()
        assert inside.wait(PATIENCE_S)
        pacs.at_store = lambda _: 0
        sent(store, files[1:])
        go_on.set()
        slow.join(PATIENCE_S)
        for one in files:
            sent(store, [one])
        assert pacs.seen.count("accepted") == 2
    wait_for(lambda: ends(pacs) == 2)


@pytest.mark.acceptance
def test_dcmtk_sees_one_association(tmp_path, files):
    """In the log of storescp: the echo's association and one more, both released; every image."""
    if shutil.which("storescp") is None:
        pytest.skip("dcmtk's storescp not found: install the package dcmtk")
    with socket.socket() as reserved:
        reserved.bind((HOST, 0))
        port = reserved.getsockname()[1]
    log = tmp_path / "log"
    with (
        log.open("wb") as written,
        subprocess.Popen(
            ["storescp", "-v", "-aet", "PACS", "-od", str(tmp_path), str(port)], stderr=written
        ) as archive,
    ):
        try:
            wait_for(lambda: echo(peer(port)).ok, limit_s=PATIENCE_S)
            with kept(port) as store:
                for one in files:
                    assert sent(store, [one])[0] == [0]
            wait_for(lambda: log.read_text().count("Association Release") == 2)
        finally:
            archive.terminate()

    assert log.read_text().count("Association Acknowledged") == 2, "the echo's, and one"
    assert log.read_text().count("Received Store Request") == 3
