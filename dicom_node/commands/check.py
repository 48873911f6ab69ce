"""``ichnode check``: whether the node can do its work here, every fault at once."""

import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dicom_node.association.verification import echo
from dicom_node.bootstrap import parts
from dicom_node.bootstrap.certificate_alarm import certificate_state
from dicom_node.bootstrap.layout import DataLayout
from dicom_node.bootstrap.ledgers import has_ledger, ledger_for_reading
from dicom_node.bootstrap.node_models import load_node_models
from dicom_node.bootstrap.peer_trial import try_web
from dicom_node.bootstrap.roles import utc_now
from dicom_node.bootstrap.shadow import has_shadow, shadow_settings
from dicom_node.bootstrap.web_rules import openid_sign_in
from dicom_node.bootstrap.worklists import worklist_server
from dicom_node.commands.check_priors import prior_findings
from dicom_node.commands.screen import say, show_table
from dicom_node.commands.site import settings_of
from dicom_node.errors import PeerError, TlsFileError
from dicom_node.lockfile import is_held
from dicom_node.operator_error import ExitCode, OperatorError
from dicom_node.processes import Role
from dicom_node.settings.schema import Settings, WebPeerSettings
from dicom_node.settings.worklists import WorklistSettings
from pipeline.errors import ModelBundleError

