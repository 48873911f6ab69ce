"""Tells the channels what is wrong, no more often than they shall be, until they have taken it."""

import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Protocol

from dicom_node.alerts.alert import Alert, AlertNotSentError, Channel, Message
from dicom_node.alerts.book import (
    AlertRules,
    Book,
    brought_back_book,
    due,
    failed,
    look,
    sent,
    without_channels,
)
from dicom_node.jobs.tally import Tallied, Tally

LOGGER = logging.getLogger(__name__)


class BookShelf(Protocol):
    """Where the book lies, so that a restart tells nobody twice. Raises LedgerError."""

    def read(self) -> Book:
        """Return the book."""

    def write(self, book: Book) -> None:
        """Keep it."""


class Herald:
    """Looks, writes down what stands, and tells.

    Parameters
    ----------
    node, version
        Who speaks.
    channels
        Over which.
    shelf
        Where the book lies.
    rules
        How often.
    clock
        Returns the present as an aware time.
    count
        Takes counts of what was sent.
    """

    def __init__(
        self,
        *,
        node: str,
        version: str,
        channels: Sequence[Channel],
        shelf: BookShelf,
        rules: AlertRules,
        clock: Callable[[], datetime],
        count: Callable[[Sequence[Tallied]], None],
    ) -> None:
        self._node = node
        self._version = version
        self._channels = tuple(channels)
        self._shelf = shelf
        self._rules = rules
        self._clock = clock
        self._count = count

    def tell(self, standing: Iterable[Alert]) -> None:
        """Write down what stands and send what is due. Raises LedgerError.

        The book is kept after each channel: a process that is killed in between repeats one
        message at most.
        """
        now = self._clock()
        before = self._shelf.read()
        known = without_channels(before, (one.name for one in self._channels))
        book = look(brought_back_book(known, self._rules, now), standing, now)
        self._log_changes(before, book)
        if book != before:
            self._shelf.write(book)
        for channel in self._channels:
            book = self._serve(channel, book, now)

    def _serve(self, channel: Channel, book: Book, now: datetime) -> Book:
        notices = due(book, channel.name, self._rules, now)
        if not notices:
            return book
        message = Message(node=self._node, version=self._version, at=now, notices=notices)
        try:
            channel.send(message)
        except AlertNotSentError as error:
            LOGGER.warning("Alerts not sent by %s: %s", channel.name, error)
            book, outcome = failed(book, channel.name, self._rules, now), "failed"
        else:
            LOGGER.info("%s alerts sent by %s", len(notices), channel.name)
            book, outcome = sent(book, channel.name, notices, self._rules, now), "sent"
        self._shelf.write(book)
        labels = {"channel": channel.name, "outcome": outcome}
        self._count([Tallied(tally=Tally.ALERTS, labels=labels, value=1)])
        return book

    def _log_changes(self, before: Book, after: Book) -> None:
        old = {entry.alert.key for entry in before.standing}
        new = {entry.alert.key for entry in after.standing}
        for entry in after.standing:
            if entry.alert.key not in old:
                LOGGER.warning("Alert: %s", entry.alert.sentence)
        for entry in before.standing:
            if entry.alert.key not in new:
                LOGGER.info("Alert ended: %s", entry.alert.sentence)
