"""The processes of the node, each as one short life: it works until nothing is left, and ends.

The parts are the product's own. Stand-ins are only the networks and whatever lies outside of the
node (`faults.outside`). What the office and the receiver do about storage commitment, earlier
scans, audit and alerts are lives of their own (`faults.correspondence`).
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from faults.ledgers import place_of
from faults.outside import ARCHIVE, HOST, PACS, WEB_ARCHIVE, FileCarrier, web_archive
from node_builders import result_object
from pydicom.dataset import Dataset

from dicom_node.association.callers import Caller
from dicom_node.association.scp_settings import ScpSettings
from dicom_node.association.storage_scp import StorageScp
from dicom_node.delivery.carrier import Manners
from dicom_node.delivery.courier import Courier, DeliveryRules
from dicom_node.delivery.outbox import Outbox
from dicom_node.delivery.stow import WebCarrier
from dicom_node.errors import LedgerError
from dicom_node.intake.assembly import AssemblyRules
from dicom_node.intake.custody import Custody
from dicom_node.intake.default_rules import DEFAULT_RULES
from dicom_node.intake.recorder import Recorder
from dicom_node.intake.spool import Spool, SpoolLimits
from dicom_node.jobs.ledger import Ledger, open_ledger
from dicom_node.jobs.office import AssemblyOffice, Sweeper
from dicom_node.jobs.pairing import PairingRules
from dicom_node.jobs.planning import PlanningRules
from dicom_node.jobs.process_identity import ProcessIdentity
from dicom_node.jobs.retry import RetryPolicy
from dicom_node.jobs.routing import Route
from dicom_node.jobs.state import JobKind
from dicom_node.jobs.task import AnalysisTask, Analyzed, ObjectKind
from dicom_node.jobs.worker import JobRules, Worker
from dicom_node.web_service import WebService

#: A life that finds work for longer than this goes round in circles.
_MOST_ROUNDS = 200

#: A ledger that refuses so often will not change its mind in this life.
_MOST_REFUSALS = 3

#: Nobody gives up in a campaign, however often it strikes.
PATIENT = RetryPolicy(max_attempts=10_000, first_delay_s=1.0, cap_s=30.0)

JOB_RULES = JobRules(lease_s=60.0, time_limit_s=600.0, retry=PATIENT)
PLANS = PlanningRules(
    pairing=PairingRules(window=timedelta(hours=72), minimum_interval=timedelta(hours=1)),
    prior_peers=(PACS.name,),
    with_shadow=True,
)
_KINDS = (ObjectKind.CAPTURE, ObjectKind.SEGMENTATION, ObjectKind.REPORT)
_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


class SteadyClock:
    """A clock that goes on by a millisecond whenever it is looked at."""

    def __init__(self, start: datetime) -> None:
        self.now = start

    def __call__(self) -> datetime:
        self.now += timedelta(milliseconds=1)
        return self.now


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What a life is given.

    Attributes
    ----------
    data : Path
        The node's folder.
    outside : Path
        Folder of what lies around the node: what the archives accepted, what the sender was told.
    clock : SteadyClock
        The time.
    reach : callable
        Passes a moment that lies outside of the node (`faults.points.Moments.reach`).
    acquired_at : mapping
        When the scan of each series was taken.
    prior : tuple of Dataset
        Images of an earlier scan that the PACS has.
    """

    data: Path
    outside: Path
    clock: SteadyClock
    reach: Callable[[str], bool]
    acquired_at: Mapping[str, str]
    prior: tuple[Dataset, ...] = ()


def receiver(world: World, tell_port: int, until_closed: int) -> None:
    """Take custody of what is sent, until the other end of a pipe is closed."""
    with opened(world, "receiver") as ledger:
        recorder = Recorder(ledger.arrivals)
        custody = _custody(world, ledger, recorder)
        recorder.start()
        scp = StorageScp(
            settings=ScpSettings(
                ae_title="ICHNODE", host=HOST, port=0, callers=(Caller(ae_title=None),)
            ),
            intake=custody,
            clock=world.clock,
        )
        scp.start()
        os.write(tell_port, str(scp.port).encode())
        os.read(until_closed, 1)
        scp.stop()
        recorder.stop()


def restart(world: World) -> None:
    """Put the spool in order, as a receiver does before it listens."""
    with opened(world, "receiver") as ledger:
        _custody(world, ledger, Recorder(ledger.arrivals))


