"""The first settings file of a site comes from five questions or as many options."""

import socket
import tomllib

import pytest
from pynetdicom import AE
from typer.testing import CliRunner

from dicom_node.cli.app import app
from dicom_node.operator_error import OperatorError
from dicom_node.settings.file import load_settings

HOST = "127.0.0.1"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "etc" / "node.toml"


@pytest.fixture
def call(path, monkeypatch):
    """Run the command; returns exit code and output. Whoever is given lines sits at a terminal."""
    monkeypatch.delenv("ICHNODE_CONFIG", raising=False)
    monkeypatch.delenv("ICHNODE_DATA_DIR", raising=False)

    def run(*arguments, lines=None):
        if lines is not None:
            monkeypatch.setattr("dicom_node.commands.init._is_at_terminal", lambda: True)
            answers = iter(lines)
            monkeypatch.setattr("typer.prompt", lambda _, default, **__: next(answers) or default)
        done = CliRunner().invoke(app, ["init", str(path), *arguments])
        if isinstance(done.exception, OperatorError):
            return done.exception.exit_code, str(done.exception)
        return done.exit_code, done.output

    return run


@pytest.fixture
def closed_port():
    with socket.create_server((HOST, 0)) as taken:
        return taken.getsockname()[1]


def test_with_yes_nothing_is_asked_and_the_defaults_hold(call, path):
    """The file is the shipped one, comments and all."""
    code, out = call("--yes")

    assert code == 0
    assert "Enter this at the PACS" in out
    assert f"ichnode serve --config {path}" in out
    settings = load_settings(path, {})
    assert settings.node.ae_title == "ICHNODE"
    assert settings.peers == ()
    assert "# How the node is called." in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o644


def test_options_answer_the_questions(call, path, tmp_path, closed_port):
    """A PACS that does not answer is said, and the file is written all the same."""
    code, out = call(
        *("--yes", "--node", "NODE7@10.0.0.5:104", "--pacs", f"PACS@{HOST}:{closed_port}"),
        *("--callers", "CT1=10.0.0.21, CT2", "--data-dir", str(tmp_path / "d"), "--device", "cpu"),
    )

    assert code == 1
    assert "refuses connections" in out
    document = tomllib.loads(path.read_text())
    assert document["node"]["ae_title"] == "NODE7"
    assert (document["node"]["host"], document["node"]["port"]) == ("10.0.0.5", 104)
    assert document["node"]["callers"] == [{"ae_title": "CT1", "address": "10.0.0.21"}, "CT2"]
    assert document["worker"]["device"] == "cpu"
    (peer,) = document["peers"]
    assert (peer["name"], peer["ae_title"], peer["receives_results"]) == ("pacs", "PACS", True)
    assert load_settings(path, {}).node.data_dir == tmp_path / "d"


def test_a_pacs_that_takes_everything_ends_well(call):
    """The echo is run, and every class that the node makes is negotiated."""
    entity = AE(ae_title="PACS")
    for one in (
        "1.2.840.10008.1.1",
        "1.2.840.10008.5.1.4.1.1.7",
        "1.2.840.10008.5.1.4.1.1.30",
        "1.2.840.10008.5.1.4.1.1.66.4",
        "1.2.840.10008.5.1.4.1.1.88.34",
    ):
        entity.add_supported_context(one)
    server = entity.start_server((HOST, 0), block=False)
    try:
        code, out = call("--yes", "--pacs", f"PACS@{HOST}:{server.server_address[1]}")
    finally:
        server.shutdown()

    assert code == 0, out
    assert "C-ECHO" in out
    assert "FAULT" not in out


def test_questions_are_asked_at_a_terminal(call, path, tmp_path):
    """Enter takes the default; what an option says is not asked."""
    lines = ["NODE@10.0.0.5:11112", "", "CT1", str(tmp_path / "data")]

    code, out = call("--device", "cpu", lines=lines)

    assert code == 0, out
    settings = load_settings(path, {})
    assert (settings.node.ae_title, settings.node.host) == ("NODE", "10.0.0.5")
    assert settings.node.callers == ("CT1",)
    assert settings.worker.device == "cpu"


def test_nothing_is_written_where_it_must_not_be(call, path):
    """Not over a file, not with faults, not when nobody can be asked."""
    assert call()[0] == 2
    for wrong in (("--node", "?"), ("--node", "A@?:1"), ("--device", "abacus")):
        assert call("--yes", *wrong)[0] == 2
        assert not path.exists()
    path.parent.mkdir()
    path.write_text("# mine\n")

    code, told = call("--yes")

    assert code == 2
    assert "is there already" in told
    assert path.read_text() == "# mine\n"
