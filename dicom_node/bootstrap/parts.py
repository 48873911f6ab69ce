"""What the parts of the node are built from: their own values, taken from the settings.

Each process needs a few of them, so each function imports its part when it is called.
"""

from collections.abc import Iterable
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING

from dicom_node.settings.schema import (
    CallerSettings,
    PeerSettings,
    PreferenceSettings,
    RuleSettings,
    Settings,
    TlsSettings,
)
from dicom_node.settings.values import ANY_CALLER

if TYPE_CHECKING:
    from dicom_node.association.callers import Caller
    from dicom_node.association.peers import Peer
    from dicom_node.association.receive_limits import ReceiveLimits
    from dicom_node.association.scp_settings import ScpSettings
    from dicom_node.association.tls import TlsFiles
    from dicom_node.delivery.courier import DeliveryRules
    from dicom_node.intake.assembly import AssemblyRules
    from dicom_node.intake.selection import Preference, SelectionRules, TextRule
    from dicom_node.intake.spool import SpoolLimits
    from dicom_node.intake.urgency import UrgencyRules
    from dicom_node.jobs.commitment_ledger import CommitmentRules
    from dicom_node.jobs.routing import Route
    from dicom_node.jobs.worker import JobRules

_MEGABYTE = 2**20

#: UIDs of the encodings in the settings (PS3.6, table A-1).
ENCODING_UIDS = {
    "explicit": "1.2.840.10008.1.2.1",
    "implicit": "1.2.840.10008.1.2",
    "deflated": "1.2.840.10008.1.2.1.99",
    "jpegls": "1.2.840.10008.1.2.4.80",
    "rle": "1.2.840.10008.1.2.5",
}

#: Each wait is this many times the one before it.
_BACKOFF_FACTOR = 2.0


def scp_settings(settings: Settings) -> "ScpSettings":
    """Return how the receiver listens."""
    from dicom_node.association.scp_settings import Reader, ScpSettings
    from dicom_node.association.tls import ServerTls
    from dicom_node.association.tls_profiles import TlsProfile

    node, tls = settings.node, settings.tls
    return ScpSettings(
        ae_title=node.ae_title,
        host=node.host,
        port=node.port if node.plain else None,
        callers=tuple(caller_of(entry) for entry in node.callers),
        tls=ServerTls(
            files=tls_files(tls),
            requires_certificate=tls.callers_need_certificate,
            only_1_3=tls.only_1_3,
            profile=TlsProfile(tls.profile),
        )
        if tls.enabled
        else None,
        tls_port=tls.port,
        max_associations=node.max_associations,
        max_per_caller=node.max_associations_per_caller,
        limits=receive_limits(settings),
        network_timeout_s=node.network_timeout_s,
        dimse_timeout_s=node.network_timeout_s,
        reader=Reader(node.reader),
    )


def receive_limits(settings: Settings) -> "ReceiveLimits":
    """Return how much and how slowly the node lets itself be sent."""
    from dicom_node.association.receive_limits import ReceiveLimits

    node = settings.node
    return ReceiveLimits(
        request_s=node.request_time_s,
        pdu_s=node.pdu_time_s,
        message_s=node.message_time_s,
        max_pdu=node.max_pdu_bytes,
        max_object_bytes=node.max_object_mb * _MEGABYTE,
        max_unfinished_bytes=node.max_unfinished_mb * _MEGABYTE,
    )


def caller_of(entry: str | CallerSettings) -> "Caller":
    """Return an entry of ``node.callers`` as the association package knows it."""
    from dicom_node.association.caller_certificate import CertificatePart, CertificateRule
    from dicom_node.association.callers import Caller, Permission

    if isinstance(entry, str):
        entry = CallerSettings(ae_title=entry)
    part, _, value = (entry.certificate or "").partition(":")
    return Caller(
        ae_title=None if entry.ae_title == ANY_CALLER else entry.ae_title,
        network=None if entry.address is None else ip_network(entry.address),
        certificate=CertificateRule(part=CertificatePart(part), value=value) if part else None,
        may=frozenset(Permission(one.value) for one in entry.may),
        max_associations=entry.max_associations,
    )


