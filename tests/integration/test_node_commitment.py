"""Storage commitment on loopback: the node asks, is asked, and reports, both ways."""

import threading
from contextlib import contextmanager

import pytest
from node_builders import Clock, wait_for
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, build_context, build_role, evt

from dicom_node.association.callers import Caller
from dicom_node.association.commitment import ask_commitment, report_commitment
from dicom_node.association.commitment_scp import CommitmentScp
from dicom_node.association.commitment_terms import CommitmentReport, CommitmentRequest, Reference
from dicom_node.association.peers import Peer
from dicom_node.association.scp_settings import ScpSettings
from dicom_node.association.storage_scp import StorageScp
from dicom_node.errors import (
    CommitmentRefusedError,
    PeerUnreachableError,
    UnreadableCommitmentError,
)

#: Written out from PS3.4, annex J, and PS3.6, not taken from the code.
PUSH_MODEL, PUSH_INSTANCE = "1.2.840.10008.1.20.1", "1.2.840.10008.1.20.1.1"
SYNTAXES = [ExplicitVRLittleEndian, ImplicitVRLittleEndian]

ONE = Reference(sop_class_uid=str(CTImageStorage), sop_instance_uid="1.2.3.1")
TWO = Reference(sop_class_uid=str(CTImageStorage), sop_instance_uid="1.2.3.2")
REQUEST = CommitmentRequest(transaction_uid="1.2.9.1", references=(ONE, TWO))
REPORT = CommitmentReport(transaction_uid="1.2.9.1", committed=(ONE,), failed=((TWO, 0x0112),))


def peer(port, **options):
    facts = {"name": "pacs", "ae_title": "PACS", "host": "127.0.0.1", "port": port}
    return Peer(**facts, calling_ae_title="ICHNODE", **options)


class FakePacs:
    """A provider that answers N-ACTION with a status, and reports over the same association."""

    def __init__(self, *, status=0x0000, event_type=2, information=None, reports=True):
        self.status, self.event_type, self.reports = status, event_type, reports
        self.information = information
        self.asked, self.answers = [], []

    def on_action(self, event):
        self.asked.append((event.request.RequestedSOPInstanceUID, event.action_information))
        self.association = event.assoc
        return self.status, None

    def on_sent(self, event):
        if type(event.message).__name__ == "N_ACTION_RSP" and self.reports:
            threading.Thread(target=self.report, daemon=True).start()

    def report(self):
        answer, _ = self.association.send_n_event_report(
            self.information, self.event_type, PUSH_MODEL, PUSH_INSTANCE
        )
        self.answers.append(answer.Status)

    @contextmanager
    def listening(self):
        entity = AE(ae_title="PACS")
        entity.add_supported_context(PUSH_MODEL, SYNTAXES)
        server = entity.start_server(
            ("127.0.0.1", 0),
            block=False,
            evt_handlers=[(evt.EVT_N_ACTION, self.on_action), (evt.EVT_DIMSE_SENT, self.on_sent)],
        )
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()


def item(uid, reason=None):
    one = Dataset()
    one.ReferencedSOPClassUID, one.ReferencedSOPInstanceUID = CTImageStorage, uid
    if reason is not None:
        one.FailureReason = reason
    return one


def information(transaction="1.2.9.1"):
    """Return the Event Information of PS3.4, table J.3-4: one object committed, one not."""
    ds = Dataset()
    ds.TransactionUID = transaction
    ds.ReferencedSOPSequence = [item("1.2.3.1")]
    ds.FailedSOPSequence = [item("1.2.3.2", 0x0112)]
    return ds


class MemoryDesk:
    """Has the object ONE, and waits for reports on the transaction 1.2.9.1."""

    def __init__(self):
        self.requests, self.told, self.reports = [], [], []
        self.error = None

    def asked(self, request, *, calling_ae_title, now):
        del now
        if self.error is not None:
            raise self.error
        self.requests.append((calling_ae_title, request))
        return REPORT

    def answered(self, request, *, calling_ae_title, now):
        del now
        self.told.append((calling_ae_title, request.transaction_uid))

    def reported(self, report, *, calling_ae_title, now):
        del now
        if report.transaction_uid != "1.2.9.1":
            raise UnreadableCommitmentError("No such transaction")
        self.reports.append((calling_ae_title, report))


@pytest.fixture
def desk():
    return MemoryDesk()


