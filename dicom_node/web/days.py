"""Days as people enter them: the site's, the last one included."""

from datetime import date, datetime, time, timedelta, tzinfo

_DAY = timedelta(days=1)


def beginning_of(text: str, zone: tzinfo | None) -> datetime | None:
    """Return the beginning of a day; None if the text is no date."""
    return _midnight(text, zone, after=timedelta())


def end_of(text: str, zone: tzinfo | None) -> datetime | None:
    """Return the beginning of the day after; None if the text is no date."""
    return _midnight(text, zone, after=_DAY)


def _midnight(text: str, zone: tzinfo | None, *, after: timedelta) -> datetime | None:
    try:
        moment = datetime.combine(date.fromisoformat(text) + after, time())
        return moment.replace(tzinfo=zone) if zone else moment.astimezone()
    except (ValueError, OverflowError, OSError):
        return None
