"""Delivery and storage commitment, put together from the settings."""

import os
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from dicom_node.bootstrap import parts
from dicom_node.settings.schema import PeerSettings, Settings, WebPeerSettings
from dicom_node.settings.worklists import WorklistSettings

if TYPE_CHECKING:
    from dicom_node.association.commitment_scp import CommitmentScp
    from dicom_node.association.commitment_terms import CommitmentReport, CommitmentRequest
    from dicom_node.association.kept_associations import KeptAssociations
    from dicom_node.association.peers import Peer
    from dicom_node.delivery.carrier import Carrier
    from dicom_node.delivery.notary import Ask, Notary, Reporter
    from dicom_node.delivery.outbox import Outbox
    from dicom_node.delivery.stow import WebCarrier
    from dicom_node.jobs.ledger import Ledger
    from dicom_node.web_service import WebService


def commitment_scp(
    settings: Settings,
    ledger: "Ledger",
    clock: Callable[[], datetime],
    *,
    settle: Callable[[], None],
) -> "CommitmentScp | None":
    """Return what the receiver needs of it, None if the site uses none.

    `settle` records what has been received, before a sender is told what is in custody.
    """
    from dicom_node.association.commitment_scp import CommitmentScp
    from dicom_node.delivery.commitment_desk import LedgerDesk

    committing = [peer for peer in settings.destinations if peer.commitment]
    if not committing and not settings.node.answers_commitment:
        return None
    destinations_of: dict[str, list[str]] = {}
    for peer in committing:
        destinations_of.setdefault(peer.ae_title, []).append(peer.name)
    desk = LedgerDesk(
        requests=ledger.commitment_requests,
        commitments=ledger.commitments,
        destinations_of=destinations_of,
        rules=parts.commitment_rules(settings),
        settle=settle,
    )
    return CommitmentScp(desk, clock=clock, answers_requests=settings.node.answers_commitment)


class Deliverers:
    """Whoever brings results to their destinations: courier, notary, reporter.

    Parameters
    ----------
    settings
        Says who the destinations are.
    ledger, outbox
        What is due, and the files.
    name
        Who claims.
    clock
        Returns the present as an aware time.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        ledger: "Ledger",
        outbox: "Outbox",
        name: str,
        clock: Callable[[], datetime],
    ) -> None:
        from dicom_node.delivery.courier import Courier

        stores = {peer.name: _store(settings, peer) for peer in settings.destinations}
        self._courier = Courier(
            name=name,
            ledger=ledger.deliveries,
            destinations=ledger.destinations,
            outbox=outbox,
            carriers={
                **{
                    peer.name: _carrier(settings, peer, stores[peer.name])
                    for peer in settings.destinations
                },
                **{peer.name: web_carrier(peer, os.environ) for peer in settings.web_destinations},
            },
            rules=parts.delivery_rules(settings),
            clock=clock,
        )
        self._notary = _notary(settings, ledger, clock, ask=_ask(stores))
        self._reporter = _reporter(settings, ledger, clock)

    def report(self) -> None:
        """Tell senders that have hung up what the node vouches for; for the timetable."""
        self._reporter.tick()

    def wake(self) -> None:
        """Look for results to be delivered now; may be called from any thread."""
        self._courier.wake()

    def start(self) -> None:
        """Begin to serve all destinations."""
        self._courier.start()
        self._notary.start()

    def stop(self) -> None:
        """End; what is in hand is brought to its end."""
        self._courier.stop()
        self._notary.stop()


def _store(settings: Settings, peer: PeerSettings) -> "KeptAssociations":
    """Return what sends to a destination; where it rests longer, nothing is kept meanwhile."""
    from dicom_node.association.kept_associations import KeptAssociations

    return KeptAssociations(
        parts.peer_of(settings, peer),
        keep_s=peer.keep_open_s if peer.pause_s < peer.keep_open_s else 0.0,
    )


def _carrier(settings: Settings, peer: PeerSettings, store: "KeptAssociations") -> "Carrier":
    """Return the way to a destination."""
    from dicom_node.association.verification import probe
    from dicom_node.delivery.carrier import DimseCarrier, Manners

    return DimseCarrier(
        peer=parts.peer_of(settings, peer),
        manners=Manners(
            commitment=peer.commitment,
            associations=peer.associations,
            pause_s=peer.pause_s,
            report_first=peer.report_first,
        ),
        store=store,
        echo=probe,
    )


def web_carrier(peer: WebPeerSettings, environment: Mapping[str, str]) -> "WebCarrier":
    """Return the way to a DICOMweb server."""
    from dicom_node.delivery.carrier import Manners
    from dicom_node.delivery.stow import WebCarrier

    return WebCarrier(
        destination=web_service(peer, environment),
        manners=Manners(
            associations=peer.associations,
            pause_s=peer.pause_s,
            report_first=peer.report_first,
        ),
    )


def web_service(
    setting: WebPeerSettings | WorklistSettings, environment: Mapping[str, str]
) -> "WebService":
    """Return a DICOMweb service as it is called."""
    from dicom_node.web_service import Secret, WebService

    secret = None
    if setting.secret_file or setting.secret_variable:
        secret = Secret(
            user=setting.user,
            file=Path(setting.secret_file).expanduser() if setting.secret_file else None,
            value=environment.get(setting.secret_variable, ""),
        )
    return WebService(
        name=setting.name,
        url=setting.url,
        secret=secret,
        trusted=Path(setting.trusted).expanduser() if setting.trusted else None,
        connect_timeout_s=setting.connect_timeout_s,
        response_timeout_s=setting.response_timeout_s,
    )


def _ask(stores: Mapping[str, "KeptAssociations"]) -> "Ask":
    """Return what asks a destination for commitment; kept associations give way to its own."""
    from dicom_node.association.commitment import ask_commitment

    def ask(
        peer: "Peer",
        request: "CommitmentRequest",
        *,
        on_report: "Callable[[CommitmentReport], None]",
        wait_s: float,
    ) -> None:
        stores[peer.name].with_room(
            lambda: ask_commitment(peer, request, on_report=on_report, wait_s=wait_s)
        )

    return ask


def _notary(
    settings: Settings, ledger: "Ledger", clock: Callable[[], datetime], *, ask: "Ask"
) -> "Notary":
    """Return who asks the destinations."""
    from pydicom.uid import generate_uid

    from dicom_node.delivery.notary import Notary

    return Notary(
        ledger=ledger.commitments,
        destinations=ledger.destinations,
        peers={
            peer.name: parts.peer_of(settings, peer)
            for peer in settings.destinations
            if peer.commitment
        },
        rules=parts.commitment_rules(settings),
        clock=clock,
        new_uid=lambda: str(generate_uid(prefix=None)),
        ask=ask,
    )


def _reporter(settings: Settings, ledger: "Ledger", clock: Callable[[], datetime]) -> "Reporter":
    """Return who reports to senders that have hung up."""
    from dicom_node.association.commitment import report_commitment
    from dicom_node.delivery.notary import Reporter

    return Reporter(
        requests=ledger.commitment_requests,
        peers={peer.ae_title: parts.peer_of(settings, peer) for peer in settings.peers},
        retry=parts.delivery_rules(settings).network,
        clock=clock,
        tell=report_commitment,
    )
