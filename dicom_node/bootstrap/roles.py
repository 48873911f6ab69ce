"""The three kinds of process: receiver, worker, office."""

import logging
import os
import secrets
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from dicom_node.bootstrap import parts
from dicom_node.bootstrap.certificate_alarm import log_certificates
from dicom_node.bootstrap.layout import DataLayout
from dicom_node.lockfile import LockHeldError, hold_lock
from dicom_node.processes import Role
from dicom_node.settings import Settings

if TYPE_CHECKING:
    from dicom_node.bootstrap.deliverers import Deliverers
    from dicom_node.delivery.outbox import Outbox
    from dicom_node.jobs.ledger import Ledger
    from dicom_node.jobs.timetable import Tick
    from dicom_node.jobs.worker import Analyst

LOGGER = logging.getLogger(__name__)

#: How long a process waits for its predecessor, which may still be ending, to let go.
_LOCK_PATIENCE_S = 25.0

#: More workers than any machine has GPUs.
MOST_WORKERS = 32

_ASSEMBLY_EVERY_S = 0.5
_REPORT_EVERY_S = 5.0
_SWEEP_EVERY_S = 5.0
_TIDY_EVERY_S = 3600.0
_WATCH_EVERY_S = 900.0
_ALERTS_EVERY_S = 20.0
_CERTIFICATES_EVERY_S = 24 * 3600.0