def office(world: World, name: str = "office") -> None:
    """Judge series, take from the dead what they held, deliver results."""
    with (
        opened(world, name) as ledger,
        web_archive(world.outside / WEB_ARCHIVE, world.reach) as web_port,
    ):
        outbox = Outbox(world.data / "outbox")
        ledger.deliveries.release(name, world.clock())
        assembly = AssemblyOffice(
            ledger=ledger, assembly=AssemblyRules(), selection=DEFAULT_RULES, clock=world.clock
        )
        courier = Courier(
            name=name,
            ledger=ledger.deliveries,
            destinations=ledger.destinations,
            outbox=outbox,
            carriers={
                ARCHIVE: FileCarrier(world.outside / ARCHIVE, world.reach),
                WEB_ARCHIVE: _web_carrier(web_port),
            },
            rules=DeliveryRules(lease_s=300.0, network=PATIENT, refusal=PATIENT),
            clock=world.clock,
        )
        sweeper = Sweeper(ledger=ledger, job_rules=JOB_RULES, clock=world.clock)
        outbox.sweep(ledger.reports.outbox_paths(), world.clock())
        for action in (sweeper.tick, assembly.tick, assembly.tick):
            with suppress(LedgerError):
                action()
        for destination in (ARCHIVE, WEB_ARCHIVE):
            until_idle(partial(courier.deliver_once, destination))


def worker(world: World, name: str = "worker-0") -> None:
    """Analyse, compare and repeat by models on trial."""
    with opened(world, name) as ledger:
        ledger.jobs.release(name, JOB_RULES.retry, world.clock())
        hand = Worker(
            name=name,
            queue=ledger.jobs,
            spool_root=world.data / "spool",
            analyst=HashingAnalyst(world.acquired_at),
            store=Outbox(world.data / "outbox"),
            destinations=(Route(name=ARCHIVE), Route(name=WEB_ARCHIVE)),
            rules=JOB_RULES,
            clock=world.clock,
            on_overrun=lambda: os._exit(os.EX_SOFTWARE),
            plans=PLANS,
        )
        until_idle(hand.work_once)


class HashingAnalyst:
    """Reads every file of a task; its results differ in every run, so that a repeat shows."""

    model_digest = "networks"
    configuration_digest = "configuration"

    def __init__(self, acquired_at: Mapping[str, str]) -> None:
        self._acquired_at = acquired_at

    def analyze(self, task: AnalysisTask, *, on_step: Callable[[str], None]) -> Analyzed:
        """Return three objects for an opinion, none for a trial."""
        on_step("read")
        content = hashlib.sha256()
        for path in sorted(task.files):
            content.update(path.read_bytes())
        record = {
            "status": "hematoma_found",
            "acquired_at": self._acquired_at[task.series_instance_uid],
            "seconds_per_step": {"read": 0.1},
        }
        if task.kind is JobKind.SHADOW:
            return Analyzed(objects=(), record=record, model_digest="networks on trial")
        on_step("encode")
        number = int(task.input_digest[:12], 16)
        objects = tuple(
            replace(
                one := result_object(kind, f"1.2.3.{number}.{order}", _CAPTURE),
                encoded=one.encoded + _private(os.urandom(8)),
            )
            for order, kind in enumerate(_KINDS, start=1)
        )
        return Analyzed(objects=objects, record=record)


def _custody(world: World, ledger: Ledger, recorder: Recorder) -> Custody:
    spool = Spool(world.data / "spool", limits=SpoolLimits(free_floor_bytes=0))
    custody = Custody(spool=spool, register=recorder, patient_salt=ledger.patient_salt)
    custody.recover(world.clock())
    return custody


def _web_carrier(port: int) -> WebCarrier:
    service = WebService(name=WEB_ARCHIVE, url=f"http://{HOST}:{port}")
    return WebCarrier(destination=service, manners=Manners())


def _private(value: bytes) -> bytes:
    """Return a private creator and an element with these bytes (PS3.5, section 7.8)."""
    return (
        b"\xdd\xff\x10\x00LO\x08\x00CAMPAIGN"
        b"\xdd\xff\x01\x10UN\x00\x00" + len(value).to_bytes(4, "little") + value
    )


def until_idle(work: Callable[[], bool]) -> None:
    """Work on as the loops of the node do: a ledger that refuses is asked again."""
    refused = 0
    for _ in range(_MOST_ROUNDS):
        try:
            if not work():
                return
        except LedgerError:
            refused += 1
            if refused > _MOST_REFUSALS:
                return
    raise AssertionError("A process of the campaign never came to an end")


@contextmanager
def opened(world: World, name: str) -> Iterator[Ledger]:
    """Open the ledger as a process of the node does, and say that it lives."""
    identity = ProcessIdentity(name=name, host="here", pid=os.getpid(), token=os.urandom(8).hex())
    ledger = open_ledger(place_of(world.data), process=identity)
    ledger.presence.enter(identity, world.clock())
    try:
        yield ledger
    finally:
        with suppress(LedgerError):
            ledger.presence.leave(identity, world.clock())
        ledger.close()