def tls_files(tls: TlsSettings) -> "TlsFiles":
    """Return the files of TLS."""
    from dicom_node.association.tls import TlsFiles

    return TlsFiles(
        certificate=Path(tls.certificate),
        key=Path(tls.key),
        trusted=Path(tls.trusted),
        revoked=Path(tls.revoked) if tls.revoked else None,
    )


def peer_of(settings: Settings, peer: PeerSettings) -> "Peer":
    """Return a peer as the association package calls it."""
    from dicom_node.association.peers import Peer
    from dicom_node.association.tls import ClientTls
    from dicom_node.association.tls_profiles import TlsProfile

    tls = ClientTls(
        files=tls_files(settings.tls),
        server_name=peer.tls_name,
        checks_name=peer.tls_checks_name,
        only_1_3=settings.tls.only_1_3,
        profile=TlsProfile(settings.tls.profile),
    )
    return Peer(
        name=peer.name,
        ae_title=peer.ae_title,
        host=peer.host,
        port=peer.port,
        calling_ae_title=settings.node.ae_title,
        max_pdu=peer.max_pdu_bytes,
        encodings=tuple(ENCODING_UIDS[name] for name in peer.encodings),
        connect_timeout_s=peer.connect_timeout_s,
        acse_timeout_s=peer.association_timeout_s,
        dimse_timeout_s=peer.response_timeout_s,
        network_timeout_s=peer.response_timeout_s,
        tls=tls if peer.tls else None,
    )


def unsent_classes(settings: Settings) -> frozenset[str]:
    """Return the SOP Class UIDs of objects that are made only where a site wants them."""
    from pydicom.uid import EncapsulatedPDFStorage, KeyObjectSelectionDocumentStorage

    wanted = {
        EncapsulatedPDFStorage: settings.results.pdf,
        KeyObjectSelectionDocumentStorage: settings.results.key_objects,
    }
    return frozenset(str(uid) for uid, is_wanted in wanted.items() if not is_wanted)


def may_report(settings: Settings, peer: PeerSettings) -> bool:
    """Return whether a peer is let in that reports storage commitment over its own association."""
    from dicom_node.association.callers import Permission

    return any(
        caller.has_title(peer.ae_title) and Permission.COMMIT in caller.may
        for caller in scp_settings(settings).callers
    )


def destinations(settings: Settings) -> dict[str, "Peer"]:
    """Return the peers that are sent results, by name."""
    return {peer.name: peer_of(settings, peer) for peer in settings.destinations}


def destination_names(settings: Settings) -> tuple[str, ...]:
    """Return the names of everybody who is sent results."""
    names = [peer.name for peer in settings.destinations]
    return (*names, *(peer.name for peer in settings.web_destinations))


def routes(settings: Settings) -> tuple["Route", ...]:
    """Return everybody who may be sent results, and which of them."""
    from dicom_node.jobs.routing import Receives, Route

    return (
        *(
            Route(name=peer.name, receives=Receives(peer.receives), ae_title=peer.ae_title)
            for peer in settings.destinations
        ),
        *(
            Route(name=peer.name, receives=Receives(peer.receives))
            for peer in settings.web_destinations
        ),
    )


def spool_limits(settings: Settings) -> "SpoolLimits":
    """Return how much room the spool leaves."""
    from dicom_node.intake.spool import SpoolLimits

    return SpoolLimits(free_floor_bytes=settings.node.free_space_floor_mb * _MEGABYTE)


def assembly_rules(settings: Settings) -> "AssemblyRules":
    """Return when a series is complete."""
    from dicom_node.intake.assembly import AssemblyRules

    rules = settings.assembly
    return AssemblyRules(
        quiet_s=rules.quiet_time_s,
        force_s=rules.force_time_s,
        study_quiet_s=rules.study_quiet_time_s,
        study_limit_s=rules.study_limit_s,
    )


def selection_rules(settings: Settings) -> "SelectionRules":
    """Return which series of a study are analysed."""
    from dicom_node.intake.default_rules import DEFAULT_RULES
    from dicom_node.intake.selection import SelectionRules

    rules = settings.selection
    return SelectionRules(
        include=DEFAULT_RULES.include if rules.include is None else _text_rules(rules.include),
        exclude=DEFAULT_RULES.exclude if rules.exclude is None else _text_rules(rules.exclude),
        prefer=DEFAULT_RULES.prefer if rules.prefer is None else _preferences(rules.prefer),
        minimum_slices=rules.minimum_slices,
        maximum_thickness_mm=rules.maximum_thickness_mm,
        preferred_thickness_mm=rules.preferred_thickness_mm,
        thickness_points=rules.thickness_points,
        maximum_angle_deg=rules.maximum_angle_deg,
        contrast_allowed=rules.contrast_allowed,
        series_per_study=rules.series_per_study,
    )