@contextmanager
def node(desk, **options):
    """Return the port of a running node."""
    options = {"answers_requests": True, "pause_s": 0.0} | options
    provider = StorageScp(
        settings=ScpSettings(
            ae_title="ICHNODE", host="127.0.0.1", port=0, callers=(Caller(ae_title=None),)
        ),
        intake=None,
        clock=Clock(),
        commitment=CommitmentScp(desk, clock=Clock(), **options),
    )
    provider.start()
    try:
        yield provider.port
    finally:
        provider.stop(grace_s=0.5)


@contextmanager
def scanner(port, reports=None, **options):
    """Return the association of a sender that asks and takes reports."""

    def on_report(event):
        reports.append((event.event_type, event.event_information))
        return 0x0000, None

    entity = AE(ae_title="SCANNER1")
    entity.acse_timeout = entity.dimse_timeout = 10
    association = entity.associate(
        "127.0.0.1",
        port,
        contexts=[build_context(PUSH_MODEL, SYNTAXES)],
        ae_title="ICHNODE",
        evt_handlers=[(evt.EVT_N_EVENT_REPORT, on_report)],
        **options,
    )
    assert association.is_established
    try:
        yield association
    finally:
        if association.is_established:
            association.release()


def ask(association, ds, action=1):
    answer, _ = association.send_n_action(ds, action, PUSH_MODEL, PUSH_INSTANCE)
    return answer.Status


def question(*uids, transaction="1.2.9.1"):
    ds = Dataset()
    ds.TransactionUID = transaction
    ds.ReferencedSOPSequence = [item(uid) for uid in uids]
    return ds


def test_the_node_asks_and_hears_over_the_same_association():
    """N-ACTION 1 with the references; the report says which object failed and why."""
    pacs, heard = FakePacs(information=information()), []

    with pacs.listening() as port:
        ask_commitment(peer(port), REQUEST, on_report=heard.append, wait_s=10)
        wait_for(lambda: pacs.answers)

    ((instance, asked),) = pacs.asked
    assert instance == PUSH_INSTANCE
    assert asked.TransactionUID == "1.2.9.1"
    assert [one.ReferencedSOPInstanceUID for one in asked.ReferencedSOPSequence] == [
        "1.2.3.1",
        "1.2.3.2",
    ]
    assert heard == [REPORT]
    assert pacs.answers == [0x0000]


def test_the_node_does_not_wait_for_ever_for_the_report():
    """Most archives open an association of their own; then this one is released."""
    pacs, heard = FakePacs(reports=False), []

    with pacs.listening() as port:
        ask_commitment(peer(port), REQUEST, on_report=heard.append, wait_s=0.1)

    assert len(pacs.asked) == 1
    assert heard == []


def test_a_report_that_cannot_be_recorded_is_asked_for_again():
    """A failure status makes the peer report again (PS3.4, section J.3.3)."""
    pacs = FakePacs(information=information())

    def broken(_report):
        raise RuntimeError("POISON^DONOTLOG")

    with pacs.listening() as port:
        ask_commitment(peer(port), REQUEST, on_report=broken, wait_s=1)
        wait_for(lambda: pacs.answers)

    assert pacs.answers == [0x0110]


def test_a_refused_request_says_why():
    """0x0213 is a resource limitation (PS3.7, annex C)."""
    with (
        FakePacs(status=0x0213).listening() as port,
        pytest.raises(CommitmentRefusedError, match=r"resource limitation \(0x0213\)"),
    ):
        ask_commitment(peer(port), REQUEST, on_report=print, wait_s=1)


def test_a_peer_without_commitment_says_which_context_it_refused():
    """An archive that knows C-ECHO only."""
    entity = AE(ae_title="PACS")
    entity.add_supported_context("1.2.840.10008.1.1")
    server = entity.start_server(("127.0.0.1", 0), block=False)
    try:
        with pytest.raises(CommitmentRefusedError, match="SOP class not supported"):
            ask_commitment(peer(server.server_address[1]), REQUEST, on_report=print, wait_s=1)
    finally:
        server.shutdown()


