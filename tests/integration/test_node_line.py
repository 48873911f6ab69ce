"""The whole core on loopback: C-STORE in, C-STORE out, and what is written down on the way."""

import logging
import socket
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from ct_builder import POISON_BIRTH_DATE, POISON_ID, POISON_NAME
from node_builders import FakeAnalyst, process_identity, small_series, wait_for
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE, build_context, evt

from dicom_node.association.callers import Caller
from dicom_node.association.kept_associations import KeptAssociations
from dicom_node.association.peers import Peer
from dicom_node.association.presentation import PROPOSED
from dicom_node.association.scp_settings import ScpSettings
from dicom_node.association.storage_scp import StorageScp
from dicom_node.association.verification import probe
from dicom_node.delivery.carrier import DimseCarrier, Manners
from dicom_node.delivery.courier import Courier, DeliveryRules
from dicom_node.delivery.outbox import Outbox
from dicom_node.intake.assembly import AssemblyRules
from dicom_node.intake.custody import Custody
from dicom_node.intake.default_rules import DEFAULT_RULES
from dicom_node.intake.spool import Spool, SpoolLimits
from dicom_node.jobs.destination_ledger import BreakerRules
from dicom_node.jobs.ledger import Ledger, open_ledger
from dicom_node.jobs.office import AssemblyOffice, Sweeper
from dicom_node.jobs.presence import Presence
from dicom_node.jobs.retry import RetryPolicy
from dicom_node.jobs.routing import Route
from dicom_node.jobs.state import JobState, SeriesState
from dicom_node.jobs.timetable import Tick, Timetable
from dicom_node.jobs.worker import JobRules, Worker

HOST = "127.0.0.1"
RULES = AssemblyRules(quiet_s=0.3, force_s=5, study_quiet_s=0.3, study_limit_s=2)


class Pacs:
    """Another maker's archive: keeps what it is sent, in order."""

    def __init__(self) -> None:
        self.got: list[tuple[str, str]] = []
        self._entity = AE(ae_title="PACS")
        for context in PROPOSED:
            self._entity.add_supported_context(
                context.sop_class_uid, list(context.transfer_syntaxes)
            )
        with socket.socket() as reserved:
            reserved.bind((HOST, 0))
            self.port = reserved.getsockname()[1]

    def start(self) -> None:
        self._entity.start_server(
            (HOST, self.port), block=False, evt_handlers=[(evt.EVT_C_STORE, self._store)]
        )

    def stop(self) -> None:
        self._entity.shutdown()

    def _store(self, event) -> int:
        self.got.append((event.request.AffectedSOPClassUID.name, event.dataset.SOPInstanceUID))
        return 0


class Node:
    """All parts of the node in one process, each with its own connection to the ledger."""

    def __init__(self, folder: Path, pacs_port: int) -> None:
        self.ledger: Ledger = open_ledger(folder / "ledger.sqlite", process=process_identity())
        spool = Spool(folder / "spool", limits=SpoolLimits(free_floor_bytes=0))
        outbox = Outbox(folder / "outbox")
        custody = Custody(
            spool=spool, register=self.ledger.arrivals, patient_salt=self.ledger.patient_salt
        )
        custody.recover(now())
        self.scp = StorageScp(
            settings=ScpSettings(
                ae_title="ICHNODE", host=HOST, port=0, callers=(Caller(ae_title="MODALITY"),)
            ),
            intake=custody,
            clock=now,
        )
        self._stop = threading.Event()
        worker = Worker(
            name="worker-0",
            queue=self.ledger.jobs,
            spool_root=spool.root,
            analyst=FakeAnalyst(),
            store=outbox,
            destinations=(Route(name="pacs"),),
            rules=JobRules(),
            clock=now,
            on_overrun=lambda: None,
            poll_s=0.05,
        )
        self._worker = threading.Thread(target=worker.run, args=(self._stop,))
        self._presence = Presence(
            ledger=self.ledger.presence, process=process_identity(), clock=now, every_s=0.1
        )
        office = AssemblyOffice(
            ledger=self.ledger, assembly=RULES, selection=DEFAULT_RULES, clock=now
        )
        self._courier = Courier(
            name="courier",
            ledger=self.ledger.deliveries,
            destinations=self.ledger.destinations,
            outbox=outbox,
            carriers={
                "pacs": DimseCarrier(
                    peer=pacs_peer(pacs_port),
                    manners=Manners(),
                    store=KeptAssociations(pacs_peer(pacs_port), keep_s=2.0),
                    echo=probe,
                )
            },
            rules=DeliveryRules(
                network=RetryPolicy(max_attempts=50, first_delay_s=0.2, cap_s=1),
                breaker=BreakerRules(failures=3, first_probe_s=0.3, longest_probe_s=1),
            ),
            clock=now,
            poll_s=0.05,
        )
        self._timetable = Timetable(
            [
                Tick(name="assembly", every_s=0.1, action=office.tick),
                Tick(
                    name="sweep",
                    every_s=0.5,
                    action=Sweeper(ledger=self.ledger, job_rules=JobRules(), clock=now).tick,
                ),
                Tick(name="faulty", every_s=0.2, action=self._fail),
            ]
        )

    def start(self) -> None:
        self._presence.start()
        self.scp.start()
        self._worker.start()
        self._courier.start()
        self._timetable.start()

    def stop(self) -> None:
        self.scp.stop(grace_s=0.5)
        self._timetable.stop()
        self._courier.stop()
        self._stop.set()
        self._worker.join(10)
        self._presence.stop()
        self.ledger.close()

    def _fail(self) -> None:
        raise ValueError(POISON_NAME)


