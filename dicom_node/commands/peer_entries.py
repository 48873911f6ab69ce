"""``ichnode peers`` and ``ichnode callers``: whom the node calls, and who may call it."""

import json
import re
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from dicom_node.commands.configuration_desk import make
from dicom_node.commands.screen import say, show_table
from dicom_node.commands.site import settings_of
from dicom_node.configuration.edits import AddEntry, ChangeEntry, RemoveEntry
from dicom_node.operator_error import ExitCode, OperatorError
from dicom_node.settings.schema import CallerSettings, PeerSettings, Settings, WebPeerSettings

_ADDRESS = re.compile(r"(?P<title>[^@]{1,16})@(?P<host>.+):(?P<port>\d{1,5})")

_PEERS, _WEB_PEERS, _CALLERS = "peers", "web_peers", "node.callers"


def run_list(*, as_json: bool, config: Path | None) -> int:
    """Print every peer."""
    _, settings = settings_of(config)
    peers = _peers(settings)
    if as_json:
        _print([{"kind": _kind(peer), **peer.model_dump(mode="json")} for peer in peers])
        return ExitCode.OK
    if not peers:
        say("no peers; ichnode peers add NAME AE@HOST:PORT")
        return ExitCode.OK
    show_table(("name", "kind", "address", "results", "more"), [_peer_row(peer) for peer in peers])
    return ExitCode.OK


def run_show(name: str, *, as_json: bool, config: Path | None) -> int:
    """Print every key of a peer."""
    _, settings = settings_of(config)
    peer = _peer_entry(settings, name)
    facts = peer.model_dump(mode="json")
    if as_json:
        _print({"kind": _kind(peer), **facts})
        return ExitCode.OK
    rows = [
        (key, json.dumps(value, ensure_ascii=False), "set" if key in peer.model_fields_set else "")
        for key, value in facts.items()
    ]
    show_table(("key", "value", ""), rows, title=f"{_kind(peer)} peer {name}")
    return ExitCode.OK


def run_add(
    name: str, address: str, *, values: Mapping[str, object], why: str, config: Path | None
) -> int:
    """Add a peer: ``AE@HOST:PORT``, or the address of a DICOMweb server."""
    if address.startswith(("https://", "http://")):
        entry: dict[str, Any] = {"name": name, "url": address, **values}
        return make(config, [AddEntry(array=_WEB_PEERS, values=entry)], why=why)
    entry = {"name": name, **dicom_address(address), **values}
    return make(config, [AddEntry(array=_PEERS, values=entry)], why=why)


def run_change(
    name: str, address: str | None, *, values: Mapping[str, object], why: str, config: Path | None
) -> int:
    """Change keys of a peer."""
    _, settings = settings_of(config)
    is_web = isinstance(_peer_entry(settings, name), WebPeerSettings)
    changed: dict[str, Any] = dict(values)
    if address is not None:
        changed |= {"url": address} if is_web else dicom_address(address)
    _need(changed)
    edit = ChangeEntry(
        array=_WEB_PEERS if is_web else _PEERS, match={"name": name}, values=changed
    )
    return make(config, [edit], why=why)


def run_remove(name: str, *, why: str, config: Path | None) -> int:
    """Remove a peer."""
    _, settings = settings_of(config)
    is_web = isinstance(_peer_entry(settings, name), WebPeerSettings)
    edit = RemoveEntry(array=_WEB_PEERS if is_web else _PEERS, match={"name": name})
    return make(config, [edit], why=why)


def run_callers(*, as_json: bool, config: Path | None) -> int:
    """Print who may call."""
    _, settings = settings_of(config)
    entries = [
        CallerSettings(ae_title=one) if isinstance(one, str) else one
        for one in settings.node.callers
    ]
    if as_json:
        _print([one.model_dump(mode="json") for one in entries])
        return ExitCode.OK
    rows = [
        (
            one.ae_title,
            one.address or "anywhere",
            ", ".join(one.may),
            "" if one.max_associations is None else str(one.max_associations),
            _rest(one, {"ae_title", "address", "may", "max_associations"}),
        )
        for one in entries
    ]
    show_table(("AE title", "from", "may", "associations", "more"), rows)
    return ExitCode.OK