def test_a_scanner_is_answered_over_its_own_association(desk):
    """N-ACTION, then N-EVENT-REPORT 2: one object in custody, one unknown."""
    reports = []

    with node(desk) as port, scanner(port, reports) as association:
        status = ask(association, question("1.2.3.1", "1.2.3.2"))
        wait_for(lambda: desk.told)

    assert status == 0x0000
    ((caller, request),) = desk.requests
    assert (caller, request) == ("SCANNER1", REQUEST)
    ((event_type, ds),) = reports
    assert event_type == 2
    assert ds.TransactionUID == "1.2.9.1"
    assert [one.ReferencedSOPInstanceUID for one in ds.ReferencedSOPSequence] == ["1.2.3.1"]
    assert [(one.ReferencedSOPInstanceUID, one.FailureReason) for one in ds.FailedSOPSequence] == [
        ("1.2.3.2", 0x0112)
    ]
    assert desk.told == [("SCANNER1", "1.2.9.1")]


def test_a_scanner_that_has_hung_up_is_not_counted_as_told(desk):
    """Its report is due over another association."""
    with node(desk, pause_s=0.3) as port:
        with scanner(port) as association:
            assert ask(association, question("1.2.3.1")) == 0x0000
        wait_for(lambda: desk.requests)

    assert desk.told == []


@pytest.mark.parametrize(
    ("uids", "transaction", "action", "status"),
    [
        ((), "1.2.9.1", 1, 0x0115),
        (("1.2.3.1",), "", 1, 0x0115),
        (("not a uid",), "1.2.9.1", 1, 0x0115),
        (("1.2.3.1",), "1.2.9.1", 2, 0x0123),
    ],
    ids=["no object", "no transaction", "no UID", "another action"],
)
@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
def test_a_request_without_sense_is_refused(desk, uids, transaction, action, status):
    """Invalid argument value, or no such action (PS3.7, annex C)."""
    ds = question(*uids, transaction=transaction)
    with node(desk) as port, scanner(port) as association:
        assert ask(association, ds, action) == status

    assert desk.requests == []


def test_a_node_that_may_not_answer_says_so(desk):
    """The node is no archive: unless the site wants it, nothing is committed."""
    with node(desk, answers_requests=False) as port, scanner(port) as association:
        assert ask(association, question("1.2.3.1")) == 0x0123


def test_a_ledger_that_refuses_is_a_processing_failure(desk):
    """The scanner keeps its images."""
    desk.error = RuntimeError("the disk")

    with node(desk) as port, scanner(port) as association:
        assert ask(association, question("1.2.3.1")) == 0x0110


@pytest.mark.parametrize("roles", [(False, True), (True, True), None], ids=str)
def test_a_peer_reports_over_an_association_of_its_own(desk, roles):
    """The peer calls as provider, with role selection or, as some do, without it."""
    entity = AE(ae_title="PACS")
    proposals = [build_role(PUSH_MODEL, scu_role=roles[0], scp_role=roles[1])] if roles else []
    with node(desk, answers_requests=False) as port:
        association = entity.associate(
            "127.0.0.1",
            port,
            contexts=[build_context(PUSH_MODEL, SYNTAXES)],
            ae_title="ICHNODE",
            ext_neg=proposals,
        )
        if roles is None:  # such a peer does not ask its stack either
            association.accepted_contexts[0]._as_scp = True
        statuses = [
            association.send_n_event_report(ds, 2, PUSH_MODEL, PUSH_INSTANCE)[0].Status
            for ds in (information(), information("1.2.9.404"))
        ]
        association.release()

    assert desk.reports == [("PACS", REPORT)]
    assert statuses == [0x0000, 0x0115]


def test_the_node_reports_over_an_association_of_its_own():
    """It proposes the role of the provider, as PS3.4, section J.3.3, wants it."""
    reports, roles = [], []
    entity = AE(ae_title="SCANNER1")
    entity.add_supported_context(PUSH_MODEL, SYNTAXES, scu_role=False, scp_role=True)

    def on_report(event):
        roles.append(event.assoc.requestor.role_selection[PUSH_MODEL].scp_role)
        reports.append((event.event_type, event.event_information.TransactionUID))
        return 0x0000, None

    server = entity.start_server(
        ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_N_EVENT_REPORT, on_report)]
    )
    try:
        report_commitment(peer(server.server_address[1]), REPORT)
    finally:
        server.shutdown()

    assert reports == [(2, "1.2.9.1")]
    assert roles == [True]


def test_a_scanner_that_lets_nobody_report_is_named():
    """It accepts the class, but not the role."""
    with (
        FakePacs().listening() as port,
        pytest.raises(CommitmentRefusedError, match="role selection"),
    ):
        report_commitment(peer(port), REPORT)


def test_nobody_listens():
    """The error is that of every other call."""
    with pytest.raises(PeerUnreachableError):
        report_commitment(peer(1, connect_timeout_s=1), REPORT)
