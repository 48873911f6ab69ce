"""The processes of the node, each as one short life: it works until nothing is left, and ends.

The parts are the product's own. Stand-ins are only the networks and whatever lies outside of the
node (`faults.outside`). What the office and the receiver do about storage commitment, earlier
scans, audit and alerts are lives of their own (`faults.correspondence`).
"""

import hashlib
import itertools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from dicom_node.early_analysis import EarlyAnalysis
from dicom_node.early_marks import EarlyMarks
from dicom_node.errors import LedgerError
from dicom_node.intake.assembly import AssemblyRules
from dicom_node.intake.custody import Custody, Register
from dicom_node.intake.default_rules import DEFAULT_RULES
from dicom_node.intake.recorder import Recorder
from dicom_node.intake.spool import Spool, SpoolLimits
from dicom_node.jobs.foresight import Foresight
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

#: Longer than the quiet time of a series, and of its study.
_QUIET = timedelta(seconds=10)

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
        assembly = _assembly(world, ledger)
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
    """Analyse, compare and repeat by models on trial; begin early with what is foreseen."""
    with opened(world, name) as ledger, _at_work(world, ledger, name) as work:
        until_idle(work)


def early_worker(world: World) -> None:
    """Begin with a series while its quiet time runs; go on when the office has judged it."""
    with opened(world, "worker-0") as ledger, _at_work(world, ledger, "worker-0") as work:
        until_idle(work)
        world.clock.now += _QUIET
        for _ in range(2):
            with suppress(LedgerError):
                _assembly(world, ledger).tick()
        until_idle(work)


@contextmanager
def _at_work(world: World, ledger: Ledger, name: str) -> Iterator[Callable[[], bool]]:
    """Yield what does one thing that a worker has to do, and returns whether there was one."""
    ledger.jobs.release(name, JOB_RULES.retry, world.clock())
    analyst = HashingAnalyst(world.acquired_at, world.reach)
    early = EarlyAnalysis(
        foresight=Foresight(ledger.database, DEFAULT_RULES, clock=world.clock),
        marks=EarlyMarks(world.data / "early"),
        preparer=analyst,
        spool_root=world.data / "spool",
        time_limit_s=JOB_RULES.time_limit_s,
        on_overrun=_give_up,
        timer=itertools.count().__next__,
    )
    hand = Worker(
        name=name,
        queue=ledger.jobs,
        spool_root=world.data / "spool",
        analyst=analyst,
        store=Outbox(world.data / "outbox"),
        destinations=(Route(name=ARCHIVE), Route(name=WEB_ARCHIVE)),
        rules=JOB_RULES,
        clock=world.clock,
        on_overrun=_give_up,
        plans=PLANS,
        idle=early,
    )
    try:
        yield lambda: hand.work_once() or early.run(lambda: False)
    finally:
        early.close()


def _give_up() -> None:
    os._exit(os.EX_SOFTWARE)


class HashingAnalyst:
    """Reads every file of a task; its results differ in every run, so that a repeat shows.

    What it read before there was a job is not read again.
    """

    model_digest = "networks"
    configuration_digest = "configuration"

    def __init__(self, acquired_at: Mapping[str, str], reach: Callable[[str], bool]) -> None:
        self._acquired_at = acquired_at
        self._reach = reach
        self._contents: dict[Path, bytes] = {}
        self._seen: tuple[Sequence[Path], str] | None = None

    def read(self, files: Sequence[Path], *, go_on: Callable[[], None]) -> int:
        """Read what is new."""
        new = [path for path in files if path not in self._contents]
        for path in new:
            go_on()
            self._contents[path] = path.read_bytes()
            self._reach("an image is read early")
        return len(new)

    def prepare(self, files: Sequence[Path], *, go_on: Callable[[], None]) -> None:
        """Read a whole series."""
        go_on()
        self._reach("looks at a series early")
        self._seen = (tuple(files), self._digest(files))
        self._reach("a series is looked at, its job is not there")

    def forget(self) -> None:
        """Drop what was read."""
        self._contents, self._seen = {}, None

    def analyze(self, task: AnalysisTask, *, on_step: Callable[[str], None]) -> Analyzed:
        """Return three objects for an opinion, none for a trial."""
        on_step("read")
        is_seen = self._seen is not None and self._seen[0] == task.files
        record = {
            "status": "hematoma_found",
            "acquired_at": self._acquired_at[task.series_instance_uid],
            "seconds_per_step": {"read": 0.1},
            "content": self._seen[1] if is_seen else self._digest(task.files),
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

    def _digest(self, files: Sequence[Path]) -> str:
        content = hashlib.sha256()
        for path in sorted(files):
            content.update(self._contents[path] if path in self._contents else path.read_bytes())
        return content.hexdigest()


def _assembly(world: World, ledger: Ledger) -> AssemblyOffice:
    return AssemblyOffice(
        ledger=ledger, assembly=AssemblyRules(), selection=DEFAULT_RULES, clock=world.clock
    )


def custody_of(world: World, ledger: Ledger, register: Register) -> Custody:
    """Return the node's custody, whose rows are made by `register`."""
    spool = Spool(world.data / "spool", limits=SpoolLimits(free_floor_bytes=0))
    return Custody(spool=spool, register=register, patient_salt=ledger.patient_salt)


def _custody(world: World, ledger: Ledger, recorder: Recorder) -> Custody:
    custody = custody_of(world, ledger, recorder)
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