class Ready(Protocol):
    """Called once a process does its work, with what others may want to know about it."""

    def __call__(self, **facts: object) -> None:
        """Tell it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Duty:
    """What every process is given.

    Attributes
    ----------
    settings : Settings
        What the site set.
    stop : threading.Event
        Set when the process shall end.
    ready : Ready
        Called once it does its work.
    """

    settings: Settings
    stop: threading.Event
    ready: Ready

    @property
    def layout(self) -> DataLayout:
        """Where the data lie."""
        return DataLayout(root=self.settings.node.data_dir)


def utc_now() -> datetime:
    """Return the present."""
    return datetime.now(UTC)


def run_receiver(duty: Duty) -> None:
    """Take custody of what is sent, until told to stop."""
    from dicom_node.association.storage_scp import StorageScp
    from dicom_node.bootstrap.audit import audit_trail, note_refused
    from dicom_node.bootstrap.deliverers import commitment_scp
    from dicom_node.bootstrap.receiver_report import ReceiverReport
    from dicom_node.intake.counted import CountedIntake
    from dicom_node.intake.custody import Custody
    from dicom_node.intake.spool import Spool
    from dicom_node.jobs.timetable import Tick, Timetable

    with _alone(duty, Role.RECEIVER) as name, _process(duty, name) as ledger:
        spool = Spool(duty.layout.spool, limits=parts.spool_limits(duty.settings))
        custody = Custody(spool=spool, register=ledger.arrivals, patient_salt=ledger.patient_salt)
        custody.recover(utc_now())
        intake = CountedIntake(custody)
        scp = StorageScp(
            settings=parts.scp_settings(duty.settings),
            intake=intake,
            clock=utc_now,
            commitment=commitment_scp(duty.settings, ledger, utc_now),
        )
        report = ReceiverReport(
            tallies=ledger.tallies,
            intake=intake,
            refusals=scp.refusals,
            on_refused=note_refused(duty.settings, audit_trail(duty.settings)),
        )
        timetable = Timetable([Tick(name="report", every_s=_REPORT_EVERY_S, action=report.tick)])
        scp.start()
        timetable.start()
        try:
            duty.ready(**scp.ports)
            duty.stop.wait()
        finally:
            scp.stop()
            timetable.stop()
            report.tick()


def run_worker(duty: Duty, *, make_analyst: Callable[[Settings, DataLayout], "Analyst"]) -> None:
    """Analyse one job after the other with warm models, until told to stop."""
    from dicom_node.bootstrap.follow_up import planning_rules
    from dicom_node.delivery.outbox import Outbox
    from dicom_node.jobs.worker import Worker

    with _one_of_many(duty, Role.WORKER) as name, _process(duty, name) as ledger:
        rules = parts.job_rules(duty.settings)
        worker = Worker(
            name=name,
            queue=ledger.jobs,
            spool_root=duty.layout.spool,
            analyst=make_analyst(duty.settings, duty.layout),
            store=Outbox(duty.layout.outbox),
            destinations=parts.routes(duty.settings),
            rules=rules,
            plans=planning_rules(duty.settings),
            clock=utc_now,
            on_overrun=lambda: os._exit(os.EX_SOFTWARE),
        )
        released = ledger.jobs.release(name, rules.retry, utc_now())
        if released:
            LOGGER.warning(
                "The %s before this one held %s jobs; they are free again", name, released
            )
        duty.ready(pid=os.getpid())
        worker.run(duty.stop)


def run_office(duty: Duty) -> None:
    """Keep deadlines, deliver results and show the status page, until told to stop."""
    from dicom_node.bootstrap.deliverers import Deliverers
    from dicom_node.bootstrap.follow_up import prior_seeker
    from dicom_node.bootstrap.worklists import Performers
    from dicom_node.delivery.outbox import Outbox
    from dicom_node.jobs.timetable import Timetable

    settings = duty.settings
    with _alone(duty, Role.OFFICE) as name, _process(duty, name) as ledger:
        outbox = Outbox(duty.layout.outbox)
        deliverers = Deliverers(settings, ledger=ledger, outbox=outbox, name=name, clock=utc_now)
        seeker = prior_seeker(settings, ledger=ledger, layout=duty.layout, clock=utc_now)
        performers = Performers(settings, ledger=ledger, layout=duty.layout, clock=utc_now)
        timetable = Timetable(_ticks(settings, ledger, outbox, deliverers))
        with _web(duty, ledger) as port:
            released = ledger.deliveries.release(name, utc_now())
            if released:
                LOGGER.warning("The office before this one held %s objects", released)
            log_certificates(settings, utc_now)
            timetable.start()
            deliverers.start()
            seeker.start()
            performers.start()
            try:
                duty.ready(web_port=port)
                duty.stop.wait()
            finally:
                timetable.stop()
                performers.stop()
                seeker.stop()
                deliverers.stop()


def _ticks(
    settings: Settings, ledger: "Ledger", outbox: "Outbox", deliverers: "Deliverers"
) -> "list[Tick]":
    """Return what the office does again and again."""
    from dicom_node.bootstrap.alerts import AlertOffice
    from dicom_node.bootstrap.audit import AuditOffice
    from dicom_node.bootstrap.waits import longest_waits
    from dicom_node.bootstrap.watch import NodeWatch
    from dicom_node.jobs.office import AssemblyOffice, Sweeper
    from dicom_node.jobs.timetable import Tick

    assembly = AssemblyOffice(
        ledger=ledger,
        assembly=parts.assembly_rules(settings),
        selection=parts.selection_rules(settings),
        clock=utc_now,
        urgent=parts.urgency_rules(settings),
    )
    sweeper = Sweeper(
        ledger=ledger,
        job_rules=parts.job_rules(settings),
        clock=utc_now,
        waits=longest_waits(settings),
    )
    node_watch = NodeWatch(ledger.database, settings)
    return [
        Tick(name="assembly", every_s=_ASSEMBLY_EVERY_S, action=assembly.tick),
        Tick(name="sweep", every_s=_SWEEP_EVERY_S, action=sweeper.tick),
        Tick(name="reports", every_s=_SWEEP_EVERY_S, action=deliverers.report),
        Tick(
            name="certificates",
            every_s=_CERTIFICATES_EVERY_S,
            action=lambda: log_certificates(settings, utc_now),
        ),
        Tick(name="tidy", every_s=_TIDY_EVERY_S, action=lambda: _tidy(outbox, ledger)),
        Tick(name="watch", every_s=_WATCH_EVERY_S, action=node_watch.tick),
        Tick(
            name="alerts",
            every_s=_ALERTS_EVERY_S,
            action=AlertOffice(settings, ledger=ledger, clock=utc_now).tick,
        ),
        Tick(
            name="audit",
            every_s=_SWEEP_EVERY_S,
            action=AuditOffice(settings, ledger=ledger, clock=utc_now).tick,
        ),
    ]


def _tidy(outbox: "Outbox", ledger: "Ledger") -> None:
    """Delete result files that a dead worker left without a row."""
    removed = outbox.sweep(ledger.reports.outbox_paths(), utc_now())
    if removed:
        LOGGER.warning("Deleted %s result files that belong to no result", removed)


@contextmanager
def _process(duty: Duty, name: str) -> Iterator["Ledger"]:
    """Open the ledger and say that this process lives."""
    from dicom_node.bootstrap.audit import note_process
    from dicom_node.jobs.ledger import open_ledger
    from dicom_node.jobs.presence import Presence
    from dicom_node.jobs.process_identity import ProcessIdentity

    identity = ProcessIdentity(
        name=name, host=socket.gethostname(), pid=os.getpid(), token=secrets.token_hex(16)
    )
    ledger = open_ledger(duty.layout.ledger, process=identity)
    try:
        presence = Presence(ledger=ledger.presence, process=identity, clock=utc_now)
        presence.start()
        note_process(duty.settings, name, utc_now(), starts=True)
        try:
            yield ledger
        finally:
            presence.stop()
            note_process(duty.settings, name, utc_now(), starts=False)
    finally:
        ledger.close()


@contextmanager
def _alone(duty: Duty, role: Role) -> Iterator[str]:
    """Be the only process of this role; yields its name."""
    duty.layout.prepare()
    with hold_lock(duty.layout.lock(role), wait_s=_LOCK_PATIENCE_S):
        yield str(role)


@contextmanager
def _one_of_many(duty: Duty, role: Role) -> Iterator[str]:
    """Take the first free place of this role; yields its name, the same after a restart."""
    duty.layout.prepare()
    for place in range(MOST_WORKERS):
        name = f"{role}-{place}"
        with ExitStack() as held:
            try:
                held.enter_context(hold_lock(duty.layout.lock(name)))
            except LockHeldError:
                continue
            yield name
            return
    raise LockHeldError(f"{MOST_WORKERS} processes of role {role} are running already")


@contextmanager
def _web(duty: Duty, ledger: "Ledger") -> Iterator[int | None]:
    """Serve the status page if it is enabled; yields its port."""
    web = duty.settings.web
    if not web.enabled:
        yield None
        return
    from dicom_node.bootstrap.metrics import NodeMetrics
    from dicom_node.bootstrap.status import LedgerStatus
    from dicom_node.bootstrap.watch import NodeWatch
    from dicom_node.web.app import create_app
    from dicom_node.web.server import WebServer

    status = LedgerStatus(ledger.reports, settings=duty.settings, clock=utc_now)
    app = create_app(
        status,
        title=duty.settings.node.ae_title,
        watch=NodeWatch(ledger.database, duty.settings),
        metrics=NodeMetrics(ledger, settings=duty.settings, clock=utc_now).exposition,
    )
    server = WebServer(app, host=web.host, port=web.port)
    with _named_port(web.host, web.port):
        server.start()
    try:
        yield server.port
    finally:
        server.stop()


@contextmanager
def _named_port(host: str, port: int) -> Iterator[None]:
    """Say which port it is that cannot be listened on."""
    try:
        yield
    except OSError as error:
        raise OSError(f"{host} port {port}: {error.strerror or error}") from error
