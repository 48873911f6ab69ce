"""What is wrong, in a sentence that names no patient; and the message that says so."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """Something that is wrong now.

    Attributes
    ----------
    key : str
        The same as long as it is the same trouble: ``process:worker``, ``silence:CT1``.
    sentence : str
        In words of the node; names, numbers and times of the site, never of a patient.
    """

    key: str
    sentence: str


class Turn(StrEnum):
    """Why an alert is in a message."""

    RAISED = "raised"  #: it is new
    REMINDER = "reminder"  #: it still stands
    ENDED = "ended"  #: it stands no more


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One alert in a message; `since` is when it began to stand."""

    alert: Alert
    turn: Turn
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What is sent over one channel: everything that is new, in one go.

    Attributes
    ----------
    node : str
        AE title.
    version : str
        Of the node.
    at : datetime
        When it was written, aware.
    notices : sequence of Notice
        What it says.
    """

    node: str
    version: str
    at: datetime
    notices: Sequence[Notice]

    @property
    def title(self) -> str:
        """One line: how many alerts of each turn."""
        counts = [
            f"{number} {turn}"
            for turn in Turn
            if (number := sum(one.turn is turn for one in self.notices))
        ]
        return f"{self.node}: {', '.join(counts)}"

    @property
    def text(self) -> str:
        """The title and a line for each alert."""
        return "\n".join([self.title, *self._lines()])

    def as_dict(self) -> dict[str, Any]:
        """Return the message for JSON; ``text`` is what chat servers show."""
        return {
            "node": self.node,
            "version": self.version,
            "at": self.at.isoformat(),
            "title": self.title,
            "text": self.text,
            "alerts": [
                {
                    "key": one.alert.key,
                    "turn": one.turn.value,
                    "since": one.since.isoformat(),
                    "sentence": one.alert.sentence,
                }
                for one in self.notices
            ],
        }

    def _lines(self) -> Iterator[str]:
        for one in self.notices:
            since = one.since.astimezone().isoformat(sep=" ", timespec="minutes")
            yield f"{one.turn}: {one.alert.sentence} (since {since})"


class AlertNotSentError(RuntimeError):
    """A channel did not take a message; says why, without the secret."""


class Channel(Protocol):
    """A way to tell somebody."""

    @property
    def name(self) -> str:
        """What it is called in the log and in the ledger."""

    def send(self, message: Message) -> None:
        """Send it, or raise AlertNotSentError."""
