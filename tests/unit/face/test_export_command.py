"""``ichnode export-cohort`` as a person meets it."""

import sys

import pytest
from export_builder import FollowedSite

from dicom_node.cli import app as cli
from dicom_node.commands import export_cohort as command


class Followed:
    """Stands in for what the ledger knows."""

    known: tuple = ()

    def __init__(self, database):
        del database

    def pairs(self):
        return self.known


@pytest.fixture
def site(tmp_path):
    """Return the data directory of a node that has worked, with one patient."""
    return FollowedSite(tmp_path / "data")


@pytest.fixture
def call(monkeypatch, capsys, tmp_path, site):
    """Run the command with arguments; returns exit code, output and error output."""
    config = tmp_path / "node.toml"
    config.write_text(f'[node]\ndata_dir = "{site.folder}"\n')
    monkeypatch.delenv("ICHNODE_DATA_DIR", raising=False)
    monkeypatch.setattr(command, "FollowedLedger", Followed)

    def run(*arguments):
        told = ["ichnode", "export-cohort", *map(str, arguments), "--config", str(config)]
        monkeypatch.setattr(sys, "argv", told)
        with pytest.raises(SystemExit) as caught:
            cli.main()
        out, err = capsys.readouterr()
        return caught.value.code, out, err

    return run


def made(site):
    """Have the node make its ledger, as its first start does."""
    from node_builders import opened_ledger

    site.folder.mkdir(exist_ok=True)
    with opened_ledger(site.folder / "ledger.sqlite"):
        pass


def test_the_flow_the_key_and_the_next_step_are_told(call, site, monkeypatch, tmp_path):
    """A dry run counts and leaves nothing; then the export and its key are there, apart."""
    made(site)
    lost = site.pair("x", *[site.scan("BERTA")] * 2, status="refused", expanded=None)
    monkeypatch.setattr(Followed, "known", (site.followed("ANNA"), lost))
    output = tmp_path / "export"

    code, out, _ = call("--output", output, "--dry-run")
    assert code == 0
    assert "would be exported" in out
    assert not output.exists()
    assert not (site.folder / "export-keys").exists()

    code, out, _ = call("--output", output)

    (key,) = (site.folder / "export-keys").iterdir()
    assert code == 0
    assert key.stat().st_mode & 0o777 == 0o600
    assert str(key) in out
    assert "ichtrain cohort import" in out
    assert "could not be compared" in out
    assert (output / "pairs.csv").is_file()
    assert "ANNA" not in out


def test_an_export_of_nobody_fails_with_the_reasons(call, site, monkeypatch, tmp_path):
    """Exit code 1, and the table says why."""
    made(site)
    lost = site.pair("x", *[site.scan("BERTA")] * 2, status="no_verdict", expanded=None)
    monkeypatch.setattr(Followed, "known", (lost,))

    code, out, _ = call("--output", tmp_path / "export")

    assert code == 1
    assert "without a verdict" in out


def test_key_and_export_lie_where_they_are_safe(call, site, tmp_path):
    """No key within the export, no export within the patients' data."""
    made(site)
    output = tmp_path / "export"

    code, _, err = call("--output", output, "--key-file", output / "secret.key")
    assert (code, "would leave the site" in err) == (2, True)
    code, _, err = call("--output", site.folder / "spool" / "export")
    assert (code, "data directory" in err) == (2, True)
    assert not output.exists()


def test_without_a_node_there_is_nothing_to_export(call, tmp_path):
    """No ledger: the operator is told to start the node."""
    code, _, err = call("--output", tmp_path / "export")

    assert code == 1
    assert "ichnode serve" in err
