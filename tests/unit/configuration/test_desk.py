"""The desk changes a settings file as a whole, keeps every version, and overwrites nobody."""

import os
import tomllib
from datetime import UTC, datetime, timedelta

import pytest

from dicom_node.configuration.desk import (
    ConfigurationDesk,
    NothingToChangeError,
    StaleConfigurationError,
    UnknownChangeError,
)
from dicom_node.configuration.edits import AddEntry, RemoveEntry, SetValue
from dicom_node.configuration.history import ConfigurationHistory
from dicom_node.settings.file import SettingsError

NOW = datetime(2026, 11, 22, 1, 0, tzinfo=UTC)
SITE = '# Ours.\n[node]\nport = 11113  # moved\n\n[worker]\ndevice = "cpu"\n'
PORT = SetValue(table="node", key="port", value=11114)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "node.toml"
    path.write_text(SITE)
    return path


@pytest.fixture
def desk(path, tmp_path):
    return ConfigurationDesk(path, environment={"ICHNODE_DATA_DIR": str(tmp_path / "data")})


def test_a_change_is_made_and_remembered(desk, path):
    """Who, when, why and what differs; the version before is known, too."""
    change = desk.change([PORT], who="ada", why="new switch", now=NOW)

    assert path.read_text() == SITE.replace("11113", "11114")
    found, made = desk.history()
    assert (found.who, found.why, found.diff) == ("outside", "as it was found", "")
    assert made == change
    assert (made.change_id, made.who, made.why, made.at) == (2, "ada", "new switch", NOW)
    assert made.tables == ("node",)
    assert "-port = 11113  # moved\n+port = 11114  # moved\n" in made.diff
    assert desk.read().digest == made.digest
    assert desk.text_of(1) == SITE


def test_every_fault_is_named_and_nothing_is_written(desk, path):
    """All edits or none; the same faults as the check finds."""
    edits = [PORT, SetValue(table="node", key="host", value="?"), *_peer("a"), *_peer("a")]

    with pytest.raises(SettingsError) as caught:
        desk.change(edits, who="ada", now=NOW)

    assert [fault.key for fault in caught.value.faults] == ["node.host", "peers[2].name"]
    assert desk.check(edits) == caught.value.faults
    assert path.read_text() == SITE


def _peer(name):
    values = {"name": name, "ae_title": "A", "host": "h", "port": 104}
    return [AddEntry(array="peers", values=values)]


def test_a_file_that_changed_meanwhile_is_not_overwritten(desk, path):
    """Two browsers, or a browser and an editor: the second is told to look again."""
    seen = desk.read().digest
    desk.change([PORT], who="ada", now=NOW)

    with pytest.raises(StaleConfigurationError):
        desk.change(
            [SetValue(table="web", key="port", value=1)],
            who="ben",
            expected_digest=seen,
            now=NOW,
        )

    assert "web" not in tomllib.loads(path.read_text())


def test_what_an_editor_did_is_noticed_once(desk, path):
    """Valid or not, it is kept as a version from outside."""
    desk.observe(NOW)
    path.write_text(SITE.replace("11113", "oops"))

    change = desk.observe(NOW + timedelta(hours=1))

    assert change is not None
    assert (change.change_id, change.who, change.tables) == (2, "outside", ())
    assert "oops" in change.diff
    assert desk.observe(NOW) is None
    assert desk.read().settings is None
    assert desk.read().faults


def test_a_roll_back_is_a_new_version(desk, path):
    """Nothing is forgotten by it, and what is there already is not written again."""
    desk.change([PORT], who="ada", now=NOW)
    desk.change([SetValue(table="worker", key="device", value="auto")], who="ben", now=NOW)

    change = desk.roll_back(2, who="eve", now=NOW)

    assert path.read_text() == desk.text_of(2)
    assert (change.change_id, change.who, change.why) == (4, "eve", "as after change 2")
    with pytest.raises(NothingToChangeError):
        desk.roll_back(2, who="eve", now=NOW)
    with pytest.raises(UnknownChangeError):
        desk.roll_back(9, who="eve", now=NOW)
    with pytest.raises(UnknownChangeError):
        desk.show(9)


