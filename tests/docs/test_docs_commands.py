"""Commands in the documentation work: those that are marked are run, all others exist."""

import shlex

import pytest
import typer
from acceptance.conftest import head_series
from acceptance.node_process import NodeProcess
from fenced_blocks import all_blocks
from shell_of_docs import ready_shell

from dicom_node.association.archive_scp import ArchiveScp
from dicom_node.commands.demo_stage import free_ports
from dicom_node.settings.file import load_settings

#: Programs of the pages load networks; a busy machine may need minutes.
pytestmark = pytest.mark.timeout(600)

BLOCKS = all_blocks()
RUN = [block for block in BLOCKS if block.mark == "run"]
#: What a comment above a block may ask for.
ASKED = {"node", "head-ct", "orthanc", "training"}
#: Which of them a test of its own provides.
ELSEWHERE = {"node", "orthanc", "training"}

_ALONE = """
[node]
port = {dicom}
data_dir = "{data}"
free_space_floor_mb = 1

[worker]
segmentation_bundle = "demo-segmentation"

[web]
port = {web}
"""


@pytest.fixture(scope="module")
def head_ct(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images") / "head-ct"
    head_series(folder, seed=77)
    return folder


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    folder = tmp_path_factory.mktemp("running")
    pacs = ArchiveScp(folder / "pacs", ae_title="PACS", host="127.0.0.1", port=0)
    pacs.start()
    node = NodeProcess(folder, pacs_port=pacs.port)
    node.start()
    yield node
    node.stop()
    pacs.stop()


def test_every_mark_is_understood():
    """A mark with a slip of the pen would leave its block untested."""
    for block in BLOCKS:
        assert block.mark in {"", "run", "file"}, block.name
        if block.mark == "run":
            assert set(block.words.split()) <= ASKED, block.name
            assert block.language == "sh", block.name
        if block.mark == "file":
            assert block.words, block.name


@pytest.mark.parametrize(
    "block",
    [one for one in RUN if not ELSEWHERE & set(one.words.split())],
    ids=lambda block: block.name,
)
def test_commands_run_without_a_node(block, tmp_path, head_ct):
    """On a machine where nothing listens."""
    dicom, web = free_ports(2)
    config = tmp_path / "node.toml"
    config.write_text(_ALONE.format(dicom=dicom, web=web, data=tmp_path / "data"))
    run = ready_shell(tmp_path / "work", config)
    if "head-ct" in block.words:
        (tmp_path / "work" / "head-ct").symlink_to(head_ct)

    done = run(block)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.acceptance
@pytest.mark.parametrize(
    "block", [one for one in RUN if "node" in one.words.split()], ids=lambda block: block.name
)
def test_commands_run_beside_a_node(block, tmp_path, running, head_ct):
    """With a node that listens, and a PACS that takes its results."""
    run = ready_shell(tmp_path / "work", running.config, node_port=running.dicom_port)
    if "head-ct" in block.words:
        (tmp_path / "work" / "head-ct").symlink_to(head_ct)

    done = run(block)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.acceptance
@pytest.mark.parametrize(
    "block", [one for one in RUN if one.words == "training"], ids=lambda block: block.name
)
def test_a_cohort_becomes_a_bundle(block, tmp_path):
    """The commands of a page on training, one after the other; a minute or two."""
    config = tmp_path / "node.toml"
    config.write_text(f'[node]\ndata_dir = "{tmp_path / "data"}"\n')

    done = ready_shell(tmp_path / "work", config)(block)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "block",
    [one for one in BLOCKS if one.mark == "file" and one.words == "node.toml"],
    ids=lambda block: block.name,
)
def test_a_settings_file_of_a_page_is_valid(block, tmp_path):
    """Whoever copies it gets a node that starts."""
    path = tmp_path / "node.toml"
    path.write_text(block.text)

    assert load_settings(path, {}).node.ae_title == "ICHNODE"


#: What the pages call.
PROGRAMS = {"ichnode", "ichtrain"}


def commands_in(block):
    """Return the words of each call of a program of the project, without what follows a mark."""
    text = block.text.replace("\\\n", " ")
    for line in text.splitlines():
        words = shlex.split(line.removeprefix("$ "), comments=True)
        found = [i for i, one in enumerate(words) if one.rsplit("/", 1)[-1] in PROGRAMS]
        if found:
            # Docker's own words name containers and volumes like the image, which comes last.
            start = found[-1 if words[0] == "docker" else 0]
            ends = [i for i, one in enumerate(words[start:]) if one in {"|", ">", ";", "&&"}]
            yield words[start:][: ends[0] if ends else None]


def application(program):
    from dicom_node.cli.app import app
    from training.cli import application as training

    return typer.main.get_command(app if program == "ichnode" else training())


@pytest.mark.parametrize(
    "block",
    [one for one in BLOCKS if one.language in {"sh", "console"}],
    ids=lambda block: block.name,
)
def test_every_command_of_the_pages_exists(block):
    """Name and options, also of those that are not run here."""
    for program, *words in commands_in(block):
        command = application(program.rsplit("/", 1)[-1])
        while hasattr(command, "commands"):
            assert words, (block.name, program)
            if words[0].startswith("-"):
                break
            assert words[0] in command.commands, (block.name, words)
            command = command.commands[words.pop(0)]
        known = {name for one in command.params for name in (*one.opts, *one.secondary_opts)}
        given = {word.split("=")[0] for word in words if word.startswith("-") and word != "-"}
        assert given <= known | {"--help", "-h"}, (block.name, given - known)
