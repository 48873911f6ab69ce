"""Who should have sent images by now and has not."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from dicom_node.alerts.alert import Alert

_DAY_H = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """How long a caller may be silent, and at which hours that counts.

    Attributes
    ----------
    caller : str
        Calling AE title.
    hours : float
        Longer silence alarms.
    from_hour, to_hour : int
        Hours of the day, of the machine's own time zone: from 7 to 20, or from 22 to 6 over
        midnight; 0 to 24 stands for always.

    Raises
    ------
    ValueError
        If a number is out of range, or the hours are no span.
    """

    caller: str
    hours: float
    from_hour: int = 0
    to_hour: int = _DAY_H

    def __post_init__(self) -> None:
        if self.hours <= 0:
            raise ValueError("hours must be positive")
        if not (0 <= self.from_hour < _DAY_H and 0 < self.to_hour <= _DAY_H):
            raise ValueError("from_hour is 0 to 23, to_hour 1 to 24")
        if self.from_hour == self.to_hour:
            raise ValueError("from_hour and to_hour must differ")

    def counts_from(self, now: datetime) -> datetime | None:
        """Return since when silence counts; None outside the hours.

        Parameters
        ----------
        now
            The present in the time zone that the hours are meant in.
        """
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        if (self.from_hour, self.to_hour) == (0, _DAY_H):
            return datetime.min.replace(tzinfo=now.tzinfo)
        hour = now.hour
        opened = midnight.replace(hour=self.from_hour)
        if self.from_hour < self.to_hour:
            return opened if self.from_hour <= hour < self.to_hour else None
        if hour >= self.from_hour:
            return opened
        return opened - timedelta(days=1) if hour < self.to_hour else None


def silences(
    expectations: Iterable[Expectation],
    *,
    last_image_at: Mapping[str, datetime],
    node_since: datetime,
    now: datetime,
) -> Iterator[Alert]:
    """Return an alert for every caller that was silent for too long.

    Parameters
    ----------
    expectations
        Of the site.
    last_image_at
        When each caller sent its last image.
    node_since
        When the node was started: before that nobody could send.
    now
        The present, in the machine's own time zone.
    """
    for one in expectations:
        opened = one.counts_from(now)
        if opened is None:
            continue
        last = last_image_at.get(one.caller, node_since)
        if now - max(last, opened, node_since) > timedelta(hours=one.hours):
            yield Alert(
                key=f"silence:{one.caller}",
                sentence=f"No image from {one.caller} for more than {one.hours:g} h",
            )