def test_a_version_with_faults_does_not_come_back(desk, path):
    """An editor's broken file is in the history, and stays there."""
    desk.observe(NOW)
    path.write_text("[node]\nport = 0\n")
    desk.observe(NOW)
    path.write_text(SITE)

    with pytest.raises(SettingsError, match="as of change 2"):
        desk.roll_back(2, who="ada", now=NOW)

    assert path.read_text() == SITE


def test_a_change_cut_off_before_the_file_was_written_is_told_truly(desk, path, monkeypatch):
    """The history says first what is to come: the next look finds the file as it was."""

    def dies(*_):
        raise OSError("power is gone")

    monkeypatch.setattr("dicom_node.configuration.desk.write_durably", dies)
    with pytest.raises(SettingsError, match="power is gone"):
        desk.change([PORT], who="ada", now=NOW)
    monkeypatch.undo()

    desk.observe(NOW)

    assert path.read_text() == SITE
    assert [change.who for change in desk.history()] == ["outside", "ada", "outside"]
    assert desk.text_of(3) == SITE


def test_a_line_of_the_history_that_a_crash_cut_off_is_left_out(desk):
    """The next version stands on a line of its own."""
    desk.change([PORT], who="ada", now=NOW)
    index = next(desk._history().folder.glob("*.jsonl"))
    index.write_text(index.read_text() + '{"change_id": 3, "who"')

    desk.change([SetValue(table="node", key="port", value=None)], who="ben", now=NOW)

    assert [change.who for change in desk.history()] == ["outside", "ada", "ben"]


def test_rights_and_links_stay(path, tmp_path):
    """Sites keep the file under version control elsewhere; the history is for the owner alone."""
    path.chmod(0o640)
    link = tmp_path / "link.toml"
    link.symlink_to(path)
    linked = ConfigurationDesk(link, environment={}, history_dir=tmp_path / "kept")

    linked.change([PORT], who="ada", now=NOW)

    assert link.is_symlink()
    assert path.stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "kept").stat().st_mode & 0o777 == 0o700
    assert all(one.stat().st_mode & 0o077 == 0 for one in (tmp_path / "kept").iterdir())


def test_a_file_that_cannot_be_written_is_a_fault(desk, path, monkeypatch):
    """In a container it may be mounted read-only; the page says so."""
    real = os.replace

    def refuse(source, target):
        if str(target) == str(path):
            raise OSError(30, "Read-only file system")
        real(source, target)

    monkeypatch.setattr("pathlib.os.replace", refuse)

    with pytest.raises(SettingsError, match="Read-only file system"):
        desk.change([PORT], who="ada", now=NOW)

    assert path.read_text() == SITE


def test_the_history_follows_the_data_directory_of_the_file(path, tmp_path):
    """Without the variable the file itself says where the data lie."""
    path.write_text(f'[node]\ndata_dir = "{tmp_path / "site"}"\n')
    desk = ConfigurationDesk(path, environment={})

    desk.change([PORT], who="ada", now=NOW)

    kept = ConfigurationHistory(tmp_path / "site" / "configuration").changes()
    assert [change.who for change in kept] == ["outside", "ada"]


def test_a_preview_shows_the_difference_and_writes_nothing(desk, path):
    """Before somebody says yes."""
    assert "+port = 11114" in desk.preview([PORT])
    assert path.read_text() == SITE
    assert desk.history() == ()
    with pytest.raises(SettingsError):
        desk.preview([RemoveEntry(array="peers", match={"name": "x"})])


def test_the_last_version_without_faults_is_found(desk, path):
    """What a process works with that is started again while the file has faults."""
    assert desk.last_without_faults() is None
    desk.change([PORT], who="ada", now=NOW)
    path.write_text("[node]\nport = 0\n")
    desk.observe(NOW)

    found = desk.last_without_faults()

    assert found is not None
    assert found.settings.node.port == 11114
