"""Small drawings for the page: where their lines and points lie."""

from dataclasses import dataclass

from dicom_node.watch.drift import NAMES
from dicom_node.watch.performance import Performance
from dicom_node.watch.rules import WatchRules
from dicom_node.watch.watched import Watched

#: Side of a drawing in units of its own, and the room for its words.
SIZE, MARGIN = 240, 30

_LEAST_TOP = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line through points.

    Attributes
    ----------
    points : str
        As SVG's polyline takes them.
    name : str
        What it shows; empty for help lines.
    number : int
        Which colour; 0 for help lines.
    """

    points: str
    name: str = ""
    number: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Dot:
    """A point with its interval.

    Attributes
    ----------
    x, y, low, high : str
        Coordinates in the drawing; `low` and `high` are ends of the interval on y.
    """

    x: str
    y: str
    low: str
    high: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A drawing.

    Attributes
    ----------
    title, x_title, y_title : str
        What it shows.
    y_top : str
        Value at the upper end of its y axis.
    lines : tuple of Line
        Drawn first.
    dots : tuple of Dot
        Drawn above them.
    """

    title: str
    x_title: str
    y_title: str
    y_top: str = "1"
    lines: tuple[Line, ...] = ()
    dots: tuple[Dot, ...] = ()


def charts_of(watched: Watched) -> tuple[Chart, ...]:
    """Return the drawings that there are numbers for, of the version in use."""
    found = []
    if watched.report.versions:
        performance = watched.report.versions[0].performance
        found += [*_roc(performance), *_reliability(performance)]
    return (*found, *_drift(watched, watched.report.rules))


def _roc(performance: Performance) -> list[Chart]:
    if performance.roc is None:
        return []
    curve = performance.roc
    points = zip(curve.false_alarm_rate.tolist(), curve.sensitivity.tolist(), strict=True)
    line = Line(points=_path(list(points)), name="ROC curve", number=1)
    return [
        Chart(
            title="Expansion predicted",
            x_title="1 - specificity",
            y_title="sensitivity",
            lines=(_diagonal(), line),
        )
    ]


def _reliability(performance: Performance) -> list[Chart]:
    if not performance.reliability:
        return []
    dots = tuple(
        Dot(
            x=_x(one.mean_probability),
            y=_y(one.share.value),
            low=_y(one.share.low),
            high=_y(one.share.high),
        )
        for one in performance.reliability
    )
    return [
        Chart(
            title="Promise and truth",
            x_title="mean probability",
            y_title="share that expanded",
            lines=(_diagonal(),),
            dots=dots,
        )
    ]


def _drift(watched: Watched, rules: WatchRules) -> list[Chart]:
    drawn = {what: points for what, points in watched.history.items() if points}
    if not drawn:
        return []
    moments = [one.at for points in drawn.values() for one in points]
    first, span = min(moments), (max(moments) - min(moments)).total_seconds() or 1.0
    highest = max(one.psi for points in drawn.values() for one in points)
    top = max(highest, 2 * rules.drift_psi, _LEAST_TOP)
    limit = rules.drift_psi / top
    lines = [Line(points=_path([(0.0, limit), (1.0, limit)]), name="limit")]
    for number, (what, points) in enumerate(drawn.items(), start=1):
        places = [((one.at - first).total_seconds() / span, one.psi / top) for one in points]
        lines.append(Line(points=_path(places), name=NAMES[what], number=number))
    return [
        Chart(
            title="Drift",
            x_title=f"{first:%Y-%m-%d} to {max(moments):%Y-%m-%d}",
            y_title="population stability index",
            y_top=f"{top:.2g}",
            lines=tuple(lines),
        )
    ]


def _diagonal() -> Line:
    return Line(points=_path([(0.0, 0.0), (1.0, 1.0)]))


def _path(places: list[tuple[float, float]]) -> str:
    """Return places within the unit square, y upwards, as SVG counts them."""
    return " ".join(f"{_x(x)},{_y(y)}" for x, y in places)


def _x(value: float) -> str:
    return f"{MARGIN + value * (SIZE - 2 * MARGIN):.1f}"


def _y(value: float) -> str:
    return f"{SIZE - MARGIN - value * (SIZE - 2 * MARGIN):.1f}"
