"""A node whose ledger is a PostgreSQL database: the straight line, and a worker that is killed."""

from collections import Counter

import pytest
from acceptance.conftest import head_series
from acceptance.node_process import NodeProcess, wait_until
from postgresql_cluster import running_cluster

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(600)]

SERIES = 3
SC = "1.2.840.10008.5.1.4.1.1.7"
SEG = "1.2.840.10008.5.1.4.1.1.66.4"
SR = "1.2.840.10008.5.1.4.1.1.88.34"


@pytest.fixture
def node(tmp_path, archive):
    """Return a running node with its ledger on the server of the tests."""
    place = running_cluster().fresh()
    process = NodeProcess(tmp_path, pacs_port=archive.scp.port)
    settings = process.config.read_text()
    process.config.write_text(settings.replace("[node]\n", f'[node]\nledger = "{place.url}"\n'))
    process.patience_s = 300
    process.start()
    yield process
    process.stop()


def test_every_series_has_one_result_set_though_a_worker_is_killed(node, archive, tmp_path):
    """SIGKILL at work: the lease runs out or the next worker frees it; nothing is lost or doubled.

    No file of SQLite is made; `verify` finds every image and result.
    """
    for number in range(SERIES):
        assert node.send(head_series(tmp_path / f"ct{number}", seed=number))
        if number == 0:
            wait_until(lambda: any(row["state"] == "analyzing" for row in node.rows()))
            node.kill_role("worker")
    wait_until(
        lambda: [row["state"] for row in node.rows()] == ["delivered"] * SERIES, timeout_s=300
    )

    kinds = Counter(one.sop_class_uid for one in archive.distinct().values())
    assert (kinds[SR], set(kinds)) == (SERIES, {SC, SEG, SR})
    checked = node.run("verify")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert not list((node.folder / "data").glob("ledger.sqlite*"))
    assert "Traceback" not in node.log.read_text()
