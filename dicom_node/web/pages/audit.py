"""Audit: what people did lately, as ledger and history of the settings have it; no patient."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from fastapi import Query, Request, Response
from fastapi.encoders import jsonable_encoder

from dicom_node.errors import NodeError
from dicom_node.settings.file import SettingsError
from dicom_node.users.role import UserRole
from dicom_node.web.house import House
from dicom_node.web.words import mark

_MOST: Final = 200

#: What can be looked for.
_KINDS: Final = (mark("log-in"), mark("configuration"), mark("intervention"))

_Kind = Literal["", "log-in", "configuration", "intervention"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """Something that somebody did: when, what kind, who if that is known, and what came of it."""

    at: datetime
    kind: str
    who: str
    what: str
    link: str = ""


def add(house: House) -> None:
    """Add the page of the audit."""

    @house.door.page("/audit", UserRole.ADMIN)
    def page(request: Request, kind: str = "", who: str = "") -> Response:
        return house.pages.render(
            request,
            "audit.html",
            entries=_entries(house, kind, who),
            kinds=_KINDS,
            asked={"kind": kind[:32], "who": who[:64]},
        )

    @house.door.answer("/audit", UserRole.ADMIN)
    def answer(kind: _Kind = "", who: Annotated[str, Query(max_length=64)] = "") -> Any:  # noqa: ANN401 - JSON
        """Return what people did lately, the newest first; at most 200 of each kind."""
        return jsonable_encoder([asdict(one) for one in _entries(house, kind, who)])


def _entries(house: House, kind: str, who: str) -> list[AuditEntry]:
    """Return what fits, the newest first."""
    found: list[AuditEntry] = []
    if kind in {"", "log-in"}:
        found += _log_ins(house)
    if kind in {"", "configuration"}:
        found += _changes(house)
    if kind in {"", "intervention"}:
        found += _interventions(house)
    fitting = [one for one in found if who.strip().lower() in one.who.lower()]
    return sorted(fitting, key=lambda one: one.at, reverse=True)[:_MOST]


def _log_ins(house: House) -> list[AuditEntry]:
    return [
        AuditEntry(
            at=one.at,
            kind="log-in",
            who=one.name,
            what=f"{one.outcome.value.replace('_', ' ')}, {one.address}",
        )
        for one in house.sources.deeds.sign_ins(limit=_MOST)
    ]


def _changes(house: House) -> list[AuditEntry]:
    try:
        changes = house.sources.desk.desk.history()
    except (NodeError, SettingsError):
        return []
    return [
        AuditEntry(
            at=one.at,
            kind="configuration",
            who=one.who,
            what=": ".join(part for part in (", ".join(one.tables), one.why) if part),
            link=f"/configuration/{one.change_id}",
        )
        for one in changes[-_MOST:]
    ]


def _interventions(house: House) -> list[AuditEntry]:
    return [
        AuditEntry(
            at=one.at,
            kind="intervention",
            who="",
            what=f"{one.kind.replace('_', ' ')}: {one.text}" if one.text else one.kind,
            link=f"/series/{one.series_uid}",
        )
        for one in house.sources.deeds.interventions(limit=_MOST)
    ]
