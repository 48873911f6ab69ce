"""Which destinations a result goes to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Receives(StrEnum):
    """What a destination is sent. The values are those of the settings."""

    ALL = "all"  #: every result
    FINDINGS = "findings"  #: a hematoma; of comparisons whatever is not certainly unchanged
    SENDER = "sender"  #: results of the series that it sent itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A destination and what it is sent.

    Attributes
    ----------
    name : str
        Of the destination.
    receives : Receives
        What it is sent.
    ae_title : str
        As which it sends images; only for `Receives.SENDER`.
    """

    name: str
    receives: Receives = Receives.ALL
    ae_title: str = ""


def destinations_for(
    routes: Sequence[Route], *, record: Mapping[str, Any], calling_ae_title: str
) -> tuple[str, ...]:
    """Return the names of the destinations that a result goes to.

    Parameters
    ----------
    routes
        All destinations.
    record
        What was found, as it is kept in the ledger.
    calling_ae_title
        Who sent the first image of the series.
    """
    return tuple(route.name for route in routes if _fits(route, record, calling_ae_title))


def _fits(route: Route, record: Mapping[str, Any], calling_ae_title: str) -> bool:
    if route.receives is Receives.FINDINGS:
        return _is_finding(record)
    if route.receives is Receives.SENDER:
        return route.ae_title == calling_ae_title
    return True


def _is_finding(record: Mapping[str, Any]) -> bool:
    if record.get("kind") == "comparison":
        return record.get("expanded") is not False
    return record.get("status") == "hematoma_found"
