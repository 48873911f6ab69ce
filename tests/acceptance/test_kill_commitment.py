"""The office dies while an archive is asked, the receiver as it reports: all is committed."""

import os
import signal
import threading
from collections import Counter

import pytest
from acceptance.conftest import head_series
from acceptance.node_process import NodeProcess, wait_until
from pynetdicom import AE, evt

from dicom_node.association.commitment import report_commitment
from dicom_node.association.commitment_terms import CommitmentReport, Reference
from dicom_node.association.peers import Peer
from dicom_node.association.presentation import PROPOSED
from dicom_node.errors import PeerError

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.timeout(600),
]

PUSH_MODEL = "1.2.840.10008.1.20.1"

#: Only ever waited for when something is wrong.
PATIENCE_S = 120


class SlowArchive:
    """Takes results, and hesitates with its answer to the first request for commitment."""

    def __init__(self):
        self.stored, self.requests = [], []
        self.asked, self.may_answer = threading.Event(), threading.Event()
        entity = AE(ae_title="PACS")
        for one in PROPOSED:
            entity.add_supported_context(one.sop_class_uid, list(one.transfer_syntaxes))
        entity.add_supported_context(PUSH_MODEL)
        handlers = [(evt.EVT_C_STORE, self._store), (evt.EVT_N_ACTION, self._action)]
        self.server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
        self.port = self.server.server_address[1]

    def _store(self, event):
        self.stored.append(str(event.request.AffectedSOPInstanceUID))
        return 0x0000

    def _action(self, event):
        ds = event.action_information
        references = tuple(
            Reference(
                sop_class_uid=str(one.ReferencedSOPClassUID),
                sop_instance_uid=str(one.ReferencedSOPInstanceUID),
            )
            for one in ds.ReferencedSOPSequence
        )
        self.requests.append((str(ds.TransactionUID), references))
        self.asked.set()
        self.may_answer.wait(PATIENCE_S)
        return 0x0000, None

    def report(self, node_port, transaction, references):
        """Report over an association of its own, again and again until the node has taken it."""
        peer = Peer(
            name="node",
            ae_title="ICHNODE",
            host="127.0.0.1",
            port=node_port,
            calling_ae_title="PACS",
        )
        try:
            report_commitment(
                peer, CommitmentReport(transaction_uid=transaction, committed=references)
            )
        except PeerError:
            return False
        return True


@pytest.fixture
def archive():
    archive = SlowArchive()
    yield archive
    archive.may_answer.set()
    archive.server.shutdown()


@pytest.fixture
def node(tmp_path, archive):
    node = NodeProcess(tmp_path, pacs_port=archive.port)
    text = node.config.read_text()
    text = text.replace('"MODALITY"]', '"MODALITY", "PACS"]')
    text = text.replace("receives_results = true", "receives_results = true\ncommitment = true")
    node.config.write_text(text)
    node.start()
    yield node
    node.stop()


def states(node):
    """Return the states of all objects on their way to the archive."""
    return Counter(one["state"] for row in node.rows() for one in row["deliveries"])


def test_what_the_archive_has_is_committed_whoever_dies_meanwhile(node, archive, tmp_path):
    """The office is killed with its request unanswered, the receiver when the report comes.

    The office asks once more under another transaction; no object is sent a second time.
    """
    assert node.send(head_series(tmp_path / "ct", seed=5))
    assert archive.asked.wait(PATIENCE_S)
    node.kill_role("office")
    archive.may_answer.set()
    wait_until(lambda: len(archive.requests) >= 2, timeout_s=PATIENCE_S)
    os.kill(node.pid_of("receiver"), signal.SIGKILL)
    transaction, references = archive.requests[-1]
    wait_until(
        lambda: archive.report(node.dicom_port, transaction, references), timeout_s=PATIENCE_S
    )
    wait_until(lambda: set(states(node)) == {"committed"}, timeout_s=PATIENCE_S)

    assert [row["state"] for row in node.rows()] == ["delivered"]
    assert len({one for one, _ in archive.requests}) == len(archive.requests)
    assert {one.sop_instance_uid for one in references} == set(archive.stored)
    assert set(Counter(archive.stored).values()) == {1}
    assert states(node)["committed"] == len(archive.stored)
