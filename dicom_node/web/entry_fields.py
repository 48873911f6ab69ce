"""What a form asks about an entry of the settings, and what its answers change there.

Pure: fields in, edits out. What may stand in a field is decided by the settings themselves, when
the edits are checked.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from pydantic import BaseModel

from dicom_node.configuration.desk import ConfigurationFile
from dicom_node.configuration.edits import AddEntry, ChangeEntry, Edit, Plain, RemoveEntry
from dicom_node.configuration.setting_keys import typed_number
from dicom_node.settings.contradictions import SettingsFault
from dicom_node.settings.schema import CallerSettings, PeerSettings, Settings, WebPeerSettings
from dicom_node.web.words import mark


class Shape(StrEnum):
    """How a value is asked for."""

    TEXT = "text"
    NUMBER = "number"
    TICK = "tick"  #: yes or no
    CHOICE = "choice"  #: one of a few
    LIST = "list"  #: several, with commas between them


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One key of an entry, as a form asks for it.

    Attributes
    ----------
    key, label : str
        Its name in the settings, and what it is called.
    shape : Shape
        How it is asked for.
    choices : tuple of str
        What there is to choose.
    is_rare : bool
        Whether hardly anybody needs it: it stands behind a lid.
    """

    key: str
    label: str
    shape: Shape = Shape.TEXT
    choices: tuple[str, ...] = ()
    is_rare: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of entry.

    Attributes
    ----------
    name, array : str
        In addresses, and the list in the settings.
    title : str
        What one of them is called.
    model : type
        What checks it.
    marks : tuple of str
        Keys that tell entries apart.
    fields : tuple of Field
        Everything that can be said of one.
    """

    name: str
    array: str
    title: str
    model: type[BaseModel]
    marks: tuple[str, ...]
    fields: tuple[Field, ...]

    @property
    def needed(self) -> tuple[str, ...]:
        """Keys without a default."""
        return tuple(key for key, one in self.model.model_fields.items() if one.is_required())

    def defaults(self) -> dict[str, Any]:
        """Return what stands for keys that the file does not name."""
        found = {
            key: one.get_default(call_default_factory=True)
            for key, one in self.model.model_fields.items()
            if not one.is_required()
        }
        return {key: _plain(value) for key, value in found.items()}


_RARE_TIMES: Final = (
    Field(
        key="associations", label=mark("Connections at a time"), shape=Shape.NUMBER, is_rare=True
    ),
    Field(
        key="pause_s", label=mark("Pause between result sets, s"), shape=Shape.NUMBER, is_rare=True
    ),
    Field(key="report_first", label=mark("Report first"), shape=Shape.TICK, is_rare=True),
    Field(
        key="connect_timeout_s",
        label=mark("Patience for a connection, s"),
        shape=Shape.NUMBER,
        is_rare=True,
    ),
    Field(
        key="response_timeout_s",
        label=mark("Patience for an answer, s"),
        shape=Shape.NUMBER,
        is_rare=True,
    ),
)

DICOM: Final = Kind(
    name="dicom",
    array="peers",
    title=mark("DICOM peer"),
    model=PeerSettings,
    marks=("name",),
    fields=(
        Field(key="name", label=mark("Name")),
        Field(key="ae_title", label=mark("AE title")),
        Field(key="host", label=mark("Host or address")),
        Field(key="port", label=mark("Port"), shape=Shape.NUMBER),
        Field(key="receives_results", label=mark("Gets results"), shape=Shape.TICK),
        Field(
            key="receives",
            label=mark("Which results"),
            shape=Shape.CHOICE,
            choices=("all", "findings", "sender"),
        ),
        Field(key="commitment", label=mark("Storage commitment"), shape=Shape.TICK),
        Field(key="tls", label="TLS", shape=Shape.TICK),
        Field(
            key="gives_priors",
            label=mark("Gives earlier scans"),
            shape=Shape.CHOICE,
            choices=("", "move", "get"),
        ),
        Field(key="tls_name", label=mark("Name in its certificate"), is_rare=True),
        Field(
            key="tls_checks_name",
            label=mark("Check the name in its certificate"),
            shape=Shape.TICK,
            is_rare=True,
        ),
        Field(key="encodings", label=mark("Encodings"), shape=Shape.LIST, is_rare=True),
        Field(
            key="max_pdu_bytes", label=mark("Longest PDU, bytes"), shape=Shape.NUMBER, is_rare=True
        ),
        Field(
            key="association_timeout_s",
            label=mark("Patience for an association, s"),
            shape=Shape.NUMBER,
            is_rare=True,
        ),
        Field(
            key="keep_open_s",
            label=mark("Keep an association open for, s"),
            shape=Shape.NUMBER,
            is_rare=True,
        ),
        *_RARE_TIMES,
    ),
)

WEB: Final = Kind(
    name="web",
    array="web_peers",
    title=mark("DICOMweb server"),
    model=WebPeerSettings,
    marks=("name",),
    fields=(
        Field(key="name", label=mark("Name")),
        Field(key="url", label=mark("Address")),
        Field(key="receives_results", label=mark("Gets results"), shape=Shape.TICK),
        Field(
            key="receives",
            label=mark("Which results"),
            shape=Shape.CHOICE,
            choices=("all", "findings"),
        ),
        Field(key="user", label=mark("User")),
        Field(key="secret_file", label=mark("File with password or token")),
        Field(key="secret_variable", label=mark("Variable with password or token"), is_rare=True),
        Field(key="trusted", label=mark("File with trusted certificates"), is_rare=True),
        *_RARE_TIMES,
    ),
)

CALLER: Final = Kind(
    name="caller",
    array="node.callers",
    title=mark("Caller"),
    model=CallerSettings,
    marks=("ae_title", "address"),
    fields=(
        Field(key="ae_title", label=mark("AE title")),
        Field(key="address", label=mark("Calls from")),
        Field(key="may", label=mark("May do"), shape=Shape.LIST),
        Field(key="certificate", label=mark("Certificate"), is_rare=True),
        Field(
            key="max_associations",
            label=mark("Connections at a time"),
            shape=Shape.NUMBER,
            is_rare=True,
        ),
    ),
)

KINDS: Final[Mapping[str, Kind]] = {one.name: one for one in (DICOM, WEB, CALLER)}


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedFaults:
    """Faults of a form: beside which field each belongs, and those that belong to none."""

    by_key: Mapping[str, str] = field(default_factory=dict)
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry of the file: every value in force, and how it is found there."""

    values: Mapping[str, Any]
    match: Mapping[str, Plain]

    def has(self, marks: Mapping[str, str]) -> bool:
        """Return whether these tell this entry from others; an empty text is none."""
        return all((self.match.get(key) or "") == value for key, value in marks.items())