def urgency_rules(settings: Settings) -> "UrgencyRules":
    """Return which studies go before others."""
    from dicom_node.intake.urgency import UrgencyRules

    return UrgencyRules(
        callers=frozenset(settings.urgent.callers),
        priorities=frozenset(settings.urgent.priorities),
        rules=_text_rules(settings.urgent.rules),
    )


def _text_rules(rules: Iterable[RuleSettings]) -> tuple["TextRule", ...]:
    from dicom_node.intake.selection import SeriesAttribute, TextRule

    return tuple(
        TextRule(attribute=SeriesAttribute(rule.attribute.value), pattern=rule.pattern)
        for rule in rules
    )


def _preferences(rules: Iterable[PreferenceSettings]) -> tuple["Preference", ...]:
    from dicom_node.intake.selection import Preference

    return tuple(
        Preference(rule=rule, points=setting.points)
        for setting in rules
        for rule in _text_rules([setting])
    )


def job_rules(settings: Settings) -> "JobRules":
    """Return how an analysis is claimed, limited and tried again."""
    from dicom_node.jobs.retry import RetryPolicy
    from dicom_node.jobs.worker import JobRules
    from dicom_node.results.errors import ResultError
    from pipeline.errors import PipelineError

    worker = settings.worker
    return JobRules(
        lease_s=worker.lease_s,
        time_limit_s=worker.time_limit_s,
        retry=RetryPolicy(
            max_attempts=worker.attempts,
            first_delay_s=worker.first_retry_s,
            factor=_BACKOFF_FACTOR,
            cap_s=worker.longest_wait_s,
        ),
        permanent_errors=(PipelineError, ResultError),
    )


def delivery_rules(settings: Settings) -> "DeliveryRules":
    """Return how often a result is offered again."""
    from dicom_node.delivery.courier import DeliveryRules
    from dicom_node.jobs.destination_ledger import BreakerRules
    from dicom_node.jobs.retry import RetryPolicy

    delivery = settings.delivery
    return DeliveryRules(
        network=RetryPolicy(
            max_attempts=delivery.attempts,
            first_delay_s=delivery.first_retry_s,
            factor=_BACKOFF_FACTOR,
            cap_s=delivery.longest_wait_s,
        ),
        refusal=RetryPolicy(
            max_attempts=delivery.refusal_attempts,
            first_delay_s=delivery.refusal_first_retry_s,
            factor=_BACKOFF_FACTOR,
            cap_s=delivery.longest_wait_s,
        ),
        breaker=BreakerRules(
            failures=delivery.unreachable_after,
            first_probe_s=delivery.first_probe_s,
            longest_probe_s=delivery.longest_probe_s,
        ),
    )


def growth_bundle(settings: Settings) -> Path | None:
    """Return the folder of the growth model; None where a site has none or wants no forecast.

    Raises
    ------
    ModelBundleError
        If there is no shipped bundle of that name.
    """
    name = settings.worker.growth_bundle
    return bundle_path(name) if name and settings.results.forecast else None


def commitment_rules(settings: Settings) -> "CommitmentRules":
    """Return how patiently a destination is asked for storage commitment."""
    from dicom_node.jobs.commitment_ledger import CommitmentRules

    return CommitmentRules(
        answer_s=settings.delivery.commitment_answer_s,
        asks=settings.delivery.commitment_attempts,
        retry=delivery_rules(settings).refusal,
    )


def bundle_path(name: str) -> Path:
    """Return the folder of a model bundle: a path, or the name of one that ichnode brings along.

    Raises
    ------
    ModelBundleError
        If there is no shipped bundle of that name.
    """
    from pipeline.model_bundle import builtin_bundle_path

    if "/" in name or name.startswith("~"):
        return Path(name).expanduser()
    return builtin_bundle_path(name)
