"""A node that runs takes other settings from its file, and nothing that is under way breaks."""

import os
import signal
from datetime import UTC, datetime

import pytest
from acceptance.conftest import Archive, head_series
from acceptance.node_process import NodeProcess, wait_until
from pynetdicom import AE

from dicom_node.association.peers import Peer
from dicom_node.association.verification import echo
from dicom_node.commands.demo_stage import free_ports
from dicom_node.configuration.desk import ConfigurationDesk
from dicom_node.configuration.edits import AddEntry, RemoveEntry, SetValue

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(300)]

VERIFICATION = "1.2.840.10008.1.1"


@pytest.fixture(scope="module")
def archives(folder):
    """Return two archives; the node knows the first."""
    both = [Archive(folder / name) for name in ("first", "second")]
    for one in both:
        one.scp.start()
    yield both
    for one in both:
        one.scp.stop()


@pytest.fixture(scope="module")
def node(folder, archives):
    """Return a node whose settings the tests change one after the other."""
    node = NodeProcess(folder, pacs_port=archives[0].scp.port)
    node.start()
    yield node
    if node.process.poll() is None:
        node.stop()


def change(node, *edits):
    desk = ConfigurationDesk(node.config, environment={})
    return desk.change(edits, who="ada", now=datetime.now(UTC))


def answers(node, title, port=None):
    caller = Peer(
        name="node",
        ae_title="ICHNODE",
        host="127.0.0.1",
        port=port or node.dicom_port,
        calling_ae_title=title,
        connect_timeout_s=5,
    )
    return echo(caller).ok


def test_a_node_takes_new_settings_while_it_works(node, archives, tmp_path):
    """Callers, ports, destinations: in force within seconds; an open association goes on."""
    entity = AE(ae_title="MODALITY")
    entity.add_requested_context(VERIFICATION)
    open_one = entity.associate("127.0.0.1", node.dicom_port, ae_title="ICHNODE")
    assert open_one.is_established
    assert not answers(node, "CT9")

    change(
        node,
        AddEntry(array="node.callers", values={"ae_title": "CT9", "address": "127.0.0.0/8"}),
        RemoveEntry(array="node.callers", match={"ae_title": "MODALITY"}),
    )
    node.in_force(1)
    wait_until(lambda: answers(node, "CT9"))
    assert not answers(node, "MODALITY")
    assert open_one.send_c_echo().Status == 0

    old_port, (new_port,) = node.dicom_port, free_ports(1)
    change(
        node,
        SetValue(table="node", key="port", value=new_port),
        AddEntry(array="node.callers", values={"ae_title": "MODALITY"}),
    )
    node.in_force(2)
    wait_until(lambda: answers(node, "MODALITY", new_port))
    assert not answers(node, "MODALITY", old_port)
    assert open_one.send_c_echo().Status == 0
    open_one.release()

    node.dicom_port = new_port
    values = {"name": "second", "ae_title": "PACS", "host": "127.0.0.1"}
    change(
        node,
        AddEntry(
            array="peers",
            values={**values, "port": archives[1].scp.port, "receives_results": True},
        ),
    )
    node.in_force(3)
    assert node.send(head_series(tmp_path / "series"))
    archives[0].wait_for(3)
    archives[1].wait_for(3)
    assert node.log.read_text().count("started as process") == 3


def test_a_file_with_faults_leaves_the_node_at_work(node):
    """Health says what is wrong; a repaired file is taken, at once by SIGHUP."""
    text = node.config.read_text()
    desk = ConfigurationDesk(node.config, environment={})
    before = len(wait_until(desk.history))
    node.config.write_text(text.replace('ae_title = "ICHNODE"', 'ae_title = ""'))

    wait_until(lambda: "node.ae_title" in node.get("/health"))
    assert answers(node, "MODALITY")
    wait_until(lambda: len(desk.history()) == before + 1)
    node.kill_role("receiver")
    wait_until(lambda: answers(node, "MODALITY"))

    os.kill(node.process.pid, signal.SIGHUP)
    node.config.write_text(text.replace('"MODALITY"', '"CT8"'))
    wait_until(lambda: answers(node, "CT8"))
    wait_until(lambda: "node.ae_title" not in node.get("/health"))
    wait_until(lambda: len(desk.history()) == before + 2)
    assert {one.who for one in (desk.history()[0], *desk.history()[before:])} == {"outside"}
    assert node.stop() == 0
