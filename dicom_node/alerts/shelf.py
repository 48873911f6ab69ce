"""The book of alerts as JSON in the ledger."""

from datetime import datetime
from typing import Any, Protocol

from dicom_node.alerts.alert import Alert
from dicom_node.alerts.book import Book, ChannelState, Entry

_KEY = "alerts"


class Documents(Protocol):
    """Keeps JSON documents by key."""

    def read(self, key: str) -> Any | None:  # noqa: ANN401 - JSON
        """Return a document, None if there is none."""

    def write(self, key: str, document: Any) -> None:  # noqa: ANN401 - JSON
        """Keep a document."""


class LedgerShelf:
    """A `BookShelf` in the ledger."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    def read(self) -> Book:
        """Return the book; empty if there is none yet."""
        document = self._documents.read(_KEY)
        return Book() if document is None else _book(document)

    def write(self, book: Book) -> None:
        """Keep it."""
        self._documents.write(_KEY, _document(book))


def _document(book: Book) -> dict[str, Any]:
    return {
        "entries": [
            {
                "key": entry.alert.key,
                "sentence": entry.alert.sentence,
                "since": entry.since.isoformat(),
                "told": {name: at.isoformat() for name, at in entry.told.items()},
                "ended_at": _text(entry.ended_at),
            }
            for entry in book.entries
        ],
        "channels": {
            name: {"next_at": _text(state.next_at), "failures": state.failures}
            for name, state in book.channels.items()
        },
    }


def _book(document: dict[str, Any]) -> Book:
    return Book(
        entries=tuple(
            Entry(
                alert=Alert(key=one["key"], sentence=one["sentence"]),
                since=datetime.fromisoformat(one["since"]),
                told={name: datetime.fromisoformat(at) for name, at in one["told"].items()},
                ended_at=_time(one["ended_at"]),
            )
            for one in document["entries"]
        ),
        channels={
            name: ChannelState(next_at=_time(one["next_at"]), failures=one["failures"])
            for name, one in document["channels"].items()
        },
    )


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
