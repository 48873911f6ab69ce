"""A node whose ledger lies on PostgreSQL, while that server is away, ends and comes back."""

import json
import logging
import re
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from ct_builder import save_series
from node_builders import Clock, process_identity, small_series, wait_for
from postgresql_cluster import GUARDED, running_cluster
from sqlalchemy import select

from dicom_node.association.callers import Caller
from dicom_node.association.peers import Peer
from dicom_node.association.scp_settings import ScpSettings
from dicom_node.association.storage_scp import StorageScp
from dicom_node.association.storage_scu import outgoing_file, send_files
from dicom_node.bootstrap.preparation import open_patiently
from dicom_node.errors import LedgerUnavailableError
from dicom_node.intake.custody import Custody
from dicom_node.intake.recorder import Recorder
from dicom_node.intake.spool import Spool
from dicom_node.jobs.ledger import open_ledger
from dicom_node.jobs.ledger_place import PostgresqlPlace
from dicom_node.jobs.tables import InstanceRow
from dicom_node.processes import StoppedError

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


class Patience(threading.Event):
    """Waits on no clock; lets something happen after so many waits."""

    def __init__(self, after=0, act=lambda: None):
        super().__init__()
        self.now, self._after, self._act, self.waits = 0.0, after, act, 0

    def wait(self, timeout=None):
        self.now += timeout
        self.waits += 1
        if self.waits == self._after:
            self._act()
        return self.is_set()

    def opened(self, place):
        return open_patiently(place, process=process_identity(), stop=self, timer=lambda: self.now)


def test_a_database_that_comes_later_is_waited_for(cluster, caplog):
    """As after a power cut of both; told at once, then seldom, and when it is there."""
    caplog.set_level(logging.INFO)
    place = cluster.fresh()
    cluster.crash()
    patience = Patience(after=40, act=cluster.launch)

    patience.opened(place).close()

    lines = [record.getMessage() for record in caplog.records if "ledger" in record.getMessage()]
    assert patience.waits == 40
    assert lines[0].startswith(f"The ledger {place} refused: ")
    assert lines[-1].startswith(f"The ledger {place} is there, after ")
    waits = [re.search(r"waiting for it, (\d+) s so far", line)[1] for line in lines[:-1]]
    assert waits == ["0", "8", "18", "38", "78", "158"]  # about twice as long each time


def test_who_waits_for_a_database_stops_when_told_to():
    """Nobody listens on port 1."""
    place = PostgresqlPlace(url="postgresql://ichnode@127.0.0.1:1/ichnode")
    patience = Patience(after=3)
    patience._act = patience.set

    with pytest.raises(StoppedError):
        patience.opened(place)

    assert patience.waits == 3


def test_a_server_that_refuses_the_node_is_not_waited_for(cluster, tmp_path, caplog):
    """A wrong password, and a database that there is not: nothing comes by itself."""
    secret = tmp_path / "secret"
    secret.write_text("wrong horse")
    secret.chmod(0o600)
    patience = Patience()
    url = f"postgresql://{GUARDED}@/{GUARDED}?host={cluster.folder}"
    guarded = PostgresqlPlace(url=url, secret_file=secret)

    with pytest.raises(LedgerUnavailableError, match="password authentication failed") as wrong:
        patience.opened(guarded)
    with pytest.raises(LedgerUnavailableError, match='"nowhere" does not exist'):
        patience.opened(cluster.place("nowhere"))

    assert patience.waits == 0
    assert "wrong horse" not in str(wrong.value) + caplog.text


#: Only ever reached when something is wrong.
DEADLINE_S = 60


@pytest.fixture
def receiver(cluster, tmp_path):
    """Return a receiver that was started before its database, and has said so."""
    place = cluster.fresh()
    cluster.crash()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    file = tmp_path / "node.toml"
    file.write_text(
        f'[node]\ndata_dir = "{tmp_path / "data"}"\nledger = "{place.url}"\n'
        f'host = "127.0.0.1"\nport = {port}\n'
    )
    command = [sys.executable, "-m", "dicom_node", "serve", "--config", str(file)]
    with subprocess.Popen(
        [*command, "--only", "receiver"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        try:
            while b"waiting for it" not in (line := process.stderr.readline()):
                assert line, "it ended"
            yield process
        finally:
            process.kill()


def test_a_process_that_was_started_first_works_once_the_database_is_there(cluster, receiver):
    """It says that it is ready, as one that did not have to wait."""
    cluster.launch()

    assert json.loads(receiver.stdout.readline())["ready"]


def test_a_process_that_waits_for_its_database_ends_when_told_to(receiver):
    """In order: no supervisor takes it for one that died."""
    receiver.terminate()
    _, log = receiver.communicate(timeout=DEADLINE_S)

    assert receiver.returncode == 0, log
    assert b"ERROR" not in log
