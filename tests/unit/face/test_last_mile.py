"""The commands as a whole: completion, examples, JSON, and searches that know no patient."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
import typer
from node_builders import opened_ledger, request_of, small_series
from typer.testing import CliRunner

from dicom_node.bootstrap.layout import DataLayout
from dicom_node.cli.app import app
from dicom_node.commands.models import run_list, run_show
from dicom_node.intake.instance import receive
from pipeline.model_bundle import builtin_bundle_paths


@pytest.fixture
def config(tmp_path):
    """Return the settings of a node with two studies of two patients."""
    layout = DataLayout(root=tmp_path / "data")
    layout.prepare()
    with opened_ledger(layout.ledger) as ledger:
        for number in (1, 2):
            images = small_series(seed=number, study_uid=f"1.2.{number}", patient_id=f"P{number}")
            for image in images:
                image.AccessionNumber = f"NUMBER-{number}"
                instance = receive(request_of(image), patient_salt=ledger.patient_salt)
                ledger.arrivals.add(instance, Path(f"{instance.sop_instance_uid}.dcm"))
    config = tmp_path / "node.toml"
    config.write_text(f'[node]\ndata_dir = "{layout.root}"\n')
    return config


def listed(config, *words, stdin=""):
    """Return the studies that ``ichnode studies list`` finds."""
    done = CliRunner().invoke(
        app, ["studies", "list", *words, "--json", "--config", str(config)], input=stdin
    )
    assert done.exit_code == 0, done.output
    return [one["study_instance_uid"] for one in json.loads(done.output)["studies"]]


def test_studies_are_searched_by_uid(config):
    """As an option or as the argument."""
    assert listed(config, "--search", "1.2.1") == ["1.2.1"]
    assert listed(config, "1.2.2") == ["1.2.2"]


def test_a_patient_is_found_though_no_patient_is_kept(config):
    """By the key of the Patient ID, which only this node can make; also from standard input."""
    assert listed(config, "--patient", "P2") == ["1.2.2"]
    assert listed(config, "--patient", "-", stdin="P1\n") == ["1.2.1"]
    assert listed(config, "--patient", "P3") == []


def test_an_accession_number_is_found_though_none_is_kept(config):
    """The whole number, whatever blanks it was sent with; with other filters, too."""
    assert listed(config, "--accession", "NUMBER-2") == ["1.2.2"]
    assert listed(config, "--accession", "-", stdin=" NUMBER-1\n") == ["1.2.1"]
    assert listed(config, "--accession", "NUMBER") == []
    assert listed(config, "--accession", "NUMBER-2", "--patient", "P1") == []
    with closing(sqlite3.connect(config.parent / "data" / "ledger.sqlite")) as database:
        assert "NUMBER-" not in "".join(database.iterdump())


def test_a_study_is_found_by_the_key_of_its_patient(config):
    """The key stands in the audit trail; a few characters of it are not enough."""
    with sqlite3.connect(config.parent / "data" / "ledger.sqlite") as database:
        (key,) = database.execute(
            "SELECT patient_key FROM instances WHERE study_uid = '1.2.1' LIMIT 1"
        ).fetchone()
    database.close()

    assert listed(config, "--search", key) == ["1.2.1"]
    assert listed(config, key[:12].upper()) == ["1.2.1"]


def commands(group, path=()):
    """Yield every command that is shown, with what is typed to reach it."""
    for name, command in group.commands.items():
        if command.hidden:
            continue
        if isinstance(command, typer.core.TyperGroup):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


COMMANDS = dict(commands(typer.main.get_command(app)))


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help_has_an_example_that_names_the_command(words):
    """Whoever asks for help sees how it is typed."""
    told = COMMANDS[words].help or ""

    assert "xample" in told
    assert f"ichnode {' '.join(words)}" in told


def test_models_are_told_to_programs(capsys):
    """List and card as JSON."""
    path = builtin_bundle_paths()[0]

    assert run_list([], as_json=True) == 0
    listed = json.loads(capsys.readouterr().out)
    assert run_show(str(path), as_json=True) == 0
    shown = json.loads(capsys.readouterr().out)

    assert listed["faults"] == []
    assert str(path) in {one["folder"] for one in listed["models"]}
    assert shown["card"]["name"] in {one["name"] for one in listed["models"]}


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
def test_completion_is_installed_and_completes(tmp_path):
    """In a home of its own: bash finds the file, and the word begun is completed."""
    environment = os.environ | {"HOME": str(tmp_path), "SHELL": "/bin/bash"}
    (tmp_path / ".bashrc").write_text("# empty\n")
    folder = tmp_path / "bin"
    folder.mkdir()
    script = folder / "ichnode"
    script.write_text(f"#!{sys.executable}\nfrom dicom_node.cli.app import main\nmain()\n")
    script.chmod(0o755)
    environment["PATH"] = f"{folder}:{environment['PATH']}"
    # typer asks the parent process which shell it is.
    subprocess.run(
        ["bash", "-c", "ichnode --install-completion bash; true"],
        env=environment,
        check=True,
        capture_output=True,
        timeout=120,
    )
    lines = (
        f"source {tmp_path}/.bashrc; COMP_WORDS=(ichnode stud); COMP_CWORD=1; "
        'f=$(complete -p ichnode | sed "s/.*-F \\([^ ]*\\) .*/\\1/"); $f ichnode; '
        'echo "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "-c", lines],
        env=environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout.strip() == "studies", done.stderr
