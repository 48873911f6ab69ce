"""What stands, since when, and who was told: pure, from one look to the next."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from dicom_node.alerts.alert import Alert, Notice, Turn
from dicom_node.wall_clock import brought_back


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRules:
    """When somebody is told.

    Attributes
    ----------
    settle_s : float
        A trouble shorter than this is none: a process that is started again, a start of the node.
    pause_s : float
        Least time between two messages over one channel.
    repeat_s : float
        What still stands is told again after this long.
    first_retry_s, longest_wait_s : float
        A message that was not taken is sent again after the first, then twice that, up to the
        longest.
    """

    settle_s: float = 60.0
    pause_s: float = 300.0
    repeat_s: float = 24 * 3600.0
    first_retry_s: float = 30.0
    longest_wait_s: float = 3600.0

    def retry_s(self, failures: int) -> float:
        """Return the wait after so many failures in a row."""
        return min(self.first_retry_s * 2.0 ** min(failures - 1, 32), self.longest_wait_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An alert in the book.

    Attributes
    ----------
    alert : Alert
        What is wrong.
    since : datetime
        When it began.
    told : mapping of str to datetime
        When each channel was last told that it stands.
    ended_at : datetime or None
        When it ended; None while it stands.
    """

    alert: Alert
    since: datetime
    told: Mapping[str, datetime] = field(default_factory=dict)
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelState:
    """How it stands with one channel: nothing is sent before `next_at`."""

    next_at: datetime | None = None
    failures: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """Every alert that stands or whose end somebody still must be told."""

    entries: tuple[Entry, ...] = ()
    channels: Mapping[str, ChannelState] = field(default_factory=dict)

    @property
    def standing(self) -> tuple[Entry, ...]:
        """Those that have not ended."""
        return tuple(entry for entry in self.entries if entry.ended_at is None)


def look(book: Book, standing: Iterable[Alert], now: datetime) -> Book:
    """Return the book after a look at what is wrong now.

    What ends before anybody was told is forgotten. What comes back before its end was told has
    never ended.
    """
    present = {alert.key: alert for alert in standing}
    entries = []
    for entry in book.entries:
        alert = present.pop(entry.alert.key, None)
        if alert is not None:
            entries.append(replace(entry, alert=alert, ended_at=None))
        elif entry.told:
            entries.append(replace(entry, ended_at=entry.ended_at or now))
    entries += [Entry(alert=alert, since=now) for alert in present.values()]
    return replace(book, entries=tuple(entries))


def brought_back_book(book: Book, rules: AlertRules, now: datetime) -> Book:
    """Return the book without times that a clock left behind which was set back."""
    longest = timedelta(seconds=max(rules.pause_s, rules.longest_wait_s))
    return Book(
        entries=tuple(
            replace(
                entry,
                since=brought_back(entry.since, now),
                told={name: brought_back(at, now) for name, at in entry.told.items()},
                ended_at=entry.ended_at and brought_back(entry.ended_at, now),
            )
            for entry in book.entries
        ),
        channels={
            name: replace(
                state, next_at=state.next_at and brought_back(state.next_at, now, longest)
            )
            for name, state in book.channels.items()
        },
    )


def due(book: Book, channel: str, rules: AlertRules, now: datetime) -> tuple[Notice, ...]:
    """Return what a channel shall be told now; nothing during its pause."""
    state = book.channels.get(channel, ChannelState())
    if state.next_at is not None and now < state.next_at:
        return ()
    notices = []
    for entry in book.entries:
        turn = _turn(entry, channel, rules, now)
        if turn is not None:
            notices.append(Notice(alert=entry.alert, turn=turn, since=entry.since))
    return tuple(notices)


def sent(
    book: Book, channel: str, notices: Sequence[Notice], rules: AlertRules, now: datetime
) -> Book:
    """Return the book after a channel took a message."""
    told = {notice.alert.key: notice.turn for notice in notices}
    entries = []
    for entry in book.entries:
        turn = told.get(entry.alert.key)
        if turn is Turn.ENDED:
            left = {name: at for name, at in entry.told.items() if name != channel}
            if left:
                entries.append(replace(entry, told=left))
        elif turn is not None:
            entries.append(replace(entry, told={**entry.told, channel: now}))
        else:
            entries.append(entry)
    state = ChannelState(next_at=now + timedelta(seconds=rules.pause_s))
    return Book(entries=tuple(entries), channels={**book.channels, channel: state})


def failed(book: Book, channel: str, rules: AlertRules, now: datetime) -> Book:
    """Return the book after a channel did not take a message."""
    failures = book.channels.get(channel, ChannelState()).failures + 1
    state = ChannelState(
        next_at=now + timedelta(seconds=rules.retry_s(failures)), failures=failures
    )
    return replace(book, channels={**book.channels, channel: state})


def without_channels(book: Book, names: Iterable[str]) -> Book:
    """Return the book of a site that has these channels only: an end waits for no other."""
    kept = frozenset(names)
    entries = []
    for entry in book.entries:
        told = {name: at for name, at in entry.told.items() if name in kept}
        if told or entry.ended_at is None:
            entries.append(replace(entry, told=told))
    channels = {name: state for name, state in book.channels.items() if name in kept}
    return Book(entries=tuple(entries), channels=channels)


def _turn(entry: Entry, channel: str, rules: AlertRules, now: datetime) -> Turn | None:
    told_at = entry.told.get(channel)
    if entry.ended_at is not None:
        return Turn.ENDED if told_at is not None else None
    if told_at is None:
        has_settled = now - entry.since >= timedelta(seconds=rules.settle_s)
        return Turn.RAISED if has_settled else None
    repeats = now - told_at >= timedelta(seconds=rules.repeat_s)
    return Turn.REMINDER if repeats else None
