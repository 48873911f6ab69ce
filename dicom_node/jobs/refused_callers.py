"""Whom the receiver turned away lately: a short list in the ledger, for people to look at."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from dicom_node.jobs.database import Database
from dicom_node.jobs.tables import MetaRow

#: Callers that are remembered; whoever came last stays.
MOST: Final = 100

_KEY: Final = "refused callers"


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedCaller:
    """Somebody who was turned away for one reason.

    Attributes
    ----------
    kind : str
        Why, a value of `dicom_node.association.refusals.RefusalKind`.
    address, ae_title : str
        Who; empty where that is not known.
    count : int
        How often since it was first remembered.
    first_at, last_at : datetime
        When it was first noted, and when it last happened.
    """

    kind: str
    address: str
    ae_title: str
    count: int
    first_at: datetime
    last_at: datetime


class RefusedCallers:
    """Remembers those who were turned away. Every method raises LedgerUnavailableError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def note(self, callers: Sequence[RefusedCaller]) -> None:
        """Remember callers; the same one for the same reason is one entry."""
        if not callers:
            return
        with self._database.write() as session:
            row = session.get(MetaRow, _KEY)
            known = {_mark(one): one for one in _entries(row.value if row else "[]")}
            for one in callers:
                known[_mark(one)] = _together(known.get(_mark(one)), one)
            last = sorted(known.values(), key=lambda one: one.last_at, reverse=True)[:MOST]
            session.merge(MetaRow(key=_KEY, value=json.dumps([_facts(one) for one in last])))

    def read(self) -> tuple[RefusedCaller, ...]:
        """Return them, the last one first."""
        with self._database.read() as session:
            row = session.get(MetaRow, _KEY)
            return _entries(row.value if row else "[]")


def _mark(one: RefusedCaller) -> tuple[str, str, str]:
    return (one.kind, one.address, one.ae_title)


def _together(known: RefusedCaller | None, new: RefusedCaller) -> RefusedCaller:
    if known is None:
        return new
    return RefusedCaller(
        kind=new.kind,
        address=new.address,
        ae_title=new.ae_title,
        count=known.count + new.count,
        first_at=known.first_at,
        last_at=max(known.last_at, new.last_at),
    )


def _facts(one: RefusedCaller) -> dict[str, Any]:
    return {
        "kind": one.kind,
        "address": one.address,
        "ae_title": one.ae_title,
        "count": one.count,
        "first_at": one.first_at.isoformat(),
        "last_at": one.last_at.isoformat(),
    }


def _entries(text: str) -> tuple[RefusedCaller, ...]:
    return tuple(_entry(one) for one in json.loads(text))


def _entry(facts: Mapping[str, Any]) -> RefusedCaller:
    times = {key: datetime.fromisoformat(facts[key]) for key in ("first_at", "last_at")}
    return RefusedCaller(
        kind=facts["kind"],
        address=facts["address"],
        ae_title=facts["ae_title"],
        count=facts["count"],
        **times,
    )
