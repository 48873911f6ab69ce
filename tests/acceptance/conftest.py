"""A node as processes with stand-in models, and an archive that receives its results."""

import shutil
import threading

import pydicom
import pytest
from acceptance.node_process import NodeProcess, wait_until
from ct_builder import Ball, build_ct_series, save_series

from dicom_node.association.archive_scp import ArchiveScp


class Archive:
    """The PACS of the tests: knows every object it was sent, and how often."""

    def __init__(self, folder):
        self.received = []
        self.arrived = threading.Condition()
        self.scp = ArchiveScp(
            folder, ae_title="PACS", host="127.0.0.1", port=0, on_stored=self._stored
        )

    def _stored(self, stored):
        with self.arrived:
            self.received.append(stored)
            self.arrived.notify_all()

    def distinct(self):
        """Return what was received, each object once."""
        with self.arrived:
            return {one.sop_instance_uid: one for one in self.received}

    def of_study(self, study_uid):
        """Return what was received for a study, in order of arrival."""
        with self.arrived:
            received = list(self.received)
        return [
            one
            for one in received
            if pydicom.dcmread(one.path, specific_tags=["StudyInstanceUID"]).StudyInstanceUID
            == study_uid
        ]

    def wait_for(self, count, *, timeout_s=120):
        """Wait until so many distinct objects are there."""
        wait_until(lambda: len(self.distinct()) >= count, timeout_s=timeout_s)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder for the node and archive of one module of tests."""
    return tmp_path_factory.mktemp("node")


@pytest.fixture(scope="module")
def archive(folder):
    """Return an archive that listens."""
    archive = Archive(folder / "pacs")
    archive.scp.start()
    yield archive
    archive.scp.stop()


@pytest.fixture(scope="module")
def node(folder, archive):
    """Return a running node that delivers to the archive."""
    node = NodeProcess(folder, pacs_port=archive.scp.port)
    node.start()
    yield node
    if node.process.poll() is None:
        node.stop()


@pytest.fixture(scope="module")
def chromium():
    """Return a browser without a screen."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no chromium on the PATH")
    with playwright.sync_playwright() as tool:
        browser = tool.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


BLEEDING = (Ball(),)


def head_series(folder, *, seed=0, balls=BLEEDING):
    """Write a head CT series of a study of its own; return its files."""
    series = build_ct_series(
        slices=30,
        shape_yx=(128, 128),
        balls=balls,
        noise_hu=3.0,
        seed=seed,
        patient_id=f"POISON{seed}",
    )
    return save_series(series, folder)
