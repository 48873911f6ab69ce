"""The audit trail, put together from the settings."""

import getpass
import hashlib
import json
import socket
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from dicom_node.audit.clerk import AuditClerk, Parties
from dicom_node.audit.events import Party, application, configured, exported, refused
from dicom_node.audit.message import AccessPoint, AuditSource
from dicom_node.audit.people import Person, account_changed, intervened
from dicom_node.audit.spool import AuditSpool
from dicom_node.audit.syslog import Repository, TlsRepository, UdpRepository
from dicom_node.audit.trail import AuditCourier, AuditTrail
from dicom_node.audit.workitems import WorkitemClerk
from dicom_node.bootstrap import parts
from dicom_node.bootstrap.layout import DataLayout
from dicom_node.jobs.audit_ledger import AuditLedger
from dicom_node.jobs.documents import Documents
from dicom_node.jobs.workitem_audit import WorkitemAudit
from dicom_node.settings.schema import Settings

if TYPE_CHECKING:
    from dicom_node.association.refusals import RefusalCount
    from dicom_node.jobs.ledger import Ledger

_SETTINGS_KEY = "audited_settings"


def audit_spool(settings: Settings) -> AuditSpool:
    """Return where messages wait."""
    folder = DataLayout(root=settings.node.data_dir).audit
    return AuditSpool(folder, limit=settings.audit.queue_limit)


def audit_trail(settings: Settings) -> AuditTrail:
    """Return what takes messages; it takes none unless the site wants an audit trail."""
    wanted = settings.audit
    return AuditTrail(
        audit_spool(settings) if wanted.enabled else None,
        AuditSource(source_id=wanted.source_id or settings.node.ae_title, site_id=wanted.site_id),
    )


def node_party(settings: Settings) -> Party:
    """Return the node as the trail names it."""
    return Party(ae_title=settings.node.ae_title, address=settings.node.host)


def note_process(settings: Settings, name: str, at: datetime, *, starts: bool) -> None:
    """Write down that a process starts or stops."""
    audit_trail(settings).write(application(node_party(settings), name, at, starts=starts))


def note_refused(
    settings: Settings, trail: AuditTrail
) -> "Callable[[Sequence[RefusalCount]], None]":
    """Return what writes down whom the receiver turned away, once per caller and report."""
    from dicom_node.association.refusals import REFUSAL_WORDS

    node = node_party(settings)

    def note(counts: "Sequence[RefusalCount]") -> None:
        for one in counts:
            caller = Party(ae_title=one.ae_title, address=one.address)
            words = REFUSAL_WORDS[one.kind]
            trail.write(refused(node, caller, words, one.count, one.last_at))

    return note


def note_settings(settings: Settings, documents: Documents, at: datetime) -> None:
    """Write down which tables of the settings are not what they were at the last start."""
    digests = {
        table: hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()
        for table, value in settings.model_dump(mode="json").items()
    }
    before = documents.read(_SETTINGS_KEY)
    if before == digests:
        return
    documents.write(_SETTINGS_KEY, digests)
    if before is None:
        return
    changed = sorted(
        table for table in before.keys() | digests if before.get(table) != digests.get(table)
    )
    audit_trail(settings).write(configured(node_party(settings), changed, at))


def note_export(settings: Settings, output: Path, patients: int, at: datetime) -> None:
    """Write down that somebody exported de-identified patients."""
    trail = audit_trail(settings)
    if trail.is_on:
        place = output.absolute().as_uri()
        user = operator_here().user_id
        trail.write(exported(node_party(settings), user, place, patients, at))


def note_intervention(
    settings: Settings, what: str, at: datetime, *, studies: Sequence[str] = ()
) -> None:
    """Write down what an operator at this machine told the node to do."""
    trail = audit_trail(settings)
    if trail.is_on:
        trail.write(intervened(node_party(settings), operator_here(), what, studies, at))


def note_account(settings: Settings, whose: str, what: str, at: datetime) -> None:
    """Write down that somebody at this machine made, changed or closed an account."""
    trail = audit_trail(settings)
    if trail.is_on:
        trail.write(account_changed(node_party(settings), operator_here(), whose, what, at))


def operator_here() -> Person:
    """Return who runs this command."""
    machine = socket.gethostname()
    return Person(
        user_id=f"{getpass.getuser()}@{machine}", address=machine, point=AccessPoint.NAME
    )


class AuditOffice:
    """What the office does about the audit trail again and again.

    Parameters
    ----------
    settings, ledger, clock
        Of the node.
    """

    def __init__(
        self, settings: Settings, *, ledger: "Ledger", clock: Callable[[], datetime]
    ) -> None:
        from dicom_node.bootstrap.audit_state import note_repository

        trail = audit_trail(settings)
        documents = Documents(ledger.database)
        self._is_on = trail.is_on
        parties = Parties(node=node_party(settings), peers=_peers(settings))
        self._workitems = WorkitemClerk(
            ledger=WorkitemAudit(ledger.database), trail=trail, parties=parties
        )
        self._clerk = AuditClerk(
            ledger=AuditLedger(ledger.database),
            documents=documents,
            trail=trail,
            parties=parties,
            patient=_patient(settings),
            clock=clock,
        )
        self._courier = AuditCourier(
            spool=audit_spool(settings),
            repository=_repository(settings, clock),
            clock=clock,
            count=ledger.tallies.add,
            noted=lambda fault: note_repository(documents, fault, clock()),
        )
        note_settings(settings, documents, clock())
        if self._is_on:
            self._clerk.begin()
        else:
            self._clerk.forget()

    def tick(self) -> None:
        """Write down what the ledger shows, and send what waits. Raises LedgerError."""
        if self._is_on:
            self._clerk.tick()
            if (since := self._clerk.since) is not None:
                self._workitems.tick(since)
            self._courier.tick()


def _peers(settings: Settings) -> dict[str, Party]:
    found = {
        peer.name: Party(ae_title=peer.ae_title, address=peer.host) for peer in settings.peers
    }
    addresses = {peer.name: peer.url for peer in settings.web_peers}
    addresses |= {worklist.name: worklist.url for worklist in settings.worklists}
    for name, url in addresses.items():
        place = f"{urlsplit(url).hostname}"
        found[name] = Party(ae_title=name, address=place, point=AccessPoint.NAME)
    return found


def _patient(settings: Settings) -> Callable[[Path | None, str], str]:
    """Return what a patient is called in the trail, as the site wants it."""
    wanted, spool = settings.audit.patient, DataLayout(root=settings.node.data_dir).spool

    def named(image: Path | None, key: str) -> str:
        if wanted == "none":
            return ""
        if wanted == "key" or image is None:
            return key
        from dicom_node.errors import UnaskablePatientError
        from dicom_node.intake.patient_identity import read_patient_identity

        try:
            return read_patient_identity(spool / image).patient_id or key
        except UnaskablePatientError:
            return key

    return named


def _repository(settings: Settings, clock: Callable[[], datetime]) -> Repository:
    """Return where messages go."""
    wanted = settings.audit
    if wanted.transport == "udp":
        return UdpRepository(host=wanted.host, port=wanted.port, clock=clock)

    from dicom_node.association.tls import ClientTls, client_context
    from dicom_node.association.tls_profiles import TlsProfile

    tls = ClientTls(
        files=parts.tls_files(settings.tls),
        only_1_3=settings.tls.only_1_3,
        profile=TlsProfile(settings.tls.profile),
    )
    return TlsRepository(
        host=wanted.host, port=wanted.port, context=lambda: client_context(tls), clock=clock
    )
