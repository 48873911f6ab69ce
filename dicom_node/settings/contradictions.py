"""Faults of ``node.toml`` that no key can know alone: contradictions between its keys."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from dicom_node.settings.schema import (
    AssemblySettings,
    DeliverySettings,
    FollowUpSettings,
    Settings,
    WatchSettings,
    WorkerSettings,
)
from dicom_node.settings.values import SQLITE
from dicom_node.settings.worklists import FROM_THE_SAME_SERVER
from dicom_node.web_address import hides_a_secret


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsFault:
    """One thing that is wrong in a settings file.

    Attributes
    ----------
    key : str
        Where: ``node.port``, or ``peers[2].port`` for the second peer.
    found : str
        What stands there, as it would be written in TOML or JSON.
    expected : str
        What may stand there.
    """

    key: str
    found: str
    expected: str

    def __str__(self) -> str:
        return f"{self.key}: found {self.found}; expected {self.expected}"


def faults_between_keys(document: Mapping[str, Any]) -> Iterator[SettingsFault]:
    """Return what no key can know alone; looks only at values that are of the right kind."""
    yield from _repeated(document, table="peers", key="name")
    yield from _web_peers(document)
    yield from _worklists(document)
    yield from _out_of_order(
        document, "assembly", "quiet_time_s", "force_time_s", AssemblySettings()
    )
    yield from _out_of_order(
        document, "worker", "first_retry_s", "longest_wait_s", WorkerSettings()
    )
    for low, high in (("minimum_interval_h", "window_h"), ("first_retry_s", "longest_wait_s")):
        yield from _out_of_order(document, "follow_up", low, high, FollowUpSettings())
    for first in ("first_retry_s", "refusal_first_retry_s"):
        yield from _out_of_order(document, "delivery", first, "longest_wait_s", DeliverySettings())
    yield from _out_of_order(
        document, "watch", "earliest_follow_up_h", "latest_follow_up_h", WatchSettings()
    )
    yield from _out_of_order(document, "watch", "minimum", "window", WatchSettings())
    yield from _thickness_reversed(document)
    yield from _ports_shared(document)
    yield from _tls_incomplete(document)
    yield from _certificates_never_shown(document)
    yield from _profile_broken(document)
    yield from _secret_overheard(document)
    yield from _alerts_incomplete(document)
    yield from _web_incomplete(document)
    yield from _oidc_incomplete(document)
    yield from _emergency_too_late(document)
    yield from _secret_for_nobody(document)
    data_dir = _table(document, "node").get("data_dir")
    if isinstance(data_dir, str) and not data_dir.startswith(("/", "~")):
        yield SettingsFault(
            key="node.data_dir",
            found=json.dumps(data_dir),
            expected="a path that begins with / or ~",
        )


def _secret_for_nobody(document: Mapping[str, Any]) -> Iterator[SettingsFault]:
    """Return whether there is a password for a ledger that is a file."""
    node = _table(document, "node")
    secret = node.get("ledger_secret_file")
    if secret and node.get("ledger", SQLITE) == SQLITE:
        yield SettingsFault(
            key="node.ledger_secret_file",
            found=json.dumps(secret),
            expected='"", or a postgresql:// address in node.ledger',
        )


def _ports_shared(document: Mapping[str, Any]) -> Iterator[SettingsFault]:
    """Return every port that two listeners want, and whether there is no listener at all."""
    node, tls = _table(document, "node"), _table(document, "tls")
    web, defaults = _table(document, "web"), Settings()
    used: dict[object, str] = {}
    listeners = [
        ("node.port", node.get("plain", True), node.get("port", defaults.node.port)),
        ("tls.port", tls.get("enabled", False), tls.get("port", defaults.tls.port)),
        ("web.port", web.get("enabled", True), web.get("port", defaults.web.port)),
    ]
    for key, is_on, port in listeners:
        if is_on is not True or not isinstance(port, int):
            continue
        if port in used:
            yield SettingsFault(
                key=key, found=str(port), expected=f"another port than {used[port]}"
            )
        used.setdefault(port, key)
    if node.get("plain", True) is False and tls.get("enabled", False) is False:
        yield SettingsFault(
            key="node.plain", found="false", expected="true, or tls.enabled = true beside it"
        )


def _tls_incomplete(document: Mapping[str, Any]) -> Iterator[SettingsFault]:
    """Return the files that TLS needs and the settings do not name."""
    tls, audit = _table(document, "tls"), _table(document, "audit")
    users = ["tls.enabled is true"] if tls.get("enabled") is True else []
    users += [
        f"peers[{number}].tls is true"
        for number, peer in _rows(document.get("peers"))
        if peer.get("tls") is True
    ]
    if audit.get("enabled") is True and audit.get("transport") == "tls":
        users.append('audit.transport is "tls"')
    for key in ("certificate", "key", "trusted"):
        if users and not tls.get(key):
            yield SettingsFault(
                key=f"tls.{key}",
                found=json.dumps(tls.get(key, "")),
                expected=f"the path of a PEM file, for {users[0]}",
            )


def _certificates_never_shown(document: Mapping[str, Any]) -> Iterator[SettingsFault]:
    """Return callers that are held to a certificate where nobody is asked for one."""
    tls, node = _table(document, "tls"), _table(document, "node")
    if tls.get("enabled") is True and tls.get("callers_need_certificate", True) is True:
        return
    for number, one in _rows(node.get("callers")):
        if one.get("certificate"):
            yield SettingsFault(
                key=f"node.callers[{number}].certificate",
                found=json.dumps(one["certificate"], default=str),
                expected="none, or tls.enabled and tls.callers_need_certificate = true beside it",
            )


def _profile_broken(document: Mapping[str, Any]) -> Iterator[SettingsFault]:
    """Return whether TLS 1.2 is refused though the profile demands it of a server."""
    tls = _table(document, "tls")
    if tls.get("profile") == "modified" and tls.get("only_1_3") is True:
        yield SettingsFault(
            key="tls.only_1_3", found="true", expected='false, for tls.profile is "modified"'
        )


def _web_incomplete(document: Mapping[str, Any]) -> Iterator[SettingsFault]:
    """Return which half of certificate and key the pages lack."""
    web = _table(document, "web")
    for key, other in (("certificate", "key"), ("key", "certificate")):
        if web.get(other) and not web.get(key):
            yield SettingsFault(
                key=f"web.{key}",
                found=json.dumps(web.get(key, "")),
                expected=f"the path of a PEM file, for web.{other} names one",
            )


def _oidc_incomplete(document: Mapping[str, Any]) -> Iterator[SettingsFault]:
    """Return what log-in by OpenID Connect lacks."""
    web = _table(document, "web")
    if not web.get("oidc_issuer"):
        return
    url, roles = web.get("public_url") or "", web.get("oidc_roles")
    if not isinstance(url, str) or not hides_a_secret(url):
        yield SettingsFault(
            key="web.public_url",
            found=json.dumps(url, default=str),
            expected="how browsers reach the pages, by https://; the provider sends them there",
        )
    if not web.get("oidc_client_id"):
        yield SettingsFault(
            key="web.oidc_client_id",
            found='""',
            expected="the name of the node at the provider, for web.oidc_issuer names one",
        )
    if not isinstance(roles, dict) or not any(roles.values()):
        yield SettingsFault(
            key="web.oidc_roles",
            found="none",
            expected='for example { admin = "ichnode-admins" }: without a role nobody gets in',
        )


def _secret_overheard(document: Mapping[str, Any]) -> Iterator[SettingsFault]:
    """Return whether the collector of traces gets a secret without TLS."""
    tracing = _table(document, "tracing")
    yield from _overheard("tracing.otlp_url", tracing.get("otlp_url"), tracing.get("secret_file"))


def _alerts_incomplete(document: Mapping[str, Any]) -> Iterator[SettingsFault]:
    """Return what mail needs and the settings do not name, and hours that are no span."""
    alerts = _table(document, "alerts")
    for key, example in (("mail_from", "ichnode@hospital.example"), ("smtp_host", "10.0.0.25")):
        if alerts.get("mail_to") and not alerts.get(key):
            yield SettingsFault(
                key=f"alerts.{key}",
                found=json.dumps(alerts.get(key, "")),
                expected=f"a value such as {example}, for alerts.mail_to names somebody",
            )
    for number, one in _rows(alerts.get("silence")):
        if one.get("from_hour", 0) == one.get("to_hour", 24):
            yield SettingsFault(
                key=f"alerts.silence[{number}].to_hour",
                found=str(one.get("to_hour", 24)),
                expected="another hour than from_hour",
            )


def _emergency_too_late(document: Mapping[str, Any]) -> Iterator[SettingsFault]:
    """Return an emergency that begins only when images are refused already."""
    retention, node, defaults = _table(document, "retention"), _table(document, "node"), Settings()
    at_mb = retention.get("emergency_free_mb", defaults.retention.emergency_free_mb)
    floor_mb = node.get("free_space_floor_mb", defaults.node.free_space_floor_mb)
    if retention.get("enabled") is not True or not isinstance(at_mb, int) or not at_mb:
        return
    if isinstance(floor_mb, int) and at_mb <= floor_mb:
        yield SettingsFault(
            key="retention.emergency_free_mb",
            found=str(at_mb),
            expected=f"0, or more than node.free_space_floor_mb ({floor_mb})",
        )


def _repeated(document: Mapping[str, Any], *, table: str, key: str) -> Iterator[SettingsFault]:
    seen: set[str] = set()
    for number, row in _rows(document.get(table)):
        value = row.get(key)
        if isinstance(value, str) and value in seen:
            yield SettingsFault(
                key=f"{table}[{number}].{key}",
                found=f"{json.dumps(value)} again",
                expected=f"a {key} that no other entry of {table} has",
            )
        if isinstance(value, str):
            seen.add(value)


def _web_peers(document: Mapping[str, Any]) -> Iterator[SettingsFault]:
    """Return names that are taken already, and secrets that could be overheard."""
    seen = {name for name, _ in _named(document.get("peers"))}
    for number, row in _rows(document.get("web_peers")):
        name = row.get("name")
        if isinstance(name, str) and name in seen:
            yield SettingsFault(
                key=f"web_peers[{number}].name",
                found=f"{json.dumps(name)} again",
                expected="a name that no other peer has",
            )
        if isinstance(name, str):
            seen.add(name)
        yield from _overheard(f"web_peers[{number}].url", row.get("url"), _secret_of(row))


def _worklists(document: Mapping[str, Any]) -> Iterator[SettingsFault]:
    """Return worklists that would claim everything, fetch from nobody or have nobody to tell."""
    rows = tuple(_rows(document.get("worklists")))
    yield from _repeated(document, table="worklists", key="name")
    givers = {name for name, peer in _named(document.get("peers")) if peer.get("gives_priors")}
    for number, row in rows:
        key, source = f"worklists[{number}]", row.get("images_from", "")
        if not row.get("codes") and not row.get("labels"):
            yield SettingsFault(
                key=f"{key}.codes", found="[]", expected="a code, or a pattern in labels"
            )
        if isinstance(source, str) and source not in {"", FROM_THE_SAME_SERVER, *givers}:
            yield SettingsFault(
                key=f"{key}.images_from",
                found=json.dumps(source),
                expected='"", "web" or the name of a peer with gives_priors',
            )
        yield from _overheard(f"{key}.url", row.get("url"), _secret_of(row))
    if rows and not _somebody_gets_everything(document):
        yield SettingsFault(
            key="worklists",
            found="no peer that gets every result",
            expected='a peer with receives_results = true and receives = "all": '
            "a completed workitem names where its results are",
        )


def _secret_of(row: Mapping[str, Any]) -> object:
    return row.get("secret_file") or row.get("secret_variable")


def _overheard(key: str, url: object, secret: object) -> Iterator[SettingsFault]:
    """Return whether a secret would travel to this address without TLS."""
    if secret and isinstance(url, str) and not hides_a_secret(url):
        yield SettingsFault(
            key=key, found=json.dumps(url), expected="https://, for a secret is sent there"
        )


def _somebody_gets_everything(document: Mapping[str, Any]) -> bool:
    return any(
        peer.get("receives_results") is True and peer.get("receives", "all") == "all"
        for table in ("peers", "web_peers")
        for _, peer in _rows(document.get(table))
    )


def _out_of_order(
    document: Mapping[str, Any], table: str, low: str, high: str, defaults: BaseModel
) -> Iterator[SettingsFault]:
    values = _table(document, table)
    below = values.get(low, getattr(defaults, low))
    above = values.get(high, getattr(defaults, high))
    numbers = isinstance(below, int | float) and isinstance(above, int | float)
    if numbers and above < below:
        yield SettingsFault(
            key=f"{table}.{high}", found=str(above), expected=f"{low} ({below}) or more"
        )


def _thickness_reversed(document: Mapping[str, Any]) -> Iterator[SettingsFault]:
    values = _table(document, "selection").get("preferred_thickness_mm")
    if not isinstance(values, list) or len(values) != 2:  # noqa: PLR2004  low and high
        return
    if not all(isinstance(value, int | float) for value in values):
        return
    low, high = values
    if low > high:
        yield SettingsFault(
            key="selection.preferred_thickness_mm",
            found=str(values),
            expected="the thinner value first",
        )


def _table(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    table = document.get(name)
    return table if isinstance(table, dict) else {}


def _rows(rows: object) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield what is a table of a list of tables, each with its number as people count."""
    for number, row in enumerate(rows if isinstance(rows, list) else [], start=1):
        if isinstance(row, dict):
            yield number, row


def _named(rows: object) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield those of them that have a name, with it."""
    for _, row in _rows(rows):
        name = row.get("name")
        if isinstance(name, str):
            yield name, row
