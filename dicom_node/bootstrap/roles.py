"""The three kinds of process: receiver, worker, office."""

import logging
import os
import secrets
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from dicom_node.bootstrap import parts
from dicom_node.bootstrap.certificate_alarm import log_certificates
from dicom_node.bootstrap.layout import DataLayout
from dicom_node.bootstrap.preparation import ends_at_once, open_patiently
from dicom_node.configuration.live import LiveSettings
from dicom_node.jobs.pipe_bells import PipeBells
from dicom_node.jobs.wake import Bells, Topic
from dicom_node.lockfile import LockHeldError, hold_lock
from dicom_node.processes import Role
from dicom_node.settings.schema import Settings
from dicom_node.settings.values import SQLITE

if TYPE_CHECKING:
    from dicom_node.association.store_request import Intake
    from dicom_node.intake.custody import Custody
    from dicom_node.intake.recorder import Recorder
    from dicom_node.intake.spool import Spool
    from dicom_node.jobs.ledger import Ledger
    from dicom_node.jobs.worker import Analyst

LOGGER = logging.getLogger(__name__)

#: How long a process waits for its predecessor, which may still be ending, to let go.
_LOCK_PATIENCE_S = 25.0

#: More workers than any machine has GPUs.
MOST_WORKERS = 32

_REPORT_EVERY_S = 5.0


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
    live : LiveSettings
        The settings as they are later.
    """

    settings: Settings
    stop: threading.Event
    ready: Ready
    live: LiveSettings

    @property
    def layout(self) -> DataLayout:
        """Where the data lie."""
        return DataLayout(root=self.settings.node.data_dir)


def utc_now() -> datetime:
    """Return the present."""
    return datetime.now(UTC)


def run_receiver(duty: Duty) -> None:
    """Take custody of what is sent, until told to stop."""
    from dicom_node.bootstrap.receiver import LiveListeners
    from dicom_node.bootstrap.receiver_report import ReceiverReport, noted
    from dicom_node.intake.counted import CountedIntake
    from dicom_node.intake.recorder import Recorder
    from dicom_node.intake.spool import Spool
    from dicom_node.jobs.timetable import Tick, Timetable

    with (
        _alone(duty, Role.RECEIVER) as name,
        _process(duty, name) as (ledger, _),
        duty.live as live,
    ):
        spool = Spool(duty.layout.spool, limits=parts.spool_limits(duty.settings))
        recorder = Recorder(ledger.arrivals)
        intake = CountedIntake(_custody(ledger, spool, recorder))
        listeners = LiveListeners(
            duty.settings,
            ledger=ledger,
            intake=_announced(duty, name, intake),
            clock=utc_now,
            settle=recorder.settle,
        )

        report = ReceiverReport(
            tallies=ledger.tallies,
            intake=intake,
            refusals=listeners.refusals,
            on_refused=noted(ledger.database, lambda: live.now),
        )
        timetable = Timetable([Tick(name="report", every_s=_REPORT_EVERY_S, action=report.tick)])
        recorder.start()
        listeners.start()
        timetable.start()
        try:
            duty.ready(**listeners.ports)
            while not duty.stop.is_set():
                turn = live.turn()
                spool.use(parts.spool_limits(turn.settings))
                listeners.use(turn.settings)
                turn.over.wait()
        finally:
            listeners.stop()
            recorder.stop()
            timetable.stop()
            report.tick()


def _custody(ledger: "Ledger", spool: "Spool", recorder: "Recorder") -> "Custody":
    """Return what takes custody, once spool and ledger agree."""
    from dicom_node.intake.custody import Custody

    custody = Custody(spool=spool, register=recorder, patient_salt=ledger.patient_salt)
    custody.recover(utc_now())
    return custody


def _announced(duty: Duty, name: str, intake: "Intake") -> "Intake":
    """Return an intake that calls whoever waits for the end of an association."""
    from dicom_node.intake.announced import AnnouncedIntake

    return AnnouncedIntake(intake, partial(_bells(duty, name).ring, Topic.IMAGES))


def run_worker(duty: Duty, *, make_analyst: Callable[[Settings, DataLayout], "Analyst"]) -> None:
    """Analyse one job after the other with warm models, until told to stop."""
    from dicom_node.bootstrap.cores import shared_cores
    from dicom_node.bootstrap.live_analyst import LiveAnalyst
    from dicom_node.bootstrap.model_faults import note_models
    from dicom_node.bootstrap.shift import work_shift
    from dicom_node.jobs.documents import Documents

    with (
        _one_of_many(duty, Role.WORKER) as name,
        _process(duty, name) as (ledger, leave),
        duty.live as live,
    ):
        tell = note_models(Documents(ledger.database), name)

        def load(settings: Settings, layout: DataLayout) -> "Analyst":
            with ends_at_once(duty.stop, leave=leave):
                return make_analyst(settings, layout)

        analysts = LiveAnalyst(load, duty.layout, tell=tell)
        analysts.of(duty.settings)
        released = ledger.jobs.release(name, parts.job_rules(duty.settings).retry, utc_now())
        if released:
            LOGGER.warning(
                "The %s before this one held %s jobs; they are free again", name, released
            )
        duty.ready(pid=os.getpid())
        bells = _bells(duty, name)
        settle_in = shared_cores(ledger)
        while not duty.stop.is_set():
            turn = live.turn()
            work_shift(
                turn.settings,
                name=name,
                ledger=ledger,
                layout=duty.layout,
                analyst=analysts.of(turn.settings),
                bells=bells,
                clock=utc_now,
                over=turn.over,
                settle_in=settle_in,
            )


def run_office(duty: Duty) -> None:
    """Keep deadlines, deliver results and show the status page, until told to stop."""
    with (
        _alone(duty, Role.OFFICE) as name,
        _process(duty, name) as (ledger, _),
        duty.live as live,
    ):
        released = ledger.deliveries.release(name, utc_now())
        if released:
            LOGGER.warning("The office before this one held %s objects", released)
        while not duty.stop.is_set():
            turn = live.turn()
            with _web(replace(duty, settings=turn.settings), ledger) as port:
                while not duty.stop.is_set() and _same_page(turn.settings, live.now):
                    turn = live.turn()
                    with _office_work(duty, turn.settings, ledger, name):
                        duty.ready(web_port=port)
                        turn.over.wait()


def _same_page(one: Settings, other: Settings) -> bool:
    """Return whether the page that is shown for one is the page of the other."""
    return (one.web, one.node.ae_title) == (other.web, other.node.ae_title)


@contextmanager
def _office_work(duty: Duty, settings: Settings, ledger: "Ledger", name: str) -> Iterator[None]:
    """Do what the office does, with these settings; what is in hand at the end is finished."""
    from dicom_node.bootstrap.deliverers import Deliverers
    from dicom_node.bootstrap.follow_up import prior_seeker
    from dicom_node.bootstrap.office_ticks import office_ticks
    from dicom_node.bootstrap.reprocess import reprocessor
    from dicom_node.bootstrap.worklists import Performers
    from dicom_node.delivery.outbox import Outbox
    from dicom_node.jobs.timetable import Timetable

    outbox = Outbox(duty.layout.outbox)
    deliverers = Deliverers(settings, ledger=ledger, outbox=outbox, name=name, clock=utc_now)
    seeker = prior_seeker(settings, ledger=ledger, clock=utc_now)
    performers = Performers(settings, ledger=ledger, clock=utc_now)
    rereader = reprocessor(settings, ledger=ledger, clock=utc_now)
    bells = _bells(duty, name)
    timetable = Timetable(office_ticks(duty.live, settings, ledger, outbox, deliverers, bells))
    log_certificates(settings, utc_now)
    timetable.start()
    deliverers.start()
    seeker.start()
    performers.start()
    rereader.start()
    try:
        with bells.listen(Topic.RESULTS, deliverers.wake):
            yield
    finally:
        timetable.stop()
        rereader.stop()
        performers.stop()
        seeker.stop()
        deliverers.stop()


def _bells(duty: Duty, name: str) -> Bells:
    """Return what wakes the other processes of the node, and is heard by this one."""
    from dicom_node.bootstrap.ledgers import place_of
    from dicom_node.jobs.database import engine_of

    place = place_of(duty.settings)
    if isinstance(place, Path):
        return PipeBells(duty.layout.bells, name)
    from dicom_node.jobs.postgresql_bells import PostgresqlBells

    return PostgresqlBells(engine_of(place))


@contextmanager
def _process(duty: Duty, name: str) -> Iterator[tuple["Ledger", Callable[[], None]]]:
    """Open the ledger and say that this process lives.

    Yields the ledger, and what says that the process ends, for whoever ends it without leaving
    the block.
    """
    from dicom_node.bootstrap.audit import note_process
    from dicom_node.bootstrap.ledgers import place_of
    from dicom_node.jobs.presence import Presence
    from dicom_node.jobs.process_identity import ProcessIdentity

    identity = ProcessIdentity(
        name=name, host=socket.gethostname(), pid=os.getpid(), token=secrets.token_hex(16)
    )
    place = place_of(duty.settings)
    # A file may be brought up to date as it is opened: that is not broken off.
    with nullcontext() if isinstance(place, Path) else ends_at_once(duty.stop):
        ledger = open_patiently(place, process=identity, stop=duty.stop)
    try:
        presence = Presence(ledger=ledger.presence, process=identity, clock=utc_now)

        def leave() -> None:
            presence.stop()
            note_process(duty.settings, name, utc_now(), starts=False)

        presence.start()
        note_process(duty.settings, name, utc_now(), starts=True)
        try:
            yield ledger, leave
        finally:
            leave()
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
    # Hosts that share a ledger share the folder of the locks, too.
    host = "" if duty.settings.node.ledger == SQLITE else f"@{socket.gethostname()}"
    for place in range(MOST_WORKERS):
        name = f"{role}-{place}{host}"
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
    """Serve the pages if they are enabled; yields their port."""
    web = duty.settings.web
    if not web.enabled:
        yield None
        return
    from dicom_node.bootstrap.web import NodePages
    from dicom_node.web.server import WebServer

    pages = NodePages(
        duty.settings,
        ledger=ledger,
        clock=utc_now,
        following=duty.live,
        desk=duty.live.desk,
    )
    with _named_port(web.host, web.port):
        server = WebServer(
            pages.app, host=web.host, port=web.port, certificate=web.certificate, key=web.key
        )
        server.start()
    try:
        with duty.live.followed_by(pages.use):
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
