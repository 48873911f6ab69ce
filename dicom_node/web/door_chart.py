"""The drawing of door-to-result times: one dot per analysis, on a logarithmic scale."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from dicom_node.jobs.study_search import DoorTime
from dicom_node.web.overview import percentiles

WIDTH, HEIGHT = 720, 240
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 26, 26

#: Where lines are drawn, in seconds, and what stands beside them.
_TICKS: Final = (
    (1, "1 s"),
    (10, "10 s"),
    (30, "30 s"),
    (60, "1 min"),
    (120, "2 min"),
    (300, "5 min"),
    (600, "10 min"),
    (1800, "30 min"),
    (3600, "1 h"),
    (6 * 3600, "6 h"),
    (24 * 3600, "1 d"),
    (7 * 24 * 3600, "7 d"),
)

#: Room that the words of a line need.
_WORDS_HEIGHT: Final = 16

#: More dots than this cannot be told apart.
_MOST_DOTS: Final = 1500


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A line across the drawing and its words."""

    at: float
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Dot:
    """One analysis."""

    x: float
    y: float
    urgent: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorChart:
    """Where everything of the drawing lies; `levels` are the lines of the percentiles."""

    rows: tuple[Tick, ...]
    columns: tuple[Tick, ...]
    dots: tuple[Dot, ...]
    levels: tuple[Tick, ...]


def door_chart(doors: Sequence[DoorTime], *, days: int, now: datetime) -> DoorChart | None:
    """Return the drawing of the last days; None if there is nothing to draw.

    `now` bears the zone in which days begin.
    """
    shown = doors[-_MOST_DOTS:]
    if not shown:
        return None
    low, high = _span([max(one.seconds, 1.0) for one in shown])
    began = now - timedelta(days=days)

    def y_of(seconds: float) -> float:
        share = (math.log(max(seconds, low)) - math.log(low)) / (math.log(high) - math.log(low))
        return round(HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP), 1)

    def x_of(at: datetime) -> float:
        share = (at - began) / (now - began)
        return round(LEFT + min(max(share, 0.0), 1.0) * (WIDTH - LEFT - RIGHT), 1)

    found = percentiles([one.seconds for one in doors])
    return DoorChart(
        rows=tuple(Tick(at=y_of(s), words=words) for s, words in _TICKS if low <= s <= high),
        columns=tuple(
            Tick(at=x_of(day), words=f"{day:%m-%d}") for day in _midnights(began, now, days)
        ),
        dots=tuple(Dot(x=x_of(one.at), y=y_of(one.seconds), urgent=one.urgent) for one in shown),
        levels=_levels(y_of(found.p50 or low), y_of(found.p95 or low)),
    )


def _levels(p50: float, p95: float) -> tuple[Tick, ...]:
    """Return a line for each percentile; one for both if their words would lie on each other."""
    if p50 - p95 < _WORDS_HEIGHT:
        return (Tick(at=p50, words="p50, p95"),)
    return (Tick(at=p50, words="p50"), Tick(at=p95, words="p95"))


def _span(seconds: Sequence[float]) -> tuple[float, float]:
    """Return the ticks below the shortest and above the longest time."""
    ticks = [float(tick) for tick, _ in _TICKS]
    low = max((tick for tick in ticks if tick <= min(seconds)), default=ticks[0])
    high = min((tick for tick in ticks if tick > max(seconds)), default=max(seconds) * 1.1)
    return low, high


def _midnights(began: datetime, now: datetime, days: int) -> list[datetime]:
    first = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return [
        day
        for number in range(days - 1, -1, -1)
        if (day := first - timedelta(days=number)) > began
    ]