def now() -> datetime:
    return datetime.now(UTC)


def pacs_peer(port: int) -> Peer:
    return Peer(name="pacs", ae_title="PACS", host=HOST, port=port, calling_ae_title="ICHNODE")


@contextmanager
def running(folder: Path, pacs: Pacs) -> Iterator[Node]:
    node = Node(folder, pacs.port)
    node.start()
    try:
        yield node
    finally:
        node.stop()


def send(port, series):
    """Send as a scanner does, over one association."""
    entity = AE(ae_title="MODALITY")
    association = entity.associate(
        HOST,
        port,
        contexts=[build_context(CTImageStorage, ExplicitVRLittleEndian)],
        ae_title="ICHNODE",
    )
    assert association.is_established
    statuses = [association.send_c_store(ds).Status for ds in series]
    association.release()
    return statuses


def status(node, series):
    return node.ledger.reports.series(series[0].SeriesInstanceUID)


def is_delivered(node, series, *, after=None):
    """Return whether the series' newest job, another one than `after`, is delivered.

    One reading decides: between two readings a newer job may have taken the first one's place.
    """
    found = status(node, series)
    job = found.job if found else None
    return job and job.state is JobState.DELIVERED and job.job_id != after


@pytest.fixture
def pacs():
    pacs = Pacs()
    yield pacs
    pacs.stop()


def test_images_in_results_out_and_no_patient_in_between(tmp_path, pacs, caplog):
    """The line from C-STORE to C-STORE, with a poisoned patient and every log at its loudest."""
    caplog.set_level(logging.DEBUG)
    pacs.start()
    series = small_series()
    bone = small_series(kernel="H60s", series_number=3)

    with running(tmp_path, pacs) as node:
        assert send(node.scp.port, series + bone) == [0x0000] * 24
        send(node.scp.port, series[:2])  # a repeat changes nothing
        wait_for(lambda: is_delivered(node, series))
        found = status(node, series)
        outranked = status(node, bone)
        timeline = [
            entry.kind for entry in node.ledger.reports.timeline(series[0].SeriesInstanceUID)
        ]

    assert [kind for kind, _ in pacs.got] == [
        "Secondary Capture Image Storage",
        "Segmentation Storage",
        "Comprehensive 3D SR Storage",
    ]
    assert found.images == 12
    assert found.turnaround_s > 0
    assert found.job.record["bytes"] > 0
    assert outranked.state is SeriesState.SET_ASIDE
    assert timeline == [
        "first_image",
        "complete",
        "chosen",
        "claimed",
        "step",
        "results",
        "accepted",
        "accepted",
        "accepted",
        "delivered",
    ]
    poison = (POISON_NAME, POISON_ID, POISON_BIRTH_DATE)
    assert "Tick faulty failed" in caplog.text
    for word in poison:
        assert word not in caplog.text
        assert word not in everything_in(tmp_path / "ledger.sqlite")


def everything_in(ledger: Path) -> str:
    """Return every value of every table."""
    connection = sqlite3.connect(ledger)
    tables = [
        row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")
    ]
    text = repr([connection.execute(f"SELECT * FROM {name}").fetchall() for name in tables])  # noqa: S608 - names from the file itself
    connection.close()
    assert "MODALITY" in text, "the search itself must work"
    return text


def test_results_wait_for_a_pacs_that_is_away_across_a_restart(tmp_path, pacs):
    """Analysed while the PACS is down; node stopped and started; the PACS comes back."""
    series = small_series()
    with running(tmp_path, pacs) as node:
        send(node.scp.port, series)
        wait_for(lambda: any(one.attempts for one in status_deliveries(node, series)))

    pacs.start()
    with running(tmp_path, pacs) as node:
        wait_for(lambda: is_delivered(node, series))

    assert len(pacs.got) == len(set(pacs.got)) == 3


def status_deliveries(node, series):
    found = status(node, series)
    return found.deliveries if found else ()


def test_late_images_are_analysed_again(tmp_path, pacs):
    """Two result sets in the end, the second one supersedes."""
    pacs.start()
    series = small_series(13)
    with running(tmp_path, pacs) as node:
        send(node.scp.port, series[:12])
        wait_for(lambda: is_delivered(node, series))
        first = status(node, series).job
        send(node.scp.port, series[12:])
        wait_for(lambda: is_delivered(node, series, after=first.job_id))

        assert status(node, series).job.supersedes == first.job_id
    assert len(pacs.got) == len(set(pacs.got)) == 6
