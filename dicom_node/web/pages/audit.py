"""Audit: what people did lately, who was turned away, and what waits for the repository."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from fastapi import Query, Request, Response
from fastapi.encoders import jsonable_encoder

from dicom_node.association.refusals import REFUSAL_WORDS, RefusalKind
from dicom_node.errors import NodeError
from dicom_node.jobs.deeds import Span
from dicom_node.jobs.user_ledger import SignIn
from dicom_node.settings.file import SettingsError
from dicom_node.users.role import UserRole
from dicom_node.web.days import beginning_of, end_of
from dicom_node.web.house import House
from dicom_node.web.words import mark

_MOST: Final = 200

#: What can be looked for.
_KINDS: Final = (
    mark("log-in"),
    mark("configuration"),
    mark("intervention"),
    mark("refusal"),
)

#: What became of a log-in.
_OUTCOMES: Final = {SignIn.IN: "logged in", SignIn.OUT: "logged out", SignIn.FAILED: "failed"}

_Kind = Literal["", "log-in", "configuration", "intervention", "refusal"]
_Day = Annotated[str, Query(max_length=10)]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """Something that somebody did: when, what kind, who if that is known, and what came of it.

    `times` says how often it happened, `words` whether `what` is a sentence of the node's own
    tables, which has its words in other languages.
    """

    at: datetime
    kind: str
    who: str
    what: str
    link: str = ""
    times: int = 1
    words: bool = False


def add(house: House) -> None:
    """Add the page of the audit."""

    @house.door.page("/audit", UserRole.ADMIN)
    def page(
        request: Request, kind: str = "", who: str = "", since: str = "", until: str = ""
    ) -> Response:
        return house.pages.render(
            request,
            "audit.html",
            entries=_entries(house, kind, who, _span(house, since, until)),
            trail=house.sources.audit.state(),
            kinds=_KINDS,
            asked={"kind": kind[:32], "who": who[:64], "since": since[:10], "until": until[:10]},
        )

    @house.door.answer("/audit", UserRole.ADMIN)
    def answer(
        kind: _Kind = "",
        who: Annotated[str, Query(max_length=64)] = "",
        since: _Day = "",
        until: _Day = "",
    ) -> Any:  # noqa: ANN401 - JSON
        """Return what people did lately, the newest first; at most 200. Days are the site's."""
        found = _entries(house, kind, who, _span(house, since, until))
        return jsonable_encoder([asdict(one) for one in found])

    @house.door.answer("/audit/trail", UserRole.ADMIN)
    def trail() -> Any:  # noqa: ANN401 - JSON
        """Return how many audit messages wait for the repository, and why they do."""
        return jsonable_encoder(asdict(house.sources.audit.state()))


def _span(house: House, since: str, until: str) -> Span:
    zone = house.sources.site().zone
    return Span(since=beginning_of(since, zone), until=end_of(until, zone))


def _entries(house: House, kind: str, who: str, within: Span) -> list[AuditEntry]:
    """Return what fits, the newest first."""
    readers = {
        "log-in": _log_ins,
        "configuration": _changes,
        "intervention": _interventions,
        "refusal": _refusals,
    }
    found = [
        one
        for name, read in readers.items()
        if kind in {"", name}
        for one in read(house, within)
        if who.strip().lower() in one.who.lower()
    ]
    return sorted(found, key=lambda one: one.at, reverse=True)[:_MOST]


def _refusals(house: House, within: Span) -> list[AuditEntry]:
    return [
        AuditEntry(
            at=one.last_at,
            kind="refusal",
            who=" ".join(part for part in (one.ae_title, one.address) if part),
            what=_refusal_words(one.kind),
            times=one.count,
            words=True,
        )
        for one in house.sources.deeds.refused_callers()
        if within.holds(one.last_at)
    ]


def _refusal_words(kind: str) -> str:
    """Return why a caller was turned away; a kind that this version does not know as it is."""
    try:
        return REFUSAL_WORDS[RefusalKind(kind)]
    except ValueError:
        return kind


def _log_ins(house: House, within: Span) -> list[AuditEntry]:
    return [
        AuditEntry(
            at=one.at,
            kind="log-in",
            who=one.name,
            what=f"{_OUTCOMES[one.outcome]}, {one.address}",
        )
        for one in house.sources.deeds.sign_ins(within=within, limit=_MOST)
    ]


def _changes(house: House, within: Span) -> list[AuditEntry]:
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
        for one in [one for one in changes if within.holds(one.at)][-_MOST:]
    ]


def _interventions(house: House, within: Span) -> list[AuditEntry]:
    return [
        AuditEntry(
            at=one.at,
            kind="intervention",
            who="",
            what=f"{one.kind.replace('_', ' ')}: {one.text}" if one.text else one.kind,
            link=f"/series/{one.series_uid}",
        )
        for one in house.sources.deeds.interventions(within=within, limit=_MOST)
    ]
