"""When a series was acquired, as its images say, and how much later another one was."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone, tzinfo
from typing import Final

from pydicom.dataset import Dataset
from pydicom.valuerep import DA, DT, TM


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanTime:
    """When the first image of a series was acquired.

    Attributes
    ----------
    moment : datetime
        Aware if the images say a time zone, else the scanner's wall clock.
    """

    moment: datetime

    @property
    def has_zone(self) -> bool:
        """Whether the images say a time zone."""
        return self.moment.tzinfo is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Elapsed:
    """Time from one scan to another.

    Attributes
    ----------
    time : timedelta
        Second minus first.
    is_zone_assumed : bool
        Whether a scan says no time zone, so that both clocks were taken to show the same one.
    """

    time: timedelta
    is_zone_assumed: bool


def scan_time(instances: Iterable[Dataset]) -> ScanTime | None:
    """Return when the earliest of the images was acquired; None if none says.

    Acquisition DateTime is believed before Acquisition Date and Time, these before Content and
    Series Date and Time (PS3.3, C.7.6.1, C.7.3.1, C.8.2.1): the first that any image has, for all
    of them. A date without a time of day is not a time. A zone in the value itself counts
    before Timezone Offset From UTC (PS3.3, C.12.1).
    """
    headers = list(instances)
    for read in _SOURCES:
        found = [moment for header in headers if (moment := _read(read, header)) is not None]
        aware = [moment for moment in found if moment.tzinfo is not None]
        # Aware and naive times cannot be ordered; an image without a zone is then left out.
        if found:
            return ScanTime(moment=min(aware or found))
    return None


def elapsed_between(first: ScanTime, second: ScanTime) -> Elapsed:
    """Return the time from the first scan to the second.

    Where either says no time zone, both clocks are taken to stand in the same one, as those of
    one hospital do; daylight saving time can then make an hour's difference.
    """
    if first.has_zone and second.has_zone:
        return Elapsed(time=second.moment - first.moment, is_zone_assumed=False)
    walls = (each.moment.replace(tzinfo=None) for each in (second, first))
    later, earlier = walls
    return Elapsed(time=later - earlier, is_zone_assumed=True)


def _read(read: Callable[[Dataset], datetime | None], header: Dataset) -> datetime | None:
    try:
        return read(header)
    except (ValueError, TypeError, OverflowError):  # no reader could accept the value
        return None


def _acquisition_datetime(header: Dataset) -> datetime | None:
    """Return Acquisition DateTime, of the image or of its earliest frame."""
    moments = (
        _datetime_of(header, value)
        for value in (
            header.get("AcquisitionDateTime"),
            *(
                content.get("FrameAcquisitionDateTime")
                for frame in header.get("PerFrameFunctionalGroupsSequence") or ()
                for content in frame.get("FrameContentSequence") or ()
            ),
        )
    )
    known = [moment for moment in moments if moment is not None]
    return min(known, default=None)


def _datetime_of(header: Dataset, value: object) -> datetime | None:
    text = str(value or "").strip()
    if len(text.split("+")[0].split("-")[0]) < _LEAST_DATETIME:
        return None
    parsed = DT(text)
    moment = datetime(*parsed.timetuple()[:6], parsed.microsecond, tzinfo=parsed.tzinfo)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=_zone(header))


def _date_and_time(prefix: str) -> Callable[[Dataset], datetime | None]:
    def read(header: Dataset) -> datetime | None:
        day = str(header.get(f"{prefix}Date") or "").strip()
        time = str(header.get(f"{prefix}Time") or "").strip()
        if not day or not time:
            return None
        return datetime.combine(DA(day), TM(time), tzinfo=_zone(header))

    return read


def _zone(header: Dataset) -> tzinfo | None:
    """Return the zone of Timezone Offset From UTC, None where it is absent or absurd."""
    text = str(header.get("TimezoneOffsetFromUTC") or "").strip()
    try:
        offset = datetime.strptime(text, "%z").utcoffset()
    except ValueError:
        return None
    return None if offset is None else timezone(offset)


#: YYYYMMDDHH: a date with at least the hour.
_LEAST_DATETIME: Final = 10

_SOURCES: Final[tuple[Callable[[Dataset], datetime | None], ...]] = (
    _acquisition_datetime,
    _date_and_time("Acquisition"),
    _date_and_time("Content"),
    _date_and_time("Series"),
)
