"""Which of the series that a peer has are fetched to compare with."""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Final

from dicom_node.association.query import RemoteSeries
from dicom_node.intake.instance import SeriesAttributes
from dicom_node.intake.selection import SelectionRules

#: The earliest studies of the window: the first of them is the baseline.
MOST_STUDIES: Final = 3

#: A query tells less of a series than its images do, so the best few are fetched; selection then
#: takes one of them as from any study.
MOST_SERIES: Final = 2

_DATE_LENGTH: Final = len("YYYYMMDD")
_TIME_LENGTH: Final = len("HHMMSS")


def choose_priors(
    offered: Iterable[RemoteSeries],
    *,
    before: datetime,
    known_series: Collection[str],
    known_studies: Collection[str],
    rules: SelectionRules,
) -> tuple[RemoteSeries, ...]:
    """Return what to fetch, the earliest study first and in it the best series first.

    Parameters
    ----------
    offered
        CT series of the patient in the days of the window.
    before
        When the scan was taken that priors are wanted for; what says it is later is left out.
    known_series, known_studies
        Series that are here already, and studies of which one was analysed: their images need not
        be fetched.
    rules
        What the site analyses. Only what a query tells is looked at: description, protocol, body
        part and number of images.
    """
    studies: dict[str, list[RemoteSeries]] = {}
    for series in sorted(offered, key=_moment):
        is_here = series.series_instance_uid in known_series
        is_later = _is_later(series, before)
        if is_here or is_later or series.study_instance_uid in known_studies:
            continue
        if _is_suitable(series, rules):
            studies.setdefault(series.study_instance_uid, []).append(series)
    return tuple(
        series
        for offered_series in list(studies.values())[:MOST_STUDIES]
        for series in sorted(offered_series, key=lambda one: -_points(one, rules))[:MOST_SERIES]
    )


def _is_suitable(series: RemoteSeries, rules: SelectionRules) -> bool:
    attributes = _attributes(series)
    if any(rule.fits(attributes) for rule in rules.exclude):
        return False
    return series.instances is None or series.instances >= rules.minimum_slices


def _points(series: RemoteSeries, rules: SelectionRules) -> int:
    attributes = _attributes(series)
    return sum(one.points for one in rules.prefer if one.rule.fits(attributes))


def _attributes(series: RemoteSeries) -> SeriesAttributes:
    return SeriesAttributes(
        modality="CT",
        description=series.description,
        protocol=series.protocol,
        body_part=series.body_part,
    )


def _is_later(series: RemoteSeries, before: datetime) -> bool:
    """Return whether the study began after the scan; without a time of day nobody knows."""
    day, time = _moment(series)
    if not time:
        return day > f"{before:%Y%m%d}"
    return day + time > f"{before:%Y%m%d%H%M%S}"


def _moment(series: RemoteSeries) -> tuple[str, str]:
    time = series.study_time[:_TIME_LENGTH]
    return series.study_date[:_DATE_LENGTH], time.ljust(_TIME_LENGTH, "0") if time else ""
