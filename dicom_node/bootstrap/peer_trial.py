"""A peer of the settings tried step by step, DICOM or DICOMweb; for commands and pages."""

import os
import time

from dicom_node.association.peer_trial import Told, TrialStep, told_nobody, try_peer
from dicom_node.bootstrap.deliverers import web_carrier
from dicom_node.bootstrap.parts import may_report, peer_of, unsent_classes
from dicom_node.errors import PeerError, UnknownEntryError
from dicom_node.settings.schema import PeerSettings, Settings, WebPeerSettings


def try_destination(
    settings: Settings, name: str, *, told: Told = told_nobody
) -> tuple[TrialStep, ...]:
    """Return what came of a trial of a peer, with what the other side must change.

    Each step is told as soon as it is done, too.

    Raises
    ------
    UnknownEntryError
        If the settings name no such peer.
    """
    for peer in settings.peers:
        if peer.name == name:
            return try_dicom(settings, peer, told=told)
    for web_peer in settings.web_peers:
        if web_peer.name == name:
            step = try_web(web_peer)
            told(step)
            return (step,)
    raise UnknownEntryError(f"the settings name no peer {name!r}")


def try_dicom(
    settings: Settings, peer: PeerSettings, *, told: Told = told_nobody
) -> tuple[TrialStep, ...]:
    """Return what came of a trial of a DICOM peer, also of one that is not in the file yet."""
    steps = try_peer(
        peer_of(settings, peer),
        results=peer.receives_results,
        unsent=unsent_classes(settings),
        told=told,
    )
    if peer.commitment and not may_report(settings, peer):
        last = TrialStep(
            name="storage commitment",
            ok=False,
            found=f"{peer.ae_title} may not call the node, so it cannot report",
            advice=f"let it in here: ichnode callers add {peer.ae_title}",
        )
        told(last)
        steps += (last,)
    return steps


def try_web(peer: WebPeerSettings) -> TrialStep:
    """Return whether a DICOMweb server answers."""
    started = time.monotonic()
    try:
        web_carrier(peer, os.environ).probe()
    except PeerError as error:
        return TrialStep(
            name="DICOMweb",
            ok=False,
            found=str(error),
            advice="look at url, user, secret_file and trusted of this entry",
            seconds=time.monotonic() - started,
        )
    return TrialStep(
        name="DICOMweb",
        ok=True,
        found=f"{peer.url} answers",
        seconds=time.monotonic() - started,
    )