def run_add_caller(
    title: str, *, values: Mapping[str, object], why: str, config: Path | None
) -> int:
    """Let somebody in."""
    entry: dict[str, Any] = {"ae_title": title, **values}
    return make(config, [AddEntry(array=_CALLERS, values=entry)], why=why)


def run_change_caller(
    title: str,
    *,
    address: str | None,
    values: Mapping[str, object],
    why: str,
    config: Path | None,
) -> int:
    """Change what a caller may do; `address` tells entries with the same title apart."""
    changed: dict[str, Any] = dict(values)
    _need(changed)
    edit = ChangeEntry(array=_CALLERS, match=_caller_match(title, address), values=changed)
    return make(config, [edit], why=why)


def run_remove_caller(title: str, *, address: str | None, why: str, config: Path | None) -> int:
    """Let somebody in no more."""
    edit = RemoveEntry(array=_CALLERS, match=_caller_match(title, address))
    return make(config, [edit], why=why)


def given(pairs: Sequence[str], **options: object) -> dict[str, object]:
    """Return options that were given, and ``KEY=VALUE`` pairs as TOML reads their values.

    A value that is left out, ``KEY=``, gives the key its default back.

    Raises
    ------
    OperatorError
        If a pair has no ``=``.
    """
    found = {key: value for key, value in options.items() if value is not None}
    for pair in pairs:
        key, sign, text = pair.partition("=")
        if not sign or not key:
            raise OperatorError(f"{pair!r} is not KEY=VALUE", exit_code=ExitCode.USAGE)
        found[key.strip()] = _parsed(text.strip())
    return found


def _parsed(text: str) -> object:
    if not text:
        return None
    try:
        value: object = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
    return value


def dicom_address(address: str) -> dict[str, Any]:
    """Return title, host and port of ``AE@HOST:PORT``. Raises OperatorError if it is none."""
    found = _ADDRESS.fullmatch(address)
    if found is None:
        raise OperatorError(
            f"{address!r} is neither AE@HOST:PORT nor https://...", exit_code=ExitCode.USAGE
        )
    return {"ae_title": found["title"], "host": found["host"], "port": int(found["port"])}


def _caller_match(title: str, address: str | None) -> dict[str, Any]:
    return {"ae_title": title} if address is None else {"ae_title": title, "address": address}


def _need(changed: Mapping[str, object]) -> None:
    if not changed:
        raise OperatorError("say what to change", exit_code=ExitCode.USAGE)


def _peer_entry(settings: Settings, name: str) -> PeerSettings | WebPeerSettings:
    entries = {peer.name: peer for peer in _peers(settings)}
    if name not in entries:
        known = ", ".join(entries) or "none"
        raise OperatorError(
            f"no peer is called {name!r}; there are: {known}", exit_code=ExitCode.USAGE
        )
    return entries[name]


def _peers(settings: Settings) -> list[PeerSettings | WebPeerSettings]:
    return [*settings.peers, *settings.web_peers]


def _kind(peer: PeerSettings | WebPeerSettings) -> str:
    return "DICOM" if isinstance(peer, PeerSettings) else "DICOMweb"


def _peer_row(peer: PeerSettings | WebPeerSettings) -> tuple[str, ...]:
    if isinstance(peer, PeerSettings):
        address = f"{peer.ae_title}@{peer.host}:{peer.port}{' TLS' if peer.tls else ''}"
    else:
        address = peer.url
    usual = {"name", "ae_title", "host", "port", "url", "tls", "receives_results", "receives"}
    results = peer.receives if peer.receives_results else "none"
    return peer.name, _kind(peer), address, results, _rest(peer, usual)


def _rest(entry: BaseModel, told: set[str]) -> str:
    """Return what else the file says of an entry."""
    facts = entry.model_dump(mode="json", exclude_defaults=True)
    return ", ".join(f"{key}={value}" for key, value in facts.items() if key not in told)


def _print(document: object) -> None:
    sys.stdout.write(json.dumps(document, indent=2) + "\n")