def entries(found: ConfigurationFile, kind: Kind) -> tuple[Entry, ...]:
    """Return the entries of a kind in the order of the file; none if the file has faults."""
    if found.settings is None:
        return ()
    models = _models(found.settings, kind)
    table, _, key = kind.array.rpartition(".")
    document = found.document.get(table, {}) if table else found.document
    written = document.get(key) or [one.model_dump(mode="json") for one in models]
    return tuple(
        _entry(kind, model.model_dump(mode="json"), raw)
        for model, raw in zip(models, written, strict=True)
    )


def _entry(kind: Kind, values: Mapping[str, Any], written: object) -> Entry:
    """Return an entry; its marks as the file writes them, because by these it is found."""
    raw: Mapping[str, Any] = written if isinstance(written, Mapping) else {kind.marks[0]: written}
    match = {key: raw[key] for key in kind.marks if raw.get(key) is not None}
    return Entry(values={**values, **match}, match=match)


def _models(settings: Settings, kind: Kind) -> Sequence[BaseModel]:
    if kind is CALLER:
        return [
            CallerSettings(ae_title=one) if isinstance(one, str) else one
            for one in settings.node.callers
        ]
    return settings.peers if kind is DICOM else settings.web_peers


def values_of(kind: Kind, form: Mapping[str, str]) -> dict[str, Any]:
    """Return the values that the fields of a form say; None for one that was left empty."""
    return {one.key: _value(one, form.get(one.key)) for one in kind.fields}


def addition(kind: Kind, values: Mapping[str, Any]) -> Edit:
    """Return the edit that adds an entry: with what differs from the defaults alone."""
    defaults = kind.defaults()
    return AddEntry(
        array=kind.array,
        values={
            key: value
            for key, value in values.items()
            if value is not None and (key not in defaults or value != defaults[key])
        },
    )


def alteration(kind: Kind, entry: Entry, values: Mapping[str, Any]) -> Edit:
    """Return the edit that changes what differs from the present entry; defaults are not named."""
    defaults = kind.defaults()
    changed: dict[str, Any] = {}
    for key, value in values.items():
        if value == entry.values.get(key):
            continue
        is_default = key in defaults and value in (None, defaults[key])
        changed[key] = None if is_default else "" if value is None else value
    return ChangeEntry(array=kind.array, match=entry.match, values=changed)


def removal(kind: Kind, entry: Entry) -> Edit:
    """Return the edit that removes an entry."""
    return RemoveEntry(array=kind.array, match=entry.match)


def placed(faults: Sequence[SettingsFault], kind: Kind, place: int) -> PlacedFaults:
    """Return the faults of the entry at a place, counted from 0, beside their fields."""
    begin = re.compile(rf"{re.escape(kind.array)}\[{place + 1}\]\.(?P<key>\w+)")
    known = {one.key for one in kind.fields}
    by_key: dict[str, str] = {}
    others = []
    for fault in faults:
        here = begin.match(fault.key)
        if here and here["key"] in known:
            words = str(fault)
            by_key[here["key"]] = (
                f"{by_key[here['key']]}; {words}" if here["key"] in by_key else words
            )
        else:
            others.append(str(fault))
    return PlacedFaults(by_key=by_key, others=tuple(others))


def _value(one: Field, text: str | None) -> object:
    if one.shape is Shape.TICK:
        return text is not None
    stripped = (text or "").strip()
    if not stripped:
        return None
    if one.shape is Shape.LIST:
        return [part.strip() for part in stripped.split(",") if part.strip()]
    return typed_number(stripped) if one.shape is Shape.NUMBER else stripped


def _plain(value: object) -> object:
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return value
