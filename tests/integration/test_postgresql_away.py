"""A receiver whose ledger lies on PostgreSQL, while that server ends and comes back."""

from pathlib import Path

import pytest
from ct_builder import save_series
from node_builders import Clock, process_identity, small_series, wait_for
from postgresql_cluster import running_cluster
from sqlalchemy import select

from dicom_node.association.callers import Caller
from dicom_node.association.peers import Peer
from dicom_node.association.scp_settings import ScpSettings
from dicom_node.association.storage_scp import StorageScp
from dicom_node.association.storage_scu import outgoing_file, send_files
from dicom_node.intake.custody import Custody
from dicom_node.intake.recorder import Recorder
from dicom_node.intake.spool import Spool
from dicom_node.jobs.ledger import open_ledger
from dicom_node.jobs.tables import InstanceRow

CANNOT_RECORD = 0xA702


@pytest.fixture
def cluster():
    cluster = running_cluster()
    yield cluster
    if cluster.process.poll() is not None:
        cluster.launch()


@pytest.fixture
def ledger(cluster):
    ledger = open_ledger(cluster.fresh(), process=process_identity())
    yield ledger
    ledger.close()


@pytest.fixture
def node(ledger, tmp_path):
    recorder = Recorder(ledger.arrivals)
    custody = Custody(
        spool=Spool(tmp_path / "spool"), register=recorder, patient_salt=ledger.patient_salt
    )
    scp = StorageScp(
        settings=ScpSettings(
            ae_title="ICHNODE", host="127.0.0.1", port=0, callers=(Caller(ae_title=None),)
        ),
        intake=custody,
        clock=Clock(),
    )
    recorder.start()
    scp.start()
    yield Peer(
        name="node", ae_title="ICHNODE", host="127.0.0.1", port=scp.port, calling_ae_title="CT1"
    )
    scp.stop()
    recorder.stop()


def files_of(folder, seed):
    series = small_series(seed=seed, study_uid=f"1.2.{seed}")
    return [outgoing_file(path) for path in save_series(series, folder / str(seed))]


def kept_by(ledger):
    with ledger.database.read() as session:
        return dict(session.execute(select(InstanceRow.sop_instance_uid, InstanceRow.path)).all())


def test_nothing_acknowledged_is_lost_while_the_database_is_away(cluster, ledger, node, tmp_path):
    """It ends in the midst of a series; the receiver goes on by itself when it is back."""
    first, second = files_of(tmp_path, 1), files_of(tmp_path, 2)
    acknowledged = set()

    def note(outcome):
        if outcome.accepted:
            acknowledged.add(outcome.file.sop_instance_uid)
        if len(acknowledged) == 4 and cluster.process.poll() is None:
            cluster.crash()

    send_files(node, first, on_outcome=note)
    told = {outcome.status for outcome in send_files(node, second, on_outcome=note)}
    assert told == {CANNOT_RECORD}

    cluster.launch()

    again = send_files(node, [*first, *second], on_outcome=note)
    assert all(outcome.accepted for outcome in again)
    wait_for(lambda: len(kept_by(ledger)) == len(again))
    kept = kept_by(ledger)
    assert set(kept) == acknowledged == {one.sop_instance_uid for one in (*first, *second)}
    assert all((tmp_path / "spool" / Path(path)).is_file() for path in kept.values())
