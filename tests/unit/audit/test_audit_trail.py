"""From the ledger to the repository: nothing is left out while the repository is away."""

import socket
import ssl
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree as ET

import pytest
from certificate_builder import Authority
from node_builders import START, Clock, arrive, opened_ledger, small_series, stored_objects

from dicom_node.audit.clerk import AuditClerk, Parties
from dicom_node.audit.events import Party
from dicom_node.audit.message import AuditSource
from dicom_node.audit.spool import AuditSpool
from dicom_node.audit.syslog import AuditNotSentError, TlsRepository, UdpRepository, frame
from dicom_node.audit.trail import AuditCourier, AuditTrail
from dicom_node.bootstrap.audit import note_export, note_settings
from dicom_node.bootstrap.layout import DataLayout
from dicom_node.intake.assembly import AssemblyRules
from dicom_node.intake.default_rules import DEFAULT_RULES
from dicom_node.jobs.audit_ledger import AuditLedger
from dicom_node.jobs.documents import Documents
from dicom_node.jobs.office import AssemblyOffice
from dicom_node.jobs.purge_ledger import Cause, PurgeLedger
from dicom_node.jobs.retention import RetentionRules
from dicom_node.jobs.state import JobState, SearchState
from dicom_node.jobs.tables import JobRow, PriorSearchRow
from dicom_node.jobs.timeline import EventKind, record
from dicom_node.settings.schema import AuditSettings, NodeSettings, Settings, WebSettings

QUEUED = {"state": JobState.QUEUED, "created_at": START, "available_at": START}
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


class FakeRepository:
    """Takes messages, up to a number."""

    def __init__(self, takes=1000):
        self.takes, self.messages = takes, []

    def send(self, messages, sent):
        for message in messages:
            if self.takes == 0:
                raise AuditNotSentError("away")
            self.takes -= 1
            self.messages.append(message)
            sent()


def courier(spool, repository, clock, counts, noted=lambda _: None):
    return AuditCourier(
        spool=spool, repository=repository, clock=clock, count=counts.extend, noted=noted
    )


def test_messages_wait_in_order_and_go_once(tmp_path):
    """The repository takes two and goes away; the third follows when it is back, after a wait."""
    clock, counts, repository = Clock(), [], FakeRepository(takes=2)
    spool = AuditSpool(tmp_path / "audit", limit=10)
    for number in range(3):
        spool.put(b"%d" % number)
    sender = courier(spool, repository, clock, counts)

    sender.tick()
    repository.takes = 1000
    sender.tick()
    waiting = len(spool.waiting())
    clock.turn(10)
    sender.tick()

    assert waiting == 1
    assert repository.messages == [b"0", b"1", b"2"]
    assert spool.waiting() == ()
    assert [(one.labels["outcome"], one.value) for one in counts] == [
        ("failed", 1),
        ("sent", 2),
        ("sent", 1),
    ]


def test_whoever_looks_is_told_why_messages_wait(tmp_path):
    """Each failure with its words, and once that it is over."""
    clock, repository, noted = Clock(), FakeRepository(takes=0), []
    spool = AuditSpool(tmp_path / "audit", limit=10)
    sender = courier(spool, repository, clock, [], noted.append)
    for _ in range(3):
        spool.put(b"1")
        sender.tick()
        clock.turn(10)
        repository.takes = 1000

    assert noted == ["away", ""]


def test_what_the_last_process_met_is_over_once_messages_go(tmp_path):
    """A process that died while the repository was away leaves its words; the next one knows."""
    noted, spool = [], AuditSpool(tmp_path / "audit", limit=10)
    sender = courier(spool, FakeRepository(takes=1000), Clock(), [], noted.append)
    for _ in range(2):
        spool.put(b"1")
        sender.tick()

    assert noted == [""]


