"""The command line as a person meets it: exit codes and messages, never a traceback."""

import subprocess
import sys

import pytest

from dicom_node.cli import app as cli
from dicom_node.commands.screen import show_table
from dicom_node.dicom_folder import dicom_files
from dicom_node.operator_error import OperatorError
from pipeline import __version__


@pytest.fixture
def call(monkeypatch, capsys, tmp_path):
    """Run ``ichnode`` with arguments; returns exit code, output and error output."""
    monkeypatch.setenv("ICHNODE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.delenv("ICHNODE_CONFIG", raising=False)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["ichnode", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        out, err = capsys.readouterr()
        return caught.value.code, out, err

    return run


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "node.toml"
    path.write_text(
        '[[peers]]\nname = "pacs"\nae_title = "PACS"\nhost = "127.0.0.1"\nport = 1\n'
        "connect_timeout_s = 2\n"
    )
    return path


def test_the_program_says_which_version_it_is(call):
    """Without any settings, as an installer asks."""
    code, out, _ = call("--version")

    assert (code, out) == (0, f"ichnode {__version__}\n")


def test_faults_of_the_settings_are_exit_code_2(call, tmp_path):
    """Every command says what is wrong with the file before it does anything."""
    path = tmp_path / "node.toml"
    path.write_text('[node]\nport = "x"\nae_titel = "A"\n')

    code, _, err = call("check", "--config", path)

    assert code == 2
    assert "node.port" in err
    assert "node.ae_titel" in err
    assert "Traceback" not in err


def test_an_unknown_peer_is_answered_with_the_known_ones(call, config):
    """The operator sees what to type."""
    code, _, err = call("echo", "pax", "--config", config)

    assert code == 2
    assert "'pax'" in err
    assert "pacs" in err


def test_a_peer_that_does_not_answer_is_exit_code_1(config):
    """Nobody listens on port 1."""
    done = subprocess.run(
        [sys.executable, "-m", "dicom_node", "echo", "pacs", "--config", str(config)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert "pacs" in done.stdout
    assert "Traceback" not in done.stderr


def test_a_folder_that_does_not_exist_is_said_so(call, config, tmp_path):
    """A typing error is no fault of the node."""
    code, _, err = call("send", tmp_path / "nowhere", "pacs", "--config", config)

    assert code == 2
    assert "does not exist" in err


def test_a_folder_without_dicom_is_said_so(call, config, tmp_path):
    """The number of other files helps to see that the folder is the wrong one."""
    (tmp_path / "notes.txt").write_text("no image")

    code, _, err = call("send", tmp_path, "pacs", "--config", config)

    assert code == 2
    assert "no DICOM file" in err


def test_an_address_that_is_none_is_refused(call, config):
    """AE@HOST:PORT takes a port from 1 to 65535."""
    code, _, err = call("echo", "PACS@127.0.0.1:99999", "--config", config)

    assert code == 2
    assert "99999" in err


def test_status_before_the_first_start_says_what_to_do(call):
    """There is no ledger yet."""
    code, _, err = call("status")

    assert code == 1
    assert "ichnode serve" in err


def test_an_unknown_process_is_answered_with_the_known_ones(call):
    """There are three."""
    code, _, err = call("serve", "--only", "reciever")

    assert code == 2
    assert "receiver, worker, office" in err


def test_dicom_files_are_found_by_their_prefix(tmp_path):
    """Names say nothing: scanners export files without suffix, and media carry an index."""
    (tmp_path / "sub").mkdir()
    image = tmp_path / "sub" / "IM0001"
    image.write_bytes(bytes(128) + b"DICM" + bytes(8))
    (tmp_path / "DICOMDIR").write_bytes(bytes(128) + b"DICM")
    (tmp_path / "short.dcm").write_bytes(b"DICM")

    assert dicom_files(tmp_path) == [image]


def test_a_file_in_place_of_a_folder_is_refused(tmp_path):
    """Told in words."""
    path = tmp_path / "a.dcm"
    path.touch()

    with pytest.raises(OperatorError, match="is a file"):
        dicom_files(path)


def test_a_cell_of_two_lines_leaves_its_column_alone(capsys):
    """What stands beside it stays in line with its header."""
    show_table(("series", "images"), [("1.2\non hold: letter", "12")])

    assert capsys.readouterr().out == (
        "series           images\n1.2              12\non hold: letter\n"
    )


def test_a_table_that_is_not_on_a_terminal_is_plain(capsys):
    """Programs and log files get aligned text without boxes or colour."""
    show_table(("peer", "result"), [("pacs", "ok"), ("archive", "[red]refused[/red]")])

    assert capsys.readouterr().out.splitlines() == [
        "peer     result",
        "pacs     ok",
        "archive  [red]refused[/red]",
    ]
