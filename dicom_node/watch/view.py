"""The report of the watch in words and tables, as command and page show it."""

from collections.abc import Iterator
from dataclasses import dataclass

from dicom_node.watch.alarms import SENTENCES
from dicom_node.watch.drift import NAMES, Drift
from dicom_node.watch.forecasts import ForecastScores
from dicom_node.watch.outcomes import CARD_POINT, EXCLUSION_WORDS
from dicom_node.watch.performance import Performance, PointScores
from dicom_node.watch.reference import Source
from dicom_node.watch.report import VersionReport, WatchReport
from dicom_node.watch.shadow import ShadowComparison
from pipeline.statistics.confusion import DiagnosticMeasure
from pipeline.statistics.estimate import Estimate

NO_STATISTICS = (
    "No bundle in use states training statistics: what the site's own first analyses looked like "
    "is the reference."
)
NOTHING = "Nothing has been analysed yet."
DEMONSTRATION = "A model of this version is a demonstration: its numbers say nothing of patients."

#: What an outcome is, wherever outcomes are shown.
MEASURED = (
    "Outcomes are measured by the node's own segmentation, not read by a person; only patients "
    "with a second scan have one."
)

_MEASURES = {
    DiagnosticMeasure.SENSITIVITY: "sensitivity",
    DiagnosticMeasure.SPECIFICITY: "specificity",
    DiagnosticMeasure.PPV: "PPV",
    DiagnosticMeasure.NPV: "NPV",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A table with what is said above and below it.

    Attributes
    ----------
    title : str
        Heading.
    headers : tuple of str
        One per column.
    rows : tuple of tuple of str
        Cells.
    marked : frozenset of int
        Rows that stand out.
    notes : tuple of str
        Sentences below the table.
    """

    title: str
    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    marked: frozenset[int] = frozenset()
    notes: tuple[str, ...] = ()


def alarm_sentences(report: WatchReport) -> tuple[str, ...]:
    """Return the sentences of the alarms that stand."""
    return tuple(SENTENCES[one] for one in report.alarms)


def sections_of(report: WatchReport) -> tuple[Section, ...]:
    """Return everything that a report says, the version in use first."""
    versions = [_version(one) for one in report.versions]
    drifts = [_drifts(report)] if report.drifts else []
    shadows = [shadow_section(one) for one in report.shadows]
    return (*versions[:1], *drifts, *shadows, *versions[1:])


def _version(one: VersionReport) -> Section:
    notes = [MEASURED, *one.performance.remarks]
    if one.followed_mean is not None and one.other_mean is not None:
        notes.append(
            f"Mean probability of patients with an outcome {one.followed_mean:.2f}, of those "
            f"without {one.other_mean:.2f}."
        )
    if one.version.demonstration:
        notes.append(DEMONSTRATION)
    return Section(
        title=f"Predictions of {one.version}",
        headers=("what", "found"),
        rows=tuple(_facts(one)),
        notes=tuple(notes),
    )


def _facts(one: VersionReport) -> Iterator[tuple[str, str]]:
    found = one.performance
    yield "analyses", str(one.analyses)
    yield "patients with a probability", str(one.patients)
    yield "of these with an outcome", str(found.pairs)
    for reason, count in one.excluded.items():
        yield f"left out: {EXCLUSION_WORDS[reason]}", str(count)
    if found.pairs:
        yield from _scores(found)
    if one.forecasts is not None:
        yield from _forecasts(one.forecasts)
    for need in found.needs:
        missing = f"{need.more} more" if need.more else "enough"
        yield f"patients for {need.wish}", f"{missing} ({need.patients} in all)"


def _scores(found: Performance) -> Iterator[tuple[str, str]]:
    yield "expanded", f"{found.expansions}, {_percent(found.expanded_share)}"
    if found.mean_probability is not None:
        yield "mean probability", f"{100 * found.mean_probability:.0f} %"
    yield "predicted before the second scan came", f"{found.predicted_ahead} of {found.pairs}"
    yield "outcome within the error of the volumes", f"{found.uncertain} of {found.pairs}"
    yield "AUC", _number(found.auc)
    for point in found.points:
        yield from _point(point)
    line = found.calibration
    yield "calibration in the large (0 is right)", _number(line.intercept if line else None)
    yield "calibration slope (1 is right)", _number(line.slope if line else None)
    yield "Brier score", _number(found.brier)


def _forecasts(found: ForecastScores) -> Iterator[tuple[str, str]]:
    yield "expanded with a forecast of the volume", str(found.patients)
    yield "forecast minus measured volume, mean", f"{found.error_ml:+.1f} mL"
    yield "its size, mean", f"{found.absolute_error_ml:.1f} mL"
    within = f"{found.within_range} of {found.with_range}, {_percent(found.coverage)}"
    yield "measured volume within the forecast's range", within


def _point(point: PointScores) -> Iterator[tuple[str, str]]:
    where = "at the card's threshold" if point.name == CARD_POINT else f"at {point.name}"
    for measure, name in _MEASURES.items():
        count, total = point.confusion.share(measure)
        yield f"{name} {where}", f"{count} of {total}, {_percent(point.shares[measure])}"


def _drifts(report: WatchReport) -> Section:
    rules = report.rules
    limits = (
        f"Index: population stability; drift from {rules.drift_psi:g} on with "
        f"p < {rules.drift_p_value:g}."
    )
    stated = any(one.source is Source.BUNDLE for one in report.drifts)
    return Section(
        title=f"Drift in the last {rules.window} analyses",
        headers=("what", "reference", "expected", "found", "index", "p", "judgement"),
        rows=tuple(_drift(one, report) for one in report.drifts),
        marked=frozenset(number for number, one in enumerate(report.drifts) if one.has_drifted),
        notes=(limits,) if stated else (limits, NO_STATISTICS),
    )


def _drift(one: Drift, report: WatchReport) -> tuple[str, ...]:
    name = NAMES[one.what]
    source = "" if one.source is None else f"{one.source} ({one.expected_cases})"
    if one.shift is None:
        words = f"too few to judge: {one.cases}, needed {report.rules.minimum}"
        return (name, source, one.expected, f"{one.found} ({one.cases})", "", "", words)
    return (
        *(name, source, one.expected, f"{one.found} ({one.cases})"),
        *(f"{one.shift.psi:.3f}", f"{one.shift.p_value:.2g}"),
        "drifted" if one.has_drifted else "as expected",
    )


def shadow_section(one: ShadowComparison) -> Section:
    """Return what models on trial and those in use have said of the same scans."""
    difference = "" if one.auc_difference is None else _signed(one.auc_difference)
    rows = (
        ("scans seen by both", str(one.scans)),
        ("hematoma found by one of them only", str(one.found_by_one)),
        ("expansion called otherwise", str(one.called_otherwise)),
        ("mean difference of volume", _plain(one.volume_difference_ml, "mL")),
        ("mean difference of probability", _plain(one.probability_difference)),
        ("patients with an outcome", f"{one.pairs}, {one.expansions} expanded"),
        ("AUC of the models in use", _plain(one.current_auc)),
        ("AUC of the models on trial", _plain(one.shadow_auc)),
        ("difference of the AUCs", difference or "not known"),
        ("p of no difference", "not known" if one.p_value is None else f"{one.p_value:.2g}"),
    )
    return Section(
        title=f"On trial: {one.shadow}",
        headers=("what", "found"),
        rows=rows,
        notes=(f"Beside {one.current}, on the same scans and patients.",),
    )


def _number(one: Estimate | None) -> str:
    if one is None:
        return "not known"
    return f"{one.value:.2f} (95 % CI {one.low:.2f} to {one.high:.2f})"


def _signed(one: Estimate) -> str:
    return f"{one.value:+.2f} (95 % CI {one.low:+.2f} to {one.high:+.2f})"


def _percent(one: Estimate | None) -> str:
    if one is None:
        return "not known"
    return f"{100 * one.value:.0f} % (95 % CI {100 * one.low:.0f} to {100 * one.high:.0f})"


def _plain(value: float | None, unit: str = "") -> str:
    return "not known" if value is None else f"{value:.2f} {unit}".strip()
