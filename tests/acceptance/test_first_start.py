"""The first start: settings, log-in, a PACS that is tested, a study sent, its results there."""

import re
import subprocess
import sys
from datetime import UTC, datetime

import pydicom
import pytest
from acceptance.conftest import head_series
from acceptance.node_process import DEADLINE_S, NodeProcess, wait_until
from web_builder import PASSWORD

from dicom_node.configuration.desk import ConfigurationDesk
from dicom_node.configuration.edits import SetValue

pytestmark = pytest.mark.acceptance

PATIENCE_MS = 1000 * DEADLINE_S

#: The worker knows the new destination; a job that ends before is not sent there.
FOLLOWED = re.compile(r" worker +INFO +The settings have changed")

#: Of a node for many people: this test waits for one study alone.
HASTE = {"quiet_time_s": 0.5, "force_time_s": 4.0, "study_quiet_time_s": 0.5, "study_limit_s": 5.0}


@pytest.fixture(scope="module")
def node(folder):
    """Return a node that `ichnode init` has written the settings of; it is not started."""
    node = NodeProcess(folder, pacs_port=0)
    node.config.unlink()
    subprocess.run(
        [
            *(sys.executable, "-m", "dicom_node", "init", str(node.config), "--yes", "--no-test"),
            *("--node", f"ICHNODE@127.0.0.1:{node.dicom_port}", "--callers", "MODALITY"),
            *("--data-dir", str(folder / "data"), "--device", "cpu"),
        ],
        check=True,
        capture_output=True,
    )
    edits = [SetValue(table="assembly", key=key, value=value) for key, value in HASTE.items()]
    edits += [
        SetValue(table="web", key="port", value=node.web_port),
        SetValue(table="node", key="free_space_floor_mb", value=1),
    ]
    desk = ConfigurationDesk(node.config, environment={})
    desk.change(edits, who="test", now=datetime.now(UTC))
    yield node
    if node.process is not None and node.process.poll() is None:
        node.stop()


def first_code(node):
    """Return the name and the one-time code that the node prints once it is ready."""
    line = node.said.get(timeout=DEADLINE_S)
    return re.search(r"with the name (\S+) and the one-time code (\S+)", line).groups()


def test_an_admin_connects_a_pacs_and_sees_a_study_return(node, archive, chromium, tmp_path):
    """By what the node prints and what stands on its pages, from nothing to delivered results."""
    node.start()
    name, code = first_code(node)
    page = chromium.new_page(base_url=f"http://127.0.0.1:{node.web_port}")
    page.set_default_timeout(PATIENCE_MS)
    log_in_first(page, name, code)

    add_pacs(page, archive.scp.port)
    page.get_by_role("button", name="Test: archive").click()
    page.get_by_text("All is well.").wait_for()
    tested = page.inner_text("#trial")
    assert "C-ECHO" in tested
    assert re.search(r"Segmentation Storage.*accepted in Explicit VR Little Endian", tested)

    wait_until(lambda: FOLLOWED.search(node.log.read_text()))
    files = head_series(tmp_path / "ct", seed=1)
    study = pydicom.dcmread(files[0]).StudyInstanceUID
    assert node.send(files)

    page.click("nav >> text=Studies")
    page.locator("td .state.delivered").wait_for()
    assert "hematoma found" in page.inner_text("table")
    page.click(f'main a[href*="{study}"] >> nth=0')
    page.locator("img.picture").wait_for()
    page.click("nav >> text=Deliveries")
    page.get_by_role("link", name="archive").click()
    page.locator("#found td .state.accepted").first.wait_for()
    states = page.locator("#found td .state").all_inner_texts()
    assert states == ["accepted"] * 5
    assert len(archive.of_study(study)) == 5
    assert "served" in page.inner_text("main")


def log_in_first(page, name, code):
    """Set the first password with the code; the overview follows."""
    page.goto("/")
    page.click("text=I have a one-time code")
    page.fill("#name", name)
    page.fill("#code", code)
    page.fill("#password", PASSWORD)
    page.fill("#again", PASSWORD)
    page.click("main button")
    page.get_by_role("heading", name="Overview").wait_for()


def add_pacs(page, port):
    """Add the archive as somebody who gets results; the list shows it."""
    page.click("nav >> text=AE titles")
    page.click("text=Add a peer")
    page.get_by_label("Name *").fill("archive")
    page.get_by_label("AE title *").fill("PACS")
    page.get_by_label("Host or address *").fill("127.0.0.1")
    page.get_by_label("Port *").fill(str(port))
    page.get_by_label("Gets results").check()
    page.get_by_role("button", name="Save").click()
    page.get_by_text("Changed. It takes effect:").wait_for()
    page.get_by_text(f"PACS@127.0.0.1:{port}").wait_for()