def test_the_oldest_go_when_there_are_too_many(tmp_path):
    """And are counted: an alert can be made of it."""
    clock, counts, repository = Clock(), [], FakeRepository(takes=0)
    spool = AuditSpool(tmp_path / "audit", limit=3)
    for number in range(5):
        spool.put(b"%d" % number)

    courier(spool, repository, clock, counts).tick()

    assert [path.read_bytes() for path in spool.waiting()] == [b"2", b"3", b"4"]
    assert counts[0].labels == {"outcome": "dropped"}
    assert counts[0].value == 2


def test_a_message_that_is_being_written_is_not_sent(tmp_path):
    """A process may be killed in the middle of a file."""
    spool = AuditSpool(tmp_path, limit=3)
    (tmp_path / "1-1-1.xml.part").write_bytes(b"half")

    assert spool.waiting() == ()


def test_a_frame_has_the_header_of_rfc_5424():
    """PRI 85 is facility 10, severity 5; PS3.15, A.6.1 names the MSGID."""
    head, bom, message = frame(b"<a/>", host="node 1\n", at=NOON).partition(b"\xef\xbb\xbf")
    words = head.decode().split(" ")

    assert words[:4] == ["<85>1", "2026-01-05T12:00:00.000Z", "node1", "ichnode"]
    assert words[5:] == ["DICOM+RFC3881", "-", ""]
    assert (bom, message) == (b"\xef\xbb\xbf", b"<a/>")


