"""What only all scans together can tell: order in time, duplicates, series of one visit."""

import dataclasses
from collections import defaultdict
from collections.abc import Mapping, Sequence

from training.cohort.intake.criteria import THICKEST_MM, Criterion
from training.cohort.intake.found_scan import FoundScan, MaskKind, TimePoint
from training.cohort.intake.scan_facts import ScanFacts

_HOUR_S = 3600.0


def resolve(facts: Sequence[ScanFacts], found: Mapping[str, FoundScan]) -> list[ScanFacts]:
    """Return the facts with duplicates, spare series and time points marked.

    Parameters
    ----------
    facts : sequence of ScanFacts
        One of each scan.
    found : mapping of str to FoundScan
        By scan identifier.
    """
    ordered = sorted(facts, key=lambda one: one.scan_id)
    return _timed(_one_series_a_visit(_without_duplicates(ordered)), found)


def _without_duplicates(facts: Sequence[ScanFacts]) -> list[ScanFacts]:
    """Return the facts, all but one of several scans with the same voxels marked."""
    first: dict[str, ScanFacts] = {}
    # A scan with a mask is kept rather than its copy without.
    for one in sorted(facts, key=lambda one: (one.mask is MaskKind.NONE, one.scan_id)):
        if one.content and not one.problem:
            first.setdefault(one.content, one)
    resolved = []
    for one in facts:
        original = first.get(one.content, one) if one.content and not one.problem else one
        if original.scan_id == one.scan_id:
            resolved.append(one)
            continue
        whose = "" if original.patient_id == one.patient_id else " of another patient"
        resolved.append(_marked(one, Criterion.DUPLICATE, f"same as {original.scan_id}{whose}"))
    return resolved


def _one_series_a_visit(facts: Sequence[ScanFacts]) -> list[ScanFacts]:
    """Return the facts, with one series left of each visit; those with masks go first."""
    visits: dict[tuple[str, str], list[ScanFacts]] = defaultdict(list)
    for one in facts:
        if one.study and not one.problem:
            visits[one.patient_id, one.study].append(one)
    spare: dict[str, str] = {}
    for series in visits.values():
        best = min(series, key=_rank)
        for one in series:
            # Masks are work; every series that has one is kept.
            if one is not best and one.mask is MaskKind.NONE:
                spare[one.scan_id] = f"{best.scan_id} was taken"
    return [
        _marked(one, Criterion.OTHER_SERIES, spare[one.scan_id]) if one.scan_id in spare else one
        for one in facts
    ]


def _rank(one: ScanFacts) -> tuple[object, ...]:
    """Return what makes a series the better one: a mask, 5 mm slices, more of them."""
    return (
        one.mask is MaskKind.NONE,
        one.thickness_mm > THICKEST_MM,
        abs(one.spacing_zyx_mm[0] - THICKEST_MM),
        -one.slices,
        one.scan_id,
    )


def _timed(facts: Sequence[ScanFacts], found: Mapping[str, FoundScan]) -> list[ScanFacts]:
    """Return the facts with time points: by date, else by name, else of a lone scan."""
    by_patient: dict[str, list[ScanFacts]] = defaultdict(list)
    for one in facts:
        by_patient[one.patient_id].append(one)
    resolved = []
    for own in by_patient.values():
        usable = [one for one in own if one.problem not in _NO_SCAN]
        points = _time_points([found[one.scan_id] for one in usable])
        told = dict(zip((one.scan_id for one in usable), points, strict=True))
        for one in own:
            point, hours = told.get(one.scan_id, (TimePoint.UNKNOWN, None))
            resolved.append(dataclasses.replace(one, time_point=point, hours_after_baseline=hours))
    return sorted(resolved, key=lambda one: one.scan_id)


#: Problems of files that are no scan of their own.
_NO_SCAN = frozenset(
    {Criterion.UNREADABLE.value, Criterion.DUPLICATE.value, Criterion.OTHER_SERIES.value}
)


def _time_points(scans: Sequence[FoundScan]) -> list[tuple[TimePoint, float | None]]:
    dates = [scan.acquired for scan in scans]
    known = [date for date in dates if date is not None]
    if known and len(known) == len(dates):
        earliest = min(known)
        hours = [round((date - earliest).total_seconds() / _HOUR_S, 2) for date in known]
        return [
            (TimePoint.BASELINE if value == 0 else TimePoint.FOLLOW_UP, value) for value in hours
        ]
    if len(scans) == 1 and scans[0].time_point is TimePoint.UNKNOWN:
        return [(TimePoint.BASELINE, None)]
    return [(scan.time_point, None) for scan in scans]


def _marked(one: ScanFacts, problem: Criterion, detail: str) -> ScanFacts:
    return dataclasses.replace(one, problem=problem.value, detail=detail)
