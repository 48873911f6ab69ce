"""What the office does again and again, and how often."""

import logging

from dicom_node.bootstrap import parts
from dicom_node.bootstrap.alerts import AlertOffice
from dicom_node.bootstrap.allocator import give_back_memory
from dicom_node.bootstrap.audit import AuditOffice
from dicom_node.bootstrap.certificate_alarm import log_certificates
from dicom_node.bootstrap.configuration import ConfigurationOffice
from dicom_node.bootstrap.deliverers import Deliverers
from dicom_node.bootstrap.retention import RetentionOffice
from dicom_node.bootstrap.roles import utc_now
from dicom_node.bootstrap.sign_in_office import SignInOffice
from dicom_node.bootstrap.tracing import trace_courier
from dicom_node.bootstrap.waits import longest_waits
from dicom_node.bootstrap.watch import NodeWatch
from dicom_node.bootstrap.web_rules import session_rules
from dicom_node.configuration.live import LiveSettings
from dicom_node.delivery.outbox import Outbox
from dicom_node.jobs.ledger import Ledger
from dicom_node.jobs.office import AssemblyOffice, Sweeper
from dicom_node.jobs.timetable import Tick
from dicom_node.jobs.wake import Bells
from dicom_node.settings.schema import Settings

LOGGER = logging.getLogger(__name__)

_ASSEMBLY_EVERY_S = 0.5
_SWEEP_EVERY_S = 5.0
_CONFIGURATION_EVERY_S = 1.0
_TIDY_EVERY_S = 3600.0
_MEMORY_EVERY_S = 60.0
_WATCH_EVERY_S = 900.0
_RETENTION_EVERY_S = 15.0
_ALERTS_EVERY_S = 20.0
_CERTIFICATES_EVERY_S = 24 * 3600.0


def office_ticks(
    live: LiveSettings,
    settings: Settings,
    ledger: Ledger,
    outbox: Outbox,
    deliverers: Deliverers,
    bells: Bells,
) -> list[Tick]:
    """Return the ticks of the office while these settings are in force.

    Parameters
    ----------
    live
        Says what is wrong with the settings file.
    settings
        In force; with others the office begins anew.
    ledger, outbox, deliverers
        Of the node.
    bells
        By which workers are called.
    """
    return [
        *_work(settings, ledger, deliverers, bells),
        *_care(settings, ledger, outbox),
        *_reports(live, settings, ledger),
    ]


def _work(settings: Settings, ledger: Ledger, deliverers: Deliverers, bells: Bells) -> list[Tick]:
    """Return what brings series and results on."""
    assembly = AssemblyOffice(
        ledger=ledger,
        assembly=parts.assembly_rules(settings),
        selection=parts.selection_rules(settings),
        clock=utc_now,
        urgent=parts.urgency_rules(settings),
        bells=bells,
        ahead_s=_ASSEMBLY_EVERY_S,
    )
    sweeper = Sweeper(
        ledger=ledger,
        job_rules=parts.job_rules(settings),
        clock=utc_now,
        waits=longest_waits(settings),
    )
    return [
        Tick(name="assembly", every_s=_ASSEMBLY_EVERY_S, action=assembly.tick),
        Tick(name="sweep", every_s=_SWEEP_EVERY_S, action=sweeper.tick),
        Tick(name="reports", every_s=_SWEEP_EVERY_S, action=deliverers.report),
    ]


def _care(settings: Settings, ledger: Ledger, outbox: Outbox) -> list[Tick]:
    """Return what keeps the node in order."""
    return [
        Tick(
            name="certificates",
            every_s=_CERTIFICATES_EVERY_S,
            action=lambda: log_certificates(settings, utc_now),
        ),
        Tick(name="tidy", every_s=_TIDY_EVERY_S, action=lambda: _tidy(outbox, ledger)),
        Tick(name="memory", every_s=_MEMORY_EVERY_S, action=give_back_memory),
        Tick(
            name="watch",
            every_s=_WATCH_EVERY_S,
            action=NodeWatch(ledger.database, settings).tick,
        ),
        Tick(
            name="retention",
            every_s=_RETENTION_EVERY_S,
            action=RetentionOffice(settings, ledger=ledger, clock=utc_now).tick,
        ),
    ]


def _reports(live: LiveSettings, settings: Settings, ledger: Ledger) -> list[Tick]:
    """Return what tells people and repositories."""
    alerts = AlertOffice(settings, ledger=ledger, clock=utc_now, configuration=lambda: live.faults)
    audit = AuditOffice(settings, ledger=ledger, clock=utc_now)
    sign_ins = SignInOffice(
        settings, ledger=ledger.users, rules=session_rules(settings.web), clock=utc_now
    )
    traces = trace_courier(settings, ledger, utc_now)
    configuration = ConfigurationOffice(live, ledger=ledger, clock=utc_now)
    return [
        Tick(name="alerts", every_s=_ALERTS_EVERY_S, action=alerts.tick),
        Tick(name="configuration", every_s=_CONFIGURATION_EVERY_S, action=configuration.tick),
        Tick(name="audit", every_s=_SWEEP_EVERY_S, action=audit.tick),
        Tick(name="log-ins", every_s=_SWEEP_EVERY_S, action=sign_ins.tick),
        *([Tick(name="traces", every_s=_SWEEP_EVERY_S, action=traces.tick)] if traces else []),
    ]


def _tidy(outbox: Outbox, ledger: Ledger) -> None:
    """Delete result files that a dead worker left without a row."""
    removed = outbox.sweep(ledger.reports.outbox_paths(), utc_now())
    if removed:
        LOGGER.warning("Deleted %s result files that belong to no result", removed)
