"""The page on Orthanc is tried as it stands: its files, a real Orthanc, a node as processes."""

import json
from collections import Counter
from pathlib import Path

import pytest
from acceptance.conftest import head_series
from acceptance.node_process import NodeProcess, wait_until
from acceptance.orthanc_process import Orthanc
from fenced_blocks import ROOT, blocks_of, files_of
from shell_of_docs import ready_shell

from dicom_node.association.peers import Peer
from dicom_node.association.storage_scu import outgoing_file, send_files

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(600)]

PAGE = ROOT / "docs" / "connect" / "orthanc.md"

#: What a test must have faster, and where it may look.
_QUICK = """
[assembly]
quiet_time_s = 0.5
force_time_s = 4.0
study_quiet_time_s = 0.5
study_limit_s = 5.0

[worker]
segmentation_bundle = "demo-segmentation"

[delivery]
first_retry_s = 0.5

[web]
port = {web}
open_on_loopback = true
"""


def settings_of_the_page(node, *, orthanc_port):
    """Return the page's node.toml with the ports of this test."""
    text = files_of(PAGE)["node.toml"]
    for old, new in (
        ("port = 11112", f'port = {node.dicom_port}\ndata_dir = "{node.folder / "data"}"'),
        ("port = 4242", f"port = {orthanc_port}"),
    ):
        assert old in text
        text = text.replace(old, new)
    return text + _QUICK.format(web=node.web_port)


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Return a node and an Orthanc with the files of the page, for all tests of them."""
    folder = tmp_path_factory.mktemp("pair")
    node = NodeProcess(folder, pacs_port=0, pacs_title="ORTHANC")
    page = json.loads(files_of(PAGE)["orthanc.json"])
    page["DicomModalities"]["ichnode"]["Port"] = node.dicom_port
    page["StableAge"] = 1
    script = folder / "forward.lua"
    script.write_text(files_of(PAGE)["forward.lua"])
    del page["DicomPort"]
    page["LuaScripts"] = [str(folder / name) for name in page["LuaScripts"]]
    orthanc = Orthanc(folder / "orthanc", **page)
    node.config.write_text(settings_of_the_page(node, orthanc_port=orthanc.dicom_port))
    node.start()
    yield node, orthanc
    node.stop()
    orthanc.stop()


def test_a_study_goes_to_the_node_and_its_results_come_back(pair, tmp_path):
    """Sent to Orthanc by a scanner; forwarded by the script; committed by Orthanc; never twice."""
    node, orthanc = pair
    scanner = Peer(
        name="orthanc",
        ae_title="ORTHANC",
        host="127.0.0.1",
        port=orthanc.dicom_port,
        calling_ae_title="STORESCU",
    )
    files = head_series(tmp_path / "ct", seed=41)

    outcomes = send_files(scanner, [outgoing_file(path) for path in files])
    wait_until(lambda: [row["state"] for row in node.rows()] == ["delivered"])

    assert all(outcome.accepted for outcome in outcomes)
    (row,) = node.rows()
    assert {one["state"] for one in row["deliveries"]} == {"committed"}
    modalities = Counter()
    for one in orthanc.ask("/series?expand"):
        modalities[one["MainDicomTags"]["Modality"]] += len(one["Instances"])
    assert modalities == {"CT": 30, "OT": 3, "SEG": 1, "SR": 1}
    assert len(orthanc.ask("/studies")) == 1


def test_the_commands_of_the_page_run(pair, tmp_path):
    """Orthanc answers, and takes every class of result."""
    node, _ = pair
    run = ready_shell(tmp_path / "work", node.config)

    for block in blocks_of(PAGE):
        if block.mark == "run":
            done = run(block)
            assert done.returncode == 0, done.stdout + done.stderr


def test_the_page_says_which_orthanc_was_tried(pair):
    """The version in the text is that of the program that runs here, or older."""
    _, orthanc = pair
    told = Path(PAGE).read_text(encoding="utf-8").split("Checked with Orthanc ")[1].split(" ")[0]

    version = orthanc.ask("/system")["Version"]

    assert tuple(map(int, told.split("."))) <= tuple(map(int, version.split(".")))
