"""``ichnode echo`` and ``ichnode send``: the node as a caller."""

import json
import re
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from dicom_node.bootstrap.parts import peer_of
from dicom_node.commands.screen import say, show_table
from dicom_node.commands.site import peer_named, settings_of
from dicom_node.dicom_folder import dicom_files
from dicom_node.errors import PeerError
from dicom_node.operator_error import ExitCode, OperatorError

if TYPE_CHECKING:
    from dicom_node.association.peer_trial import TrialStep
    from dicom_node.association.peers import Peer
    from dicom_node.settings.schema import Settings

#: A peer that is in no settings file, as ``AE@HOST:PORT``.
_ADDRESS = re.compile(r"(?P<title>[^@]{1,16})@(?P<host>.+):(?P<port>\d{1,5})")


def run_contexts(name: str, *, config: Path | None) -> int:
    """Say which of the objects that the node makes a peer takes, and why not the others."""
    from dicom_node.association.compression import fits
    from dicom_node.association.presentation import PROPOSED
    from dicom_node.association.verification import ask_contexts
    from dicom_node.bootstrap.parts import unsent_classes

    _, settings = settings_of(config)
    peer = _peer(settings, name)
    made = [str(one.sop_class_uid) for one in PROPOSED]
    classes = [one for one in made if one not in unsent_classes(settings)]
    try:
        ways = [(one, way) for one in classes for way in peer.encodings if fits(one, way)]
        answers = ask_contexts(peer, ways)
    except PeerError as error:
        raise OperatorError(str(error)) from error
    taken = {answer.sop_class_uid for answer in answers if answer.accepted}
    for answer in answers:
        style = "" if answer.accepted else "yellow" if answer.sop_class_uid in taken else "red"
        say(str(answer), style=style)
    return ExitCode.OK if taken >= set(classes) else ExitCode.FAILED


def run_echo(name: str, *, config: Path | None) -> int:
    """Test the connection to a peer and say what came of it."""
    from dicom_node.association.verification import echo

    _, settings = settings_of(config)
    result = echo(_peer(settings, name))
    say(
        f"{result.peer_name}: {result.message} ({result.seconds:.2f} s)",
        style="green" if result.ok else "red",
    )
    return ExitCode.OK if result.ok else ExitCode.FAILED


def run_send(folder: Path, name: str, *, config: Path | None) -> int:
    """Send every DICOM file of a folder and say what the peer answered."""
    from dicom_node.association.storage_scu import outgoing_file, send_files

    _, settings = settings_of(config)
    peer = _peer(settings, name)
    try:
        files = [outgoing_file(path) for path in dicom_files(folder)]
    except ValueError as error:
        raise OperatorError(f"{folder}: {error}") from error
    try:
        outcomes = send_files(peer, files)
    except PeerError as error:
        raise OperatorError(f"{peer.name}: {error}") from error
    refused = [outcome for outcome in outcomes if not outcome.accepted]
    for outcome in refused:
        say(f"{outcome.file.path}: {outcome.message}", style="red")
    say(f"{len(outcomes) - len(refused)} of {len(files)} objects accepted by {peer.name}")
    return ExitCode.FAILED if refused or len(outcomes) < len(files) else ExitCode.OK


def _peer(settings: "Settings", name: str) -> "Peer":
    """Return the peer of that name, or the one whose address was given."""
    from dicom_node.association.peers import Peer

    address = _ADDRESS.fullmatch(name)
    if address is None:
        return peer_of(settings, peer_named(settings, name))
    try:
        return Peer(
            name=name,
            ae_title=address["title"],
            host=address["host"],
            port=int(address["port"]),
            calling_ae_title=settings.node.ae_title,
        )
    except ValueError as error:
        raise OperatorError(f"{name!r}: {error}", exit_code=ExitCode.USAGE) from error


def run_test(name: str, *, as_json: bool, config: Path | None) -> int:
    """Try a peer step by step and say what the other side must change."""
    _, settings = settings_of(config)
    steps = try_entry(settings, name)
    if as_json:
        sys.stdout.write(json.dumps([asdict(step) for step in steps], indent=2) + "\n")
    else:
        show_table(
            ("step", "result", "found", "what to do"),
            [(one.name, "ok" if one.ok else "FAULT", one.found, one.advice) for one in steps],
            styles=["" if one.ok else "red" for one in steps],
        )
    return ExitCode.OK if all(step.ok for step in steps) else ExitCode.FAILED


def run_card(*, as_json: bool, config: Path | None) -> int:
    """Print what to enter at the other side."""
    from dicom_node.bootstrap.own_card import own_card

    _, settings = settings_of(config)
    card = own_card(settings)
    if as_json:
        sys.stdout.write(json.dumps(card.as_dict(), indent=2) + "\n")
    else:
        sys.stdout.write(card.text + "\n")
    return ExitCode.OK


def try_entry(settings: "Settings", name: str) -> tuple["TrialStep", ...]:
    """Return what came of a trial of a peer, DICOM or DICOMweb, by its name or address."""
    from dicom_node.bootstrap.peer_trial import try_destination

    if _ADDRESS.fullmatch(name) is None:
        if name not in {one.name for one in settings.web_peers}:
            peer_named(settings, name)
        return try_destination(settings, name)
    from dicom_node.association.peer_trial import try_peer
    from dicom_node.bootstrap.parts import unsent_classes

    return try_peer(_peer(settings, name), unsent=unsent_classes(settings))