_MEGABYTE = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one test found.

    Attributes
    ----------
    subject : str
        What was tested.
    good : bool
        Whether the node can work with it.
    detail : str
        What was found, and what to do if it is not good.
    """

    subject: str
    good: bool
    detail: str


def run(*, config: Path | None) -> int:
    """Print every finding."""
    path, settings = settings_of(config)
    findings = [Finding(subject="settings", good=True, detail=str(path)), *findings_of(settings)]
    show_table(
        ("subject", "result", "detail"),
        [(one.subject, "ok" if one.good else "FAULT", one.detail) for one in findings],
        styles=["" if one.good else "red" for one in findings],
    )
    faults = sum(not one.good for one in findings)
    say(f"{faults} fault{'s' if faults != 1 else ''}" if faults else "the node can work here")
    return ExitCode.FAILED if faults else ExitCode.OK


def findings_of(settings: Settings) -> Iterator[Finding]:
    """Test disk, ledger, ports, models and peers, in the order in which they are needed."""
    layout = DataLayout(root=settings.node.data_dir)
    try:
        layout.prepare()
    except OSError as error:
        yield Finding(subject="data directory", good=False, detail=f"{layout.root}: {error}")
    else:
        yield Finding(subject="data directory", good=True, detail=str(layout.root))
        yield _disk(settings, layout)
        yield from _ledger(settings)
        yield from _ports(settings, layout)
    yield from _certificates(settings)
    yield from _log_in_provider(settings)
    yield from _models(settings)
    if has_shadow(settings):
        yield from _models(shadow_settings(settings), prefix="shadow ")
    yield from _peers(settings)


def _disk(settings: Settings, layout: DataLayout) -> Finding:
    free_mb = shutil.disk_usage(layout.root).free // _MEGABYTE
    floor_mb = settings.node.free_space_floor_mb
    return Finding(
        subject="disk",
        good=free_mb > floor_mb,
        detail=f"{free_mb} MB free; below {floor_mb} MB (node.free_space_floor_mb) images are "
        "refused",
    )


def _ledger(settings: Settings) -> Iterator[Finding]:
    try:
        if not has_ledger(settings):
            yield Finding(subject="ledger", good=True, detail="none yet; the first start makes it")
            return
        with ledger_for_reading(settings) as ledger:
            overview = ledger.reports.overview(limit=1)
    except OperatorError as error:
        yield Finding(subject="ledger", good=False, detail=str(error))
        return
    counts = [f"{count} {state}" for state, count in overview.jobs_by_state.items() if count]
    yield Finding(
        subject="ledger", good=True, detail=f"jobs: {', '.join(counts) if counts else 'none'}"
    )


def _ports(settings: Settings, layout: DataLayout) -> Iterator[Finding]:
    node, tls, web = settings.node, settings.tls, settings.web
    receives = is_held(layout.lock(Role.RECEIVER))
    if node.plain:
        yield _port("DICOM port", node.host, node.port, ours=receives)
    if tls.enabled:
        yield _port("DICOM TLS port", node.host, tls.port, ours=receives)
    if web.enabled:
        yield _port("web port", web.host, web.port, ours=is_held(layout.lock(Role.OFFICE)))


def _port(subject: str, host: str, port: int, *, ours: bool) -> Finding:
    where = f"{host} port {port}"
    if ours:
        return Finding(subject=subject, good=True, detail=f"{where}: this node is running")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        return Finding(subject=subject, good=False, detail=f"{where}: {error.strerror or error}")
    return Finding(subject=subject, good=True, detail=f"{where}: free")


def _certificates(settings: Settings) -> Iterator[Finding]:
    state = certificate_state(settings, utc_now())
    for words in (*state.faults, *state.alarms):
        yield Finding(subject="TLS", good=False, detail=words)
    for name, days in state.days_left.items():
        if days >= settings.tls.warn_days:
            yield Finding(subject="TLS", good=True, detail=f"{name}: holds for {days} days")
    if settings.needs_tls and not state.faults:
        yield from _tls_contexts(settings)


def _tls_contexts(settings: Settings) -> Iterator[Finding]:
    """Test what reading the files cannot: that the TLS library takes them."""
    from dicom_node.association.tls import ClientTls, client_context
    from dicom_node.association.tls_profiles import TlsProfile
    from dicom_node.bootstrap.child_environment import profile_fault

    files = parts.tls_files(settings.tls)
    try:
        client_context(ClientTls(files=files, profile=TlsProfile(settings.tls.profile)))
    except TlsFileError as error:
        yield Finding(subject="TLS", good=False, detail=str(error))
    if fault := profile_fault(settings):
        yield Finding(subject="TLS", good=False, detail=fault)


def _log_in_provider(settings: Settings) -> Iterator[Finding]:
    """Test whether the provider of log-ins says what it is."""
    openid = openid_sign_in(settings.web, utc_now)
    if openid is None:
        return
    try:
        openid.probe()
    except PeerError as error:
        yield Finding(subject="log-in provider", good=False, detail=str(error))
    else:
        words = f"{settings.web.oidc_issuer} answers"
        yield Finding(subject="log-in provider", good=True, detail=words)


def _models(settings: Settings, *, prefix: str = "") -> Iterator[Finding]:
    try:
        models = load_node_models(settings)
    except (ModelBundleError, RuntimeError, OSError) as error:
        yield Finding(subject=f"{prefix}models", good=False, detail=str(error))
        return
    for card in models.cards:
        kind = "; trained on simulated data, for demonstration only" if card.demonstration else ""
        yield Finding(
            subject=f"{prefix}{card.task} model",
            good=True,
            detail=f"{card.name} {card.version} on {models.device}{kind}",
        )


def _web_peer(peer: WebPeerSettings) -> Finding:
    """Return whether a DICOMweb server answers."""
    step = try_web(peer)
    return Finding(subject=f"web peer {peer.name}", good=step.ok, detail=step.found)


def _worklist(worklist: WorklistSettings) -> Finding:
    """Return whether a worklist lets the node search."""
    subject = f"worklist {worklist.name}"
    try:
        found = next(worklist_server(worklist).search(worklist.codes), None)
    except PeerError as error:
        return Finding(subject=subject, good=False, detail=str(error))
    waits = "there is work" if found is not None else "nothing is scheduled"
    return Finding(subject=subject, good=True, detail=f"{worklist.url} answers; {waits}")


def _peers(settings: Settings) -> Iterator[Finding]:
    for peer in settings.peers:
        result = echo(parts.peer_of(settings, peer))
        yield Finding(subject=f"peer {peer.name}", good=result.ok, detail=result.message)
        if peer.commitment and not parts.may_report(settings, peer):
            yield Finding(
                subject=f"commitment of {peer.name}",
                good=False,
                detail=f"{peer.ae_title} may not call the node, so it cannot report storage "
                "commitment; add it to node.callers",
            )
    for web_peer in settings.web_peers:
        yield _web_peer(web_peer)
    for worklist in settings.worklists:
        yield _worklist(worklist)
    for subject, good, words in prior_findings(settings):
        yield Finding(subject=subject, good=good, detail=words)
    if not parts.destination_names(settings):
        yield Finding(
            subject="destinations",
            good=True,
            detail="none: results stay in the outbox and on the status page "
            "(set receives_results for a peer)",
        )
