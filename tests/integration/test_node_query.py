"""The node asks a PACS for earlier scans: C-FIND, C-MOVE, C-GET over the loopback address."""

import shutil
import subprocess
import threading
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from node_builders import Clock, file_bytes, opened_ledger, small_series, wait_for
from query_provider import FIND, QueryProvider

from dicom_node.association.callers import Caller
from dicom_node.association.peers import Peer
from dicom_node.association.query import PatientIdentity, StudyQuery, find_ct_series
from dicom_node.association.receive_limits import ReceiveLimits
from dicom_node.association.retrieve import get_series, move_series
from dicom_node.association.scp_settings import ScpSettings
from dicom_node.association.storage_scp import StorageScp
from dicom_node.commands.check_priors import prior_findings
from dicom_node.commands.demo_stage import free_ports
from dicom_node.errors import (
    AssociationAbortedError,
    PeerTimeoutError,
    PeerUnreachableError,
    QueryRefusedError,
    UnaskablePatientError,
)
from dicom_node.intake.custody import Custody
from dicom_node.intake.spool import Spool, SpoolLimits
from dicom_node.settings.file import parse_settings

PATIENT = PatientIdentity(patient_id="P1", birth_date="19340217", sex="M")
QUERY = StudyQuery(patient=PATIENT, first_day=date(2026, 1, 2), last_day=date(2026, 1, 5))
FREE = threading.Event()


def scan(number, *, day="20260104", **changes):
    """Return a series of its own study with what a PACS indexes."""
    images = small_series(seed=number, study_uid=f"1.2.{number}", patient_id="P1")
    for image in images:
        image.StudyDate, image.StudyTime = day, "101500"
        image.PatientBirthDate, image.PatientSex = "19340217", "M"
        for keyword, value in changes.items():
            setattr(image, keyword, value)
    return images


@pytest.fixture
def custody(tmp_path):
    with opened_ledger(tmp_path / "ledger.sqlite") as ledger:
        spool = Spool(tmp_path / "spool", limits=SpoolLimits(free_floor_bytes=0))
        yield (
            ledger,
            Custody(spool=spool, register=ledger.arrivals, patient_salt=ledger.patient_salt),
        )


def peer_at(port, **changes):
    peer = Peer(
        name="pacs",
        ae_title="PACS",
        host="127.0.0.1",
        port=port,
        calling_ae_title="ICHNODE",
        dimse_timeout_s=5,
    )
    return replace(peer, **changes)


def find(port, query=QUERY, **changes):
    return find_ct_series(peer_at(port, **changes), query, stop=FREE)


def test_the_ct_series_of_the_patient_are_found():
    """With description, body part and number of images, of the days that were asked for."""
    inside, before = scan(1), scan(2, day="20260101")
    with QueryProvider([*inside, *before]).listening() as port:
        (found,) = find(port)

    assert found.study_instance_uid == "1.2.1"
    assert found.series_instance_uid == inside[0].SeriesInstanceUID
    assert (found.description, found.body_part) == ("HEAD 5.0 H31s", "HEAD")
    assert (found.study_date, found.study_time, found.instances) == ("20260104", "101500", 12)


