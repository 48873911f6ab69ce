"""SIGKILL of a receiver at every step of custody."""

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from node_builders import encoded, opened_ledger, small_series, wait_for
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE, build_context, evt

from dicom_node.association.checkpoint import hold_while_waiting
from dicom_node.association.file_format import split_file
from dicom_node.intake.assembly import AssemblyRules
from dicom_node.intake.default_rules import DEFAULT_RULES
from dicom_node.jobs.office import AssemblyOffice

PROGRAM = Path(__file__).parent / "receiver_program.py"
ROOT = Path(__file__).parents[2]
HOST = "127.0.0.1"


@contextmanager
def receiver(folder: Path, step: str = "never", passes: int = 0):
    """Run the receiver; yield its process and port."""
    (folder / "port").unlink(missing_ok=True)
    process = subprocess.Popen(
        [sys.executable, PROGRAM, folder, step, str(passes)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for((folder / "port").is_file, limit_s=60)
        yield process, int((folder / "port").read_text())
    finally:
        process.kill()
        process.wait()


def send(port, series):
    """Send until the peer dies; return the instances that were acknowledged."""
    entity = AE(ae_title="MODALITY")
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = 60
    association = entity.associate(
        HOST,
        port,
        contexts=[build_context(CTImageStorage, ExplicitVRLittleEndian)],
        ae_title="ICHNODE",
        # Else the library may miss that the peer is gone, and wait.
        evt_handlers=[(evt.EVT_CONN_OPEN, lambda event: hold_while_waiting(event.assoc))],
    )
    assert association.is_established
    acknowledged = []
    for ds in series:
        status = association.send_c_store(ds)
        if not status:  # the peer is gone; the association learns of it a moment later
            wait_for(lambda: not association.is_established)
            break
        if status.Status == 0x0000:
            acknowledged.append(ds)
    if association.is_established:
        association.release()
    return acknowledged


def data_sets_in(spool: Path) -> dict[str, bytes]:
    """Return the data set of every complete file by its SOP Instance UID."""
    found = {}
    for path in spool.glob("*/*.dcm"):
        data = path.read_bytes()
        meta, offset = split_file(data)
        found[meta.sop_instance_uid] = data[offset:]
    return found


@pytest.mark.parametrize("step", ["half-written", "written", "renamed", "row", "answer"])
def test_every_acknowledged_instance_survives(tmp_path, step):
    """Killed at the sixth image: five and no fewer are there, byte for byte, and recorded."""
    series = small_series(12)
    with receiver(tmp_path, step, passes=5) as (process, port):
        acknowledged = send(port, series)
        assert process.wait(60) == -signal.SIGKILL
    assert [ds.SOPInstanceUID for ds in acknowledged] == [ds.SOPInstanceUID for ds in series[:5]]

    with receiver(tmp_path) as (_, port):
        stored = data_sets_in(tmp_path / "spool")
        for ds in acknowledged:
            assert stored[ds.SOPInstanceUID] == encoded(ds)
        assert not list((tmp_path / "spool").rglob("*.part"))
        assert len(send(port, series)) == 12  # the sender repeats the series from its start

    assert set(data_sets_in(tmp_path / "spool")) == {ds.SOPInstanceUID for ds in series}
    with opened_ledger(tmp_path / "ledger.sqlite", run="afterwards") as ledger:
        assert ledger.reports.series(series[0].SeriesInstanceUID).images == 12


@pytest.mark.parametrize("step", ["batch", "batch recorded"])
def test_what_waits_for_its_row_survives(tmp_path, step):
    """Killed before or after the rows of the second batch: every acknowledged image is adopted."""
    series = small_series(60)
    with receiver(tmp_path, step, passes=1) as (process, port):
        acknowledged = send(port, series)
        assert process.wait(60) == -signal.SIGKILL
    assert acknowledged

    with receiver(tmp_path, "batch", passes=1_000_000) as (_, port):
        stored = data_sets_in(tmp_path / "spool")
        for ds in acknowledged:
            assert stored[ds.SOPInstanceUID] == encoded(ds)
        assert len(send(port, series)) == 60
        with opened_ledger(tmp_path / "ledger.sqlite", run="office") as ledger:
            uid = series[0].SeriesInstanceUID
            wait_for(lambda: ledger.reports.series(uid).images == 60)


def test_a_series_that_was_open_when_the_receiver_died_is_analysed(tmp_path):
    """Killed with an open association and never restarted by hand: nothing waits for ever."""
    series = small_series(12)
    with receiver(tmp_path) as (process, port):
        entity = AE(ae_title="MODALITY")
        association = entity.associate(
            HOST,
            port,
            contexts=[build_context(CTImageStorage, ExplicitVRLittleEndian)],
            ae_title="ICHNODE",
        )
        for ds in series:
            assert association.send_c_store(ds).Status == 0x0000
        process.kill()
        process.wait()
        wait_for(lambda: not association.is_established)

    with receiver(tmp_path), opened_ledger(tmp_path / "ledger.sqlite", run="office") as ledger:
        later = datetime.now(UTC) + timedelta(seconds=6)  # since the next receiver closed it
        AssemblyOffice(
            ledger=ledger,
            assembly=AssemblyRules(),
            selection=DEFAULT_RULES,
            clock=lambda: later,
        ).tick()

        found = ledger.reports.series(series[0].SeriesInstanceUID)
        assert found.job is not None
        assert found.job.flags == frozenset()
