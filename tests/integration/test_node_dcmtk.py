"""The node beside another maker's tools: dcmtk sends, echoes and receives."""

import shutil
import socket
import subprocess

import pytest
from node_builders import (
    Clock,
    encoded,
    file_bytes,
    opened_ledger,
    result_objects,
    small_series,
    wait_for,
)

from dicom_node.association.callers import Caller
from dicom_node.association.file_format import split_file
from dicom_node.association.peers import Peer
from dicom_node.association.scp_settings import ScpSettings
from dicom_node.association.storage_scp import StorageScp
from dicom_node.association.storage_scu import outgoing_file, send_files
from dicom_node.association.verification import echo
from dicom_node.intake.custody import Custody
from dicom_node.intake.spool import Spool, SpoolLimits

HOST = "127.0.0.1"

#: Retired JPEG processes 6 and 10 (retired from PS3.5): no decoder of today reads them.
UNDECODABLE = {"1.2.840.10008.1.2.4.53", "1.2.840.10008.1.2.4.55"}

pytestmark = [
    pytest.mark.acceptance,
]


@pytest.fixture(autouse=True)
def dcmtk():
    """Skip where dcmtk is not installed."""
    for tool in ("storescu", "dcmsend", "echoscu", "storescp"):
        if shutil.which(tool) is None:
            pytest.skip(f"dcmtk's {tool} not found: install the package dcmtk")


@pytest.fixture
def spool(tmp_path):
    return Spool(tmp_path / "spool", limits=SpoolLimits(free_floor_bytes=0))


@pytest.fixture
def ledger(tmp_path):
    with opened_ledger(tmp_path / "ledger.sqlite") as ledger:
        yield ledger


@pytest.fixture
def scp(spool, ledger):
    provider = StorageScp(
        settings=ScpSettings(
            ae_title="ICHNODE", host=HOST, port=0, callers=(Caller(ae_title="STORESCU"),)
        ),
        intake=Custody(spool=spool, register=ledger.arrivals, patient_salt=ledger.patient_salt),
        clock=Clock(),
    )
    provider.start()
    yield provider
    provider.stop(grace_s=1)


@pytest.fixture
def folder(tmp_path):
    """Write twelve images as files."""
    folder = tmp_path / "images"
    folder.mkdir()
    for number, ds in enumerate(small_series()):
        (folder / f"{number:02d}.dcm").write_bytes(file_bytes(ds))
    return folder


def run(*arguments):
    return subprocess.run(
        [str(argument) for argument in arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("tool", "options"),
    [
        ("storescu", ["-aet", "STORESCU", "-aec", "ICHNODE", "+sd"]),
        ("storescu", ["-aet", "STORESCU", "-aec", "ICHNODE", "+sd", "-xi"]),
        ("storescu", ["-aet", "STORESCU", "-aec", "ICHNODE", "+sd", "-xb"]),
        ("storescu", ["-aet", "STORESCU", "-aec", "ICHNODE", "+sd", "-xd"]),
        ("dcmsend", ["-aet", "STORESCU", "-aec", "ICHNODE", "+sd"]),
    ],
)
def test_dcmtk_sends_a_series(scp, folder, ledger, tool, options):
    """Every image is in custody, in whatever encoding the sender chose."""
    sent = run(tool, *options, HOST, scp.port, folder)

    assert sent.returncode == 0, sent.stderr
    assert ledger.reports.overview().series[0].images == 12


def test_what_dcmtk_sends_is_kept_byte_for_byte(scp, folder, spool):
    """Explicit VR Little Endian as pydicom wrote it and dcmtk sent it."""
    run("dcmsend", "-aet", "STORESCU", "-aec", "ICHNODE", HOST, scp.port, folder / "00.dcm")

    (path,) = spool.files()
    meta, offset = split_file(spool.read(path))
    assert spool.read(path)[offset:] == encoded(small_series()[0])
    assert meta.calling_ae_title == "STORESCU"


def test_dcmtk_echoes(scp):
    """C-ECHO is answered, strangers are told why not."""
    good = run("echoscu", "-aet", "STORESCU", "-aec", "ICHNODE", HOST, scp.port)
    stranger = run("echoscu", "-aet", "STRANGER", "-aec", "ICHNODE", HOST, scp.port)
    mistaken = run("echoscu", "-aet", "STORESCU", "-aec", "SOMEBODY", HOST, scp.port)

    assert good.returncode == 0, good.stderr
    assert "Calling AE Title Not Recognized" in stranger.stderr
    assert "Called AE Title Not Recognized" in mistaken.stderr


def test_results_are_taken_by_dcmtk(tmp_path):
    """Captures, segmentation and report of the node's user, stored by another maker."""
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    files = []
    for one in result_objects():
        path = tmp_path / f"{one.sop_instance_uid}.dcm"
        path.write_bytes(one.encoded)
        files.append(outgoing_file(path))
    with socket.socket() as reserved:
        reserved.bind((HOST, 0))
        port = reserved.getsockname()[1]
    with subprocess.Popen(
        ["storescp", "-aet", "PACS", "-od", str(inbox), "+B", str(port)],
        stderr=subprocess.DEVNULL,
    ) as archive:
        peer = Peer(name="pacs", ae_title="PACS", host=HOST, port=port, calling_ae_title="ICHNODE")
        try:
            wait_for(lambda: echo(peer).ok)
            outcomes = send_files(peer, files)
        finally:
            archive.terminate()

    assert [outcome.status for outcome in outcomes] == [0, 0, 0]
    assert len(list(inbox.iterdir())) == 3


@pytest.mark.data
def test_compressed_images_are_taken_as_they_are(scp, data_dir, spool):
    """Each is stored as it came; what no decoder reads is refused at negotiation."""
    files = sorted(
        path
        for path in (data_dir / "cornerstone-ct-transfer-syntaxes").iterdir()
        if path.suffix == ".dcm"
    )
    own = set()
    for path in files:
        meta, offset = split_file(path.read_bytes())
        own.add(path.read_bytes()[offset:])
        peer = Peer(
            name="node",
            ae_title="ICHNODE",
            host=HOST,
            port=scp.port,
            calling_ae_title="STORESCU",
        )
        (outcome,) = send_files(peer, [outgoing_file(path)])
        assert outcome.accepted is (meta.transfer_syntax_uid not in UNDECODABLE), path.name

    stored = [spool.read(path) for path in spool.files()]
    assert len(stored) >= 12
    assert {data[split_file(data)[1] :] for data in stored} <= own