def test_a_datagram_arrives():
    """RFC 5426: one message, one datagram."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.bind(("127.0.0.1", 0))
        link.settimeout(5)
        sent = []
        UdpRepository(host="127.0.0.1", port=link.getsockname()[1], clock=lambda: NOON).send(
            [b"<a/>"], lambda: sent.append(1)
        )

        assert link.recv(65536).endswith(b"\xef\xbb\xbf<a/>")
        assert sent == [1]


@contextmanager
def tls_syslog(authority_files):
    """Take one connection over TLS; yields the port, and what came once it has ended."""
    certificate, key = authority_files
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    came = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            try:
                plain, _ = listener.accept()
                with plain, context.wrap_socket(plain, server_side=True) as link:
                    while data := link.recv(4096):
                        came.append(data)
            except OSError:
                pass

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1], came
        thread.join(5)


def test_a_stream_has_the_length_before_each_message(tmp_path):
    """RFC 5425, octet counting; the certificate is checked with its name."""
    authority = Authority(tmp_path)
    files = authority.issue("syslog")
    with tls_syslog((files.certificate, files.key)) as (port, came):
        TlsRepository(
            host="127.0.0.1",
            port=port,
            context=lambda: ssl.create_default_context(cafile=authority.certificate),
            clock=lambda: NOON,
        ).send([b"<a/>", b"<b/>"], lambda: None)

    stream = b"".join(came)
    for body in (b"<a/>", b"<b/>"):
        length, _, stream = stream.partition(b" ")
        assert stream[: int(length)].endswith(b"\xef\xbb\xbf" + body)
        stream = stream[int(length) :]
    assert stream == b""


def test_a_repository_that_is_away_says_so():
    """Port 1 is not listened on."""
    away = TlsRepository(
        host="127.0.0.1", port=1, context=ssl.create_default_context, clock=lambda: NOON
    )
    with pytest.raises(AuditNotSentError, match="port 1"):
        away.send([b"<a/>"], lambda: None)


class Line:
    """A ledger with a series that was received, analysed and delivered, and its audit trail."""

    def __init__(self, ledger, folder):
        self.ledger, self.clock = ledger, Clock()
        self.spool = AuditSpool(folder, limit=100)
        self.patients = []
        self.clerk = AuditClerk(
            ledger=AuditLedger(ledger.database),
            documents=Documents(ledger.database),
            trail=AuditTrail(self.spool, AuditSource(source_id="ICHNODE")),
            parties=Parties(
                node=Party(ae_title="ICHNODE"),
                peers={"pacs": Party(ae_title="PACS", address="10.0.0.7")},
            ),
            patient=self.patient,
            clock=self.clock,
        )

    def patient(self, image, key):
        self.patients.append((image, key))
        return key

    def messages(self):
        found = [ET.fromstring(path.read_bytes()) for path in self.spool.waiting()]  # noqa: S314
        for path in self.spool.waiting():
            path.unlink()
        return found

    def deliver(self):
        office = AssemblyOffice(
            ledger=self.ledger,
            assembly=AssemblyRules(),
            selection=DEFAULT_RULES,
            clock=self.clock,
        )
        for _ in range(4):
            self.clock.turn(60)
            office.tick()
        claim = self.ledger.jobs.claim("w", now=self.clock(), lease_s=60, time_limit_s=600)
        self.ledger.jobs.complete(
            claim,
            stored_objects(),
            model_digest="m",
            configuration_digest="c",
            destinations=("pacs",),
            record={},
            now=self.clock(),
        )
        parcel = self.ledger.deliveries.claim("pacs", "o", now=self.clock(), lease_s=60)
        for item in parcel.items:
            self.ledger.deliveries.accept(item, "stored", now=self.clock())


@pytest.fixture
def line(tmp_path):
    with opened_ledger(tmp_path / "ledger.sqlite") as ledger:
        yield Line(ledger, tmp_path / "audit")


def purge_all(line, by=""):
    """Purge everything that the ledger holds, without files."""
    purges, rules = PurgeLedger(line.ledger.database), RetentionRules(follow_up_window=timedelta())
    cause = Cause.OPERATOR if by else Cause.AGE
    for one in purges.holdings(rules, line.clock(), summary_bytes=lambda _: 1):
        assert purges.condemn(one, rules, line.clock(), cause=cause, by=by)


@pytest.mark.parametrize(("by", "who"), [("", ["ICHNODE"]), ("jane@ct", ["jane@ct", "ICHNODE"])])
def test_a_purge_is_audited_once_with_the_pseudonym_of_the_patient(line, by, who):
    """Images first, then the last instances of the study; a picture is no instance."""
    line.clerk.begin()
    arrive(line.ledger, small_series(slices=20), line.clock)
    line.deliver()
    line.clerk.tick()
    line.messages()
    line.patients.clear()
    purge_all(line, by)

    line.clerk.tick()
    line.clerk.tick()
    accessed, deleted = line.messages()

    assert [one.find(".//EventID").get("csd-code") for one in (accessed, deleted)] == [
        "110103",
        "110105",
    ]
    assert users(deleted) == who
    assert [image for image, _ in line.patients] == [None, None]
    assert all(key for _, key in line.patients)
    (number,) = {one.get("NumberOfInstances") for one in accessed.iter("SOPClass")}
    assert number == "20"


def users(message):
    return [one.get("UserID") for one in message.findall("ActiveParticipant")]


def test_a_series_is_audited_when_it_came_and_when_its_results_went(line):
    """One message an association and study, one a result set and destination; each once."""
    line.clerk.begin()
    arrive(line.ledger, small_series(slices=20), line.clock)
    line.clerk.tick()
    line.clerk.tick()
    (received,) = line.messages()
    line.deliver()
    line.clerk.tick()
    line.clerk.tick()
    (sent,) = line.messages()

    assert users(received) == ["MODALITY", "ICHNODE"]
    assert [one.get("NumberOfInstances") for one in received.iter("SOPClass")] == ["20"]
    assert users(sent) == ["ICHNODE", "PACS"]
    total = sum(int(one.get("NumberOfInstances")) for one in sent.iter("SOPClass"))
    assert total == len(stored_objects())
    assert {key for _, key in line.patients} == {line.patients[0][1]}
    assert all(int(key, 16) for _, key in line.patients)  # a keyed hash, no patient's number


def test_a_series_that_still_arrives_is_not_audited_yet(line):
    """Its association says how many it were only at its end."""
    line.clerk.begin()
    arrive(line.ledger, small_series(slices=5), line.clock, is_closed=False)
    line.clerk.tick()

    assert line.messages() == []


def test_what_came_before_the_trail_began_is_left_alone(line):
    """A site that turns it on does not want years of history."""
    arrive(line.ledger, small_series(slices=5), line.clock)
    line.clock.turn(61)
    line.clerk.begin()
    line.clerk.tick()

    assert line.messages() == []


@pytest.mark.parametrize(
    ("state", "outcome"),
    [(SearchState.DONE, "0"), (SearchState.PENDING, "4"), (SearchState.DEAD, "8")],
)
def test_a_search_is_audited_with_its_outcome(line, state, outcome):
    """Once each; the peer by its AE title, and no query, for that names the patient."""
    line.clerk.begin()
    arrive(line.ledger, small_series(slices=20), line.clock, is_closed=False)
    uid = line.ledger.reports.overview().series[0].series_instance_uid
    with line.ledger.database.write() as session:
        record(session, line.clock(), uid, EventKind.PRIORS, "pacs: nobody answers")
        session.add(job := JobRow(series_uid=uid, study_uid="1", input_digest="", **QUEUED))
        session.flush()
        session.add(
            PriorSearchRow(
                job_id=job.job_id,
                series_uid=uid,
                study_uid="1",
                peer="pacs",
                state=state,
                created_at=START,
                next_attempt_at=START,
            )
        )
    line.clerk.tick()
    line.clerk.tick()

    (message,) = line.messages()
    assert message.find("EventIdentification").get("EventOutcomeIndicator") == outcome
    assert users(message) == ["ICHNODE", "PACS"]
    assert not message.find(".//ParticipantObjectQuery").text


def test_a_disk_that_refuses_leaves_nothing_out(line):
    """What was not kept is not marked: it is written when there is room again."""
    line.clerk.begin()
    arrive(line.ledger, small_series(slices=5), line.clock)
    put = line.spool.put

    def refuse(message):
        raise OSError(28, f"no space for {len(message)} bytes")

    line.spool.put = refuse
    line.clerk.tick()
    line.spool.put = put
    line.clerk.tick()

    assert len(line.messages()) == 1


def test_changed_settings_are_audited_by_table(tmp_path):
    """At the start; the values stay out of it, and the first start changes nothing."""

    def settings(port):
        return Settings(
            node=NodeSettings(data_dir=tmp_path),
            web=WebSettings(port=port),
            audit=AuditSettings(enabled=True),
        )

    with opened_ledger(tmp_path / "ledger.sqlite") as ledger:
        for port in (8180, 8180, 8181):
            note_settings(settings(port), Documents(ledger.database), START)

    (path,) = AuditSpool(DataLayout(root=tmp_path).audit, limit=10).waiting()
    (detail,) = ET.fromstring(path.read_bytes()).iter("ParticipantObjectDetail")  # noqa: S314
    assert detail.get("value") == "Y2hhbmdlZDogd2Vi"  # "changed: web"


def test_an_export_is_audited_by_its_number_of_patients(tmp_path):
    """Who, where to, how many; no list of whom."""
    settings = Settings(node=NodeSettings(data_dir=tmp_path), audit=AuditSettings(enabled=True))

    note_export(settings, tmp_path / "export", 12, START)

    (path,) = AuditSpool(DataLayout(root=tmp_path).audit, limit=10).waiting()
    (subject,) = ET.fromstring(path.read_bytes()).iter("ParticipantObjectIdentification")  # noqa: S314
    assert subject.get("ParticipantObjectID") == (tmp_path / "export").as_uri()
    assert subject.find("ParticipantObjectDetail").get("value") == "MTI="  # "12"
    assert subject.find(".//Anonymized").text == "true"


def test_a_site_that_wants_no_trail_has_none(tmp_path):
    """Off by default: nothing is written, not even a folder."""
    note_export(Settings(node=NodeSettings(data_dir=tmp_path)), tmp_path / "export", 12, START)

    assert not DataLayout(root=tmp_path).audit.exists()
