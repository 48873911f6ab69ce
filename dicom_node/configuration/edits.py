"""What can be changed in a settings file: a value, or an entry of a list."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

#: A value as TOML and JSON know it.
Plain = str | int | float | bool | Sequence["Plain"] | Mapping[str, "Plain"]

#: Key by which an entry that is a single value, not a table, is found and given.
VALUE: Final = "value"

#: Lists of the file, and the key that an entry which is a bare text stands for.
ARRAYS: Final[Mapping[str, str]] = {
    "peers": "name",
    "web_peers": "name",
    "node.callers": "ae_title",
    "selection.include": "pattern",
    "selection.exclude": "pattern",
    "selection.prefer": "pattern",
    "urgent.rules": "pattern",
    "urgent.callers": VALUE,
    "urgent.priorities": VALUE,
    "alerts.silence": "caller",
    "alerts.mail_to": VALUE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SetValue:
    """Give a key of a table a value; None removes the key, so that its default applies."""

    table: str
    key: str
    value: Plain | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AddEntry:
    """Add an entry at the end of a list.

    Attributes
    ----------
    array : str
        One of `ARRAYS`, or another list of tables of the file.
    values : mapping
        Its keys and values; a caller with nothing but an ``ae_title`` is written as a bare text,
        and an entry of a list of texts is given as ``{"value": text}``.
    """

    array: str
    values: Mapping[str, Plain]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeEntry:
    """Change keys of the one entry that fits.

    Attributes
    ----------
    array : str
        See `AddEntry`.
    match : mapping
        Keys and values by which exactly one entry is found, ``{"name": "pacs"}``.
    values : mapping
        Keys to set; None removes one.
    """

    array: str
    match: Mapping[str, Plain]
    values: Mapping[str, Plain | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveEntry:
    """Remove the one entry that fits; see `ChangeEntry`."""

    array: str
    match: Mapping[str, Plain]


Edit = SetValue | AddEntry | ChangeEntry | RemoveEntry
