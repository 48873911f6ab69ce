"""Running processes follow the settings file, and a file with faults changes nothing."""

import logging
import threading

import pytest
from node_builders import wait_for

from dicom_node.configuration.desk import ConfigurationDesk
from dicom_node.configuration.live import LiveSettings
from dicom_node.settings.file import load_settings


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "node.toml"
    path.write_text("[node]\nport = 11113\n")
    return path


@pytest.fixture
def live(path):
    desk = ConfigurationDesk(path, environment={})
    return LiveSettings(load_settings(path, {}), stop=threading.Event(), desk=desk)


def test_a_change_ends_the_turn_and_tells_the_followers(live, path):
    """The next turn has the new settings."""
    told = []
    first = live.turn()
    with live.followed_by(lambda settings: told.append(settings.node.port)):
        assert not live.look()
        path.write_text("[node]\nport = 11114\n")

        assert live.look()
    path.write_text("[node]\nport = 11115\n")
    live.look()

    assert first.over.is_set()
    assert told == [11113, 11114]
    turn = live.turn()
    assert (turn.settings.node.port, turn.over.is_set()) == (11115, False)
    assert live.now is turn.settings


def test_another_comment_is_no_change(live, path):
    """Only what the file says counts."""
    turn = live.turn()
    path.write_text("# moved\n[node]\nport = 11113\n")

    assert not live.look()
    assert not turn.over.is_set()


def test_a_file_with_faults_leaves_the_old_settings_in_force(live, path, caplog):
    """It is said once, and once more when it has healed."""
    turn = live.turn()
    caplog.set_level(logging.INFO)

    path.write_text("[node]\nport = 0\n[log]\nlevel = 3\n")
    live.look()
    live.hurry()
    live.look()

    assert live.now.node.port == 11113
    assert not turn.over.is_set()
    assert len(live.faults) == 2
    assert "node.port" in live.faults[0]
    assert len([one for one in caplog.records if one.levelno == logging.ERROR]) == 1
    path.unlink()
    live.look()
    assert live.faults[0].startswith("file: ")
    path.write_text("[node]\nport = 11113\n")
    live.look()
    assert live.faults == ()
    assert "no fault any more" in caplog.text


def test_what_needs_a_restart_waits_for_it_and_says_so(live, path, caplog, tmp_path):
    """The data directory cannot move under a running node; the port may."""
    old = live.now.node.data_dir
    path.write_text(f'[node]\nport = 104\ndata_dir = "{tmp_path}"\n[log]\nformat = "json"\n')

    live.look()

    assert (live.now.node.port, live.now.node.data_dir) == (104, old)
    assert live.now.log.format == "text"
    assert set(live.waiting) == {"log", "node.data_dir"}
    assert "node.data_dir" in caplog.text


def test_the_file_is_looked_at_by_itself_until_the_process_ends(path):
    """The end of the process ends the turn, too."""
    stop = threading.Event()
    desk = ConfigurationDesk(path, environment={})
    live = LiveSettings(load_settings(path, {}), stop=stop, desk=desk, look_every_s=0.01)

    with live:
        path.write_text("[node]\nport = 11116\n")
        wait_for(lambda: live.now.node.port == 11116, limit_s=60)
        turn = live.turn()
        stop.set()
        assert turn.over.wait(60)

    assert live.turn().over.is_set()


def test_settings_without_a_file_stay_as_they_are(path):
    """In tests and programs that build a node of their own."""
    live = LiveSettings(load_settings(path, {}), stop=threading.Event())

    assert not live.look()
    assert live.faults == ()