@pytest.mark.parametrize(
    "changes",
    [
        {"PatientID": "P2"},
        {"PatientBirthDate": "19500101"},
        {"PatientSex": "F"},
        {"StudyDate": "20251231"},
        {"StudyInstanceUID": ""},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_what_a_careless_pacs_answers_is_left_out(changes):
    """It ignores the keys and tells everything it has; only what fits is believed."""
    provider = QueryProvider([*scan(1), *scan(2, **changes)])
    provider.ignores_keys = True
    with provider.listening() as port:
        found = find(port)

    assert {one.study_instance_uid for one in found} == {"1.2.1"}


def test_a_study_of_other_modalities_has_no_series_to_offer():
    """A magnetic resonance series in the study is not asked for and not believed."""
    provider = QueryProvider(scan(1, Modality="MR"))
    provider.ignores_keys = True
    with provider.listening() as port:
        assert find(port) == ()


def test_a_failure_is_told_in_words():
    """Status A700 of C-FIND is out of resources (PS3.4, table C.4-1)."""
    provider = QueryProvider(scan(1))
    provider.find_status = 0xA700
    with (
        provider.listening() as port,
        pytest.raises(QueryRefusedError, match=r"out of resources \(0xA700\)"),
    ):
        find(port)


def test_a_pacs_without_queries_is_told_from_one_that_is_away():
    """The first answers, but offers no C-FIND; the second does not answer."""
    (closed,) = free_ports(1)
    with (
        QueryProvider([], services=()).listening() as port,
        pytest.raises(QueryRefusedError, match="does not offer"),
    ):
        find(port)
    with pytest.raises(PeerUnreachableError):
        find(closed)


def test_a_pacs_that_says_nothing_is_given_up():
    """The association is up, the answer does not come."""
    provider = QueryProvider(scan(1))
    provider.answers.clear()
    with provider.listening() as port, pytest.raises(PeerTimeoutError, match=r"within 0\.5 s"):
        find(port, dimse_timeout_s=0.5)


def test_a_query_can_be_stopped_from_outside():
    """The node ends; it does not wait for a PACS."""
    provider = QueryProvider(scan(1))
    provider.answers.clear()
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    with provider.listening() as port, pytest.raises(AssociationAbortedError):
        find_ct_series(peer_at(port, dimse_timeout_s=20), QUERY, stop=stop)


@pytest.mark.parametrize("patient_id", ["", "A*", "A?B", "A\\B"])
def test_a_patient_id_that_is_no_literal_is_never_asked_for(patient_id):
    """It would match other patients (PS3.4, section C.2.2.2)."""
    with pytest.raises(UnaskablePatientError) as refused:
        PatientIdentity(patient_id=patient_id)

    assert "A" not in str(refused.value).replace("ID", "").split()


def test_the_identity_does_not_show():
    """Whoever prints a query prints no patient."""
    assert "P1" not in repr(QUERY)
    assert "1934" not in repr(QUERY)


def in_custody(ledger):
    return {one.series_instance_uid: one.images for one in ledger.reports.overview().series}


def test_c_get_brings_a_series_into_custody(custody):
    """Over one association, with the node as storage provider; its end is recorded."""
    ledger, intake = custody
    images = scan(1)
    with QueryProvider(images).listening() as port:
        (done,) = get_series(peer_at(port), find(port), intake=intake, clock=Clock(), stop=FREE)

    assert (done.completed, done.failed, done.ok) == (12, 0, True)
    assert in_custody(ledger) == {images[0].SeriesInstanceUID: 12}
    with ledger.database.read() as session:
        opened = session.connection().exec_driver_sql(
            "SELECT calling_ae_title, closed_at IS NOT NULL FROM associations"
        )
        assert opened.fetchall() == [("PACS", 1)]


def test_c_get_without_room_tells_the_pacs(tmp_path):
    """Every sub-operation is answered with a failure; nothing is claimed to be here."""
    with opened_ledger(tmp_path / "ledger.sqlite") as ledger:
        full = Spool(tmp_path / "spool", limits=SpoolLimits(free_floor_bytes=2**60))
        intake = Custody(spool=full, register=ledger.arrivals, patient_salt=ledger.patient_salt)
        with QueryProvider(scan(1)).listening() as port:
            (done,) = get_series(
                peer_at(port), find(port), intake=intake, clock=Clock(), stop=FREE
            )

        assert (done.completed, done.failed, done.ok) == (0, 12, False)
        assert in_custody(ledger) == {}


def test_c_get_keeps_to_the_limit_of_an_object(custody):
    """What is longer than allowed is refused to the PACS; the others of the series arrive."""
    ledger, intake = custody
    images = scan(1)
    images[0].PixelData = bytes(64 * 1024)
    with QueryProvider(images).listening() as port:
        (done,) = get_series(
            peer_at(port),
            find(port),
            intake=intake,
            clock=Clock(),
            stop=FREE,
            limits=ReceiveLimits(max_object_bytes=32 * 1024),
        )

    assert (done.completed, done.failed, done.ok) == (11, 1, False)
    assert in_custody(ledger) == {images[0].SeriesInstanceUID: 11}


@pytest.fixture
def listener(custody):
    _, intake = custody
    provider = StorageScp(
        settings=ScpSettings(
            ae_title="ICHNODE", host="127.0.0.1", port=0, callers=(Caller(ae_title="PACS"),)
        ),
        intake=intake,
        clock=Clock(),
    )
    provider.start()
    yield provider
    provider.stop(grace_s=1)


def test_c_move_has_the_pacs_send_to_our_listener(custody, listener):
    """The images come over an association of the PACS."""
    ledger, _ = custody
    images = scan(1)
    provider = QueryProvider(images)
    provider.destinations["ICHNODE"] = ("127.0.0.1", listener.port)
    with provider.listening() as port:
        (done,) = move_series(peer_at(port), find(port), stop=FREE)

    assert (done.completed, done.failed, done.ok) == (12, 0, True)
    assert in_custody(ledger) == {images[0].SeriesInstanceUID: 12}


def test_a_pacs_that_does_not_know_us_says_so():
    """Status A801: move destination unknown (PS3.4, table C.4-2)."""
    with QueryProvider(scan(1)).listening() as port:
        (done,) = move_series(peer_at(port), find(port), stop=FREE)

    assert (done.completed, done.status) == (0, 0xA801)
    assert "does not know our AE title" in done.message


@pytest.mark.parametrize("ask", [move_series, get_series])
def test_a_pacs_that_only_answers_queries_says_so(ask, custody):
    """It offers C-FIND alone."""
    _, intake = custody
    more = {"intake": intake, "clock": Clock()} if ask is get_series else {}
    with QueryProvider(scan(1), services=[FIND]).listening() as port:
        series = find(port)
        with pytest.raises(QueryRefusedError, match="does not offer"):
            ask(peer_at(port), series, stop=FREE, **more)


def findings(port, way, callers):
    peer = {"name": "pacs", "ae_title": "PACS", "host": "127.0.0.1", "port": port}
    document = {"peers": [peer | {"gives_priors": way}], "node": {"callers": callers}}
    return list(prior_findings(parse_settings(document, source="node.toml", environment={})))


def test_check_says_whether_a_peer_can_give_priors():
    """It needs C-FIND and the way that the site chose, and for C-MOVE the right to send to us."""
    with QueryProvider([]).listening() as port:
        moved = findings(port, "move", ["PACS"])
        unknown = findings(port, "move", ["CT"])
        got = findings(port, "get", ["CT"])
    with QueryProvider([], services=[FIND]).listening() as port:
        deaf = findings(port, "get", ["CT"])
    away = findings(port, "get", ["CT"])

    assert [good for ((_, good, _),) in (moved, unknown, got, deaf, away)] == [
        *(True, False, True, False, False)
    ]
    assert "not among node.callers" in unknown[0][2]
    assert "does not offer" in deaf[0][2]
    assert "No connection" in away[0][2]


@pytest.fixture
def dcmqrscp(tmp_path, listener):
    """Start dcmtk's PACS with one study in it; yields its port."""
    programs = [shutil.which(name) for name in ("dcmqrscp", "storescu")]
    if None in programs:
        pytest.skip("dcmtk's dcmqrscp not found: install the package dcmtk")
    (port,) = free_ports(1)
    store = tmp_path / "PACS"
    store.mkdir()
    (tmp_path / "qr.cfg").write_text(
        f"NetworkTCPPort = {port}\nMaxPDUSize = 16384\nMaxAssociations = 8\n"
        "HostTable BEGIN\n"
        f"ichnode = (ICHNODE, 127.0.0.1, {listener.port})\n"
        "HostTable END\nVendorTable BEGIN\nVendorTable END\n"
        f"AETable BEGIN\nPACS {store} RW (100, 1024mb) ANY\nAETable END\n"
    )
    server = subprocess.Popen(
        [programs[0], "-c", str(tmp_path / "qr.cfg")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    files = []
    for number, image in enumerate(scan(1)):
        files.append(tmp_path / f"{number}.dcm")
        files[-1].write_bytes(file_bytes(image))
    send = [programs[1], "-aec", "PACS", "127.0.0.1", str(port), *map(str, files)]
    wait_for(lambda: subprocess.run(send, capture_output=True, check=False).returncode == 0)
    yield port
    server.terminate()
    server.wait(60)


@pytest.mark.acceptance
@pytest.mark.parametrize("way", ["move", "get"])
def test_dcmtk_gives_what_it_has(dcmqrscp, custody, way):
    """Another maker's provider finds, moves and gives the series."""
    ledger, intake = custody
    peer = peer_at(dcmqrscp)
    series = find(dcmqrscp)

    if way == "move":
        (done,) = move_series(peer, series, stop=FREE)
    else:
        (done,) = get_series(peer, series, intake=intake, clock=Clock(), stop=FREE)

    assert (done.completed, done.failed, done.ok) == (12, 0, True)
    assert list(in_custody(ledger).values()) == [12]
    assert Path(done.series.series_instance_uid).name
