"""The scores of a model's card as lines that people read, by the data that they were taken on."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

#: Names under which cards give an estimate, and the ends of its interval.
_CENTRES: Final = ("mean", "value")
_ENDS: Final = (("low_95", "high_95"), ("low", "high"))

#: Words of data for which nobody's head was scanned.
_SIMULATED: Final = re.compile(r"simulat|phantom|synthetic", re.IGNORECASE)
_SIMULATED_ONLY: Final = re.compile(r"\s*simulated (data )?only\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreLine:
    """A number of a card.

    Attributes
    ----------
    what, found : str
        What it is, and the number in words.
    has_interval : bool
        Whether it is an estimate with an interval.
    """

    what: str
    found: str
    has_interval: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortScores:
    """What a card says of a model on some data.

    Attributes
    ----------
    name : str
        Of the data.
    simulated : bool
        Whether the card calls them, or a part of them, simulated.
    lines : tuple of ScoreLine
        Every number.
    """

    name: str
    simulated: bool
    lines: tuple[ScoreLine, ...]

    @property
    def headline(self) -> ScoreLine | None:
        """The first estimate with an interval; None if there is none."""
        return next((one for one in self.lines if one.has_interval), None)


def tells_of_simulation(words: str) -> bool:
    """Return whether a text names simulated data."""
    return _SIMULATED.search(words) is not None


def scores_of(metrics: Mapping[str, Any], *, training_cohort: str) -> tuple[CohortScores, ...]:
    """Return the metrics of a card, in its order.

    Where a model has learned from simulated data only, it was held to such, too, unless the name
    of the data says ``real``.
    """
    only = _SIMULATED_ONLY.match(training_cohort) is not None
    return tuple(
        CohortScores(
            name=_plain(name),
            simulated=(only and "real" not in name)
            or tells_of_simulation(f"{name} {json.dumps(value)}"),
            lines=tuple(_lines((), value)),
        )
        for name, value in metrics.items()
    )


def _lines(path: tuple[str, ...], value: object) -> Iterator[ScoreLine]:
    """Yield the numbers below a place of the card, an estimate and its interval as one."""
    if isinstance(value, Mapping):
        rest = dict(value)
        if (estimate := _estimate(rest)) is not None:
            yield ScoreLine(what=_what(path), found=estimate, has_interval=True)
        for key, inner in rest.items():
            yield from _lines((*path, str(key)), inner)
    elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
        for number, item in enumerate(value, start=1):
            yield from _lines((*path, str(number)), item)
    else:
        found = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        yield ScoreLine(what=_what(path), found=found)


def _estimate(facts: dict[str, Any]) -> str | None:
    """Take an estimate with its interval out of facts; None if there is none."""
    for centre in _CENTRES:
        for low, high in _ENDS:
            if {centre, low, high} <= facts.keys():
                found = [facts.pop(key) for key in (centre, low, high)]
                return f"{found[0]} (95 % CI {found[1]} to {found[2]})"
    return None


def _what(path: tuple[str, ...]) -> str:
    return ", ".join(_plain(part) for part in path)


def _plain(name: str) -> str:
    return name.replace("_", " ")
