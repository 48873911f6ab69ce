"""``ichnode health --only``: whether one process of this machine lives, for probes."""

from datetime import UTC, datetime, timedelta

import pytest
from node_builders import opened_ledger

from dicom_node.commands.health import run_only
from dicom_node.jobs.process_identity import ProcessIdentity
from dicom_node.operator_error import ExitCode, OperatorError


@pytest.fixture
def site(tmp_path):
    """Return the settings of a node whose only worker was just seen on "gpu1"."""
    (tmp_path / "data").mkdir()
    config = tmp_path / "node.toml"
    config.write_text(f'[node]\ndata_dir = "{tmp_path / "data"}"\n')
    with opened_ledger(tmp_path / "data" / "ledger.sqlite") as ledger:
        now = datetime.now(UTC)
        for host, pid, seen_at in (("gpu1", 1, now), ("gpu2", 2, now - timedelta(minutes=5))):
            one = ProcessIdentity(name="worker-0", host=host, pid=pid, token=host)
            ledger.presence.enter(one, seen_at)
    return config


@pytest.mark.parametrize(
    ("role", "host", "expected"),
    [
        ("worker", "gpu1", ExitCode.OK),
        ("worker", "gpu2", ExitCode.FAILED),
        ("worker", "gpu3", ExitCode.FAILED),
        ("receiver", "gpu1", ExitCode.FAILED),
    ],
)
def test_a_probe_asks_for_one_role_on_one_machine(site, capsys, role, host, expected):
    """Another machine's worker, another role, or one that has fallen silent does not count."""
    assert run_only(role, config=site, host=host) == expected

    assert f"the {role} on {host}" in capsys.readouterr().out


def test_a_probe_for_no_role_is_wrong_use(site):
    """The roles that there are are named."""
    with pytest.raises(OperatorError, match="receiver, worker, office") as caught:
        run_only("gpu", config=site)

    assert caught.value.exit_code == ExitCode.USAGE
