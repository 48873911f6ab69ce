"""Lives of the node that write letters: storage commitment, earlier scans, audit trail, alerts."""

from datetime import timedelta
from functools import partial

from faults.outside import (
    ARCHIVE,
    HOST,
    PACS,
    EarlierScans,
    Notarial,
    append,
    lines_of,
)
from faults.roles import PATIENT, PLANS, World, custody_of, opened, until_idle

from dicom_node.association.commitment_terms import CommitmentReport, CommitmentRequest, Reference
from dicom_node.association.peers import Peer
from dicom_node.bootstrap.alerts import AlertOffice
from dicom_node.bootstrap.audit import AuditOffice
from dicom_node.delivery.commitment_desk import LedgerDesk
from dicom_node.delivery.janitor import Janitor
from dicom_node.delivery.notary import Notary, Reporter
from dicom_node.delivery.purger import Folders, Purger
from dicom_node.intake.default_rules import DEFAULT_RULES
from dicom_node.jobs.commitment_ledger import CommitmentRules
from dicom_node.jobs.documents import Documents
from dicom_node.jobs.ledger import Ledger
from dicom_node.jobs.prior_seeker import PriorSeeker, PriorSource, SeekingRules
from dicom_node.jobs.purge_ledger import PurgeLedger
from dicom_node.jobs.retention import AgeRule, RetentionRules
from dicom_node.settings.schema import AuditSettings, NodeSettings, Settings

#: The archive is asked again after ten minutes, for ever.
COMMITMENT = CommitmentRules(answer_s=600.0, asks=10_000, retry=PATIENT)

_ARCHIVE_TITLE, _MODALITY = "ARCHIVE", "MODALITY"
_CT = "1.2.840.10008.5.1.4.1.1.2"

#: Discard protocol: audit messages go nowhere, as by UDP they may.
_DISCARD_PORT = 9


def notary(world: World) -> None:
    """Ask the archive to commit itself to what it accepted."""
    with opened(world, "notary") as ledger:
        ledger.commitments.resume((ARCHIVE,), rules=COMMITMENT, now=world.clock())
        peer = Peer(
            name=ARCHIVE,
            ae_title=_ARCHIVE_TITLE,
            host=HOST,
            port=104,
            calling_ae_title="ICHNODE",
        )
        hand = Notary(
            ledger=ledger.commitments,
            destinations=ledger.destinations,
            peers={ARCHIVE: peer},
            rules=COMMITMENT,
            clock=world.clock,
            new_uid=partial(_transaction, world),
            ask=Notarial(world.outside, world.reach).ask,
        )
        until_idle(partial(hand.ask_once, ARCHIVE))


def reports(world: World) -> None:
    """Take what the archive reports over associations of its own, late and twice."""
    with opened(world, "receiver") as ledger:
        desk = _desk(ledger)
        for report in Notarial(world.outside, world.reach).reports():
            desk.reported(report, calling_ae_title=_ARCHIVE_TITLE, now=world.clock())


def desk(world: World) -> None:
    """Vouch for all images that a sender asks about; it does not hear of every other answer."""
    with opened(world, "receiver") as ledger:
        at_desk = _desk(ledger)
        acknowledged = [one["uid"] for one in lines_of(world.outside / "acknowledged")]
        wanted = [f"2.25.{len(acknowledged)}{number}" for number in (1, 2)]
        for hears, uid in enumerate(wanted):
            request = CommitmentRequest(
                transaction_uid=uid,
                references=tuple(
                    Reference(sop_class_uid=_CT, sop_instance_uid=one)
                    for one in (*dict.fromkeys(acknowledged), "1.2.3.404")
                ),
            )
            report = at_desk.asked(request, calling_ae_title=_MODALITY, now=world.clock())
            world.reach("decided, not yet reported")
            if hears:
                _vouched(world, report)
                at_desk.answered(request, calling_ae_title=_MODALITY, now=world.clock())


def reporter(world: World) -> None:
    """Call senders that have hung up."""
    with opened(world, "reporter") as ledger:
        modality = Peer(
            name="ct1", ae_title=_MODALITY, host=HOST, port=104, calling_ae_title="ICHNODE"
        )
        hand = Reporter(
            requests=ledger.commitment_requests,
            peers={_MODALITY: modality},
            retry=PATIENT,
            clock=world.clock,
            tell=lambda _peer, report: _vouched(world, report),
        )
        hand.tick()


def seeker(world: World) -> None:
    """Look for earlier scans at the PACS, and fetch them."""
    with opened(world, "seeker") as ledger:
        custody = custody_of(world, ledger, ledger.arrivals)
        pacs = EarlierScans(
            world.prior,
            custody=custody,
            log=world.outside / "acknowledged",
            now=world.clock,
        )
        hand = PriorSeeker(
            ledger=ledger.priors,
            sources={PACS.name: PriorSource(peer=PACS, fetch=pacs.fetch)},
            spool_root=world.data / "spool",
            rules=SeekingRules(
                window=PLANS.pairing.window, selection=DEFAULT_RULES, retry=PATIENT
            ),
            find=pacs.find,
            clock=world.clock,
        )
        until_idle(partial(hand.seek_once, PACS.name))


def clerk(world: World) -> None:
    """Write the audit trail and the alerts that stand."""
    settings = Settings(
        node=NodeSettings(data_dir=world.data),
        audit=AuditSettings(enabled=True, port=_DISCARD_PORT),
    )
    with opened(world, "clerk") as ledger:
        for office in (AuditOffice, AlertOffice):
            office(settings, ledger=ledger, clock=world.clock).tick()


def janitor(world: World) -> None:
    """Purge whatever a site that keeps nothing for long lets go."""
    day = timedelta(days=1)
    rules = RetentionRules(ages=dict.fromkeys(AgeRule, day), keep_committed=day)
    with opened(world, "janitor") as ledger:
        purger = Purger(
            ledger=PurgeLedger(ledger.database),
            folders=Folders(
                spool=world.data / "spool",
                outbox=world.data / "outbox",
                summaries=world.data / "summaries",
            ),
            clock=world.clock,
        )
        Janitor(
            purger=purger,
            rules=rules,
            documents=Documents(ledger.database),
            clock=world.clock,
            monotonic=lambda: 0.0,
        ).tick()


def _desk(ledger: Ledger) -> LedgerDesk:
    return LedgerDesk(
        requests=ledger.commitment_requests,
        commitments=ledger.commitments,
        destinations_of={_ARCHIVE_TITLE: (ARCHIVE,)},
        rules=COMMITMENT,
    )


def _vouched(world: World, report: CommitmentReport) -> None:
    """Write down what a sender heard the node is responsible for: it may delete its own copy."""
    for reference in report.committed:
        append(world.outside / "vouched", uid=reference.sop_instance_uid, digest="")
    world.reach("reported, not yet noted")


def _transaction(world: World) -> str:
    """Return a UID that no request had before, whatever was killed."""
    return f"2.25.{int(world.clock().timestamp() * 1e6)}"
