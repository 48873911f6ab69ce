"""Receiver, office and worker started one by one; and what a backup of them brings back."""

import json
import shutil
import subprocess

import pytest
from acceptance.conftest import head_series
from acceptance.node_process import NodeProcess, wait_until

from dicom_node.bootstrap.layout import DataLayout
from dicom_node.processes import Role

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(600)]

PATIENCE_S = 200


class LooseProcesses(NodeProcess):
    """A node without a supervisor: each process a command of its own, as of units and pods."""

    def __init__(self, folder, *, pacs_port):
        super().__init__(folder, pacs_port=pacs_port)
        self.processes = {}

    def start(self, *roles):
        """Start these roles; they wait for nobody, and each says when it is ready."""
        with self.log.open("a") as log:
            for role in roles:
                self.processes[role] = subprocess.Popen(
                    [*self.program, "--config", str(self.config), "--only", role],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                )
        for process in (self.processes[role] for role in roles):
            assert json.loads(process.stdout.readline())["ready"] is True

    def kill(self):
        """Kill every process, as the end of its machine would."""
        for process in self.processes.values():
            process.kill()
            process.wait()
            process.stdin.close()
            process.stdout.close()


@pytest.fixture
def loose(tmp_path, archive):
    node = LooseProcesses(tmp_path, pacs_port=archive.scp.port)
    node.start(*Role)
    yield node
    node.kill()


def delivered(node):
    return [row["state"] for row in node.rows()] == ["delivered"]


def test_a_backup_of_a_node_that_works_brings_everything_back(loose, archive, tmp_path):
    """Ledger first, folders after it; on a new disk nothing is lost, and nothing is sent twice."""
    files = head_series(tmp_path / "ct", seed=31)
    assert loose.send(files)
    wait_until(lambda: delivered(loose), timeout_s=PATIENCE_S)
    assert loose.run("health", "--only", Role.WORKER).returncode == 0
    sent = len(archive.received)
    data = DataLayout(root=tmp_path / "data")
    kept = DataLayout(root=tmp_path / "kept")

    kept.root.mkdir()
    assert loose.run("backup", str(kept.ledger)).returncode == 0
    for folder in ("spool", "outbox", "summaries"):
        shutil.copytree(data.root / folder, kept.root / folder)
    loose.kill()
    shutil.rmtree(data.root)
    kept.root.rename(data.root)
    loose.start(Role.RECEIVER, Role.OFFICE)

    assert loose.send(files)
    told = loose.run("verify")
    assert told.returncode == 0, told.stdout + told.stderr
    assert delivered(loose)
    (row,) = json.loads(loose.get("/status.json"))["series"]
    assert data.picture(row["job_id"]) is not None
    assert len(archive.received) == sent
