"""Every key that can be set: what it is for, what it may be, and when a change takes effect."""

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any, Final

from dicom_node.configuration.desk import ConfigurationFile
from dicom_node.configuration.effects import Effect, effect_of
from dicom_node.settings.file import default_locations
from dicom_node.settings.schema import Settings

#: A key with its value, or with the beginning of one.
_KEY: Final = re.compile(r"([a-z][a-z0-9_]*) = ")
_TABLE: Final = re.compile(r"\[([a-z_]+)\]$")
#: A line of an example, which stands indented in a comment.
_EXAMPLE: Final = re.compile(r"#\s{2,}")
_WHOLE: Final = re.compile(r"[+-]?\d{1,18}")
_DECIMAL: Final = re.compile(r"[+-]?\d{1,18}\.\d{1,18}")


class ValueShape(StrEnum):
    """What a value is."""

    WHOLE = "whole number"
    DECIMAL = "decimal number"
    YES_NO = "yes or no"
    CHOICE = "one of a few"
    TEXT = "text"
    LIST = "list"  #: written as in the file
    TABLE = "table"  #: written as in the file


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingKey:
    """One key of a table.

    Attributes
    ----------
    table, key : str
        Which.
    help : str
        What the file that comes with the node says of it; lines of examples stand alone.
    shape : ValueShape
        What its value is.
    choices : tuple of str
        What there is to choose; empty unless it is one of a few.
    least, most : float or None
        Between which values a number lies, these included.
    more_than : float or None
        What a number must exceed.
    default : str
        As the file would have it; empty where the node decides for itself.
    effect : Effect
        When a change takes effect.
    """

    table: str
    key: str
    help: str
    shape: ValueShape
    choices: tuple[str, ...]
    least: float | None
    most: float | None
    more_than: float | None
    default: str
    effect: Effect

    @property
    def name(self) -> str:
        """Table and key, as the command line says them."""
        return f"{self.table}.{self.key}"


@cache
def setting_keys() -> Mapping[str, SettingKey]:
    """Return every key of every table by its name, in the order of the settings."""
    schema = Settings.model_json_schema()
    manual = _manual()
    defaults = Settings()
    found = {}
    for table in Settings.model_fields:
        reference = schema["properties"][table].get("$ref", "")
        if not reference:
            continue  # one block per entry: AE titles have their own page
        properties = schema["$defs"][reference.rpartition("/")[2]]["properties"]
        for key, about in properties.items():
            one = SettingKey(
                table=table,
                key=key,
                help=manual.get(f"{table}.{key}", ""),
                default=as_written(_plain(defaults, table, key)),
                effect=effect_of(table, key),
                **_limits(about),
            )
            found[one.name] = one
    return found


def parsed_value(text: str) -> Any:  # noqa: ANN401 - whatever TOML may hold
    """Return a value as TOML reads it; what is no TOML is a text."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, RecursionError):
        return text


def typed_number(text: str) -> int | float | str:
    """Return the number that somebody typed.

    What is none stays a text, so that the fault of the settings names it.
    """
    if _WHOLE.fullmatch(text):
        return int(text)
    return float(text) if _DECIMAL.fullmatch(text) else text


def as_written(value: object) -> str:
    """Return a value as a settings file has it on one line; an empty text for none."""
    if value is None:
        return ""
    if isinstance(value, Mapping):
        pairs = ", ".join(f"{key} = {as_written(one)}" for key, one in value.items())
        return f"{{ {pairs} }}" if pairs else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(as_written(one) for one in value)}]"
    return json.dumps(value, ensure_ascii=False, default=str)


def value_in_file(found: ConfigurationFile, one: SettingKey) -> str | None:
    """Return what the file says of a key, as it would be written; None if it does not name it."""
    table = found.document.get(one.table)
    if not isinstance(table, Mapping) or one.key not in table:
        return None
    return as_written(table[one.key])


def _plain(settings: Settings, table: str, key: str) -> object:
    return getattr(settings, table).model_dump(mode="json", exclude_none=True).get(key)


def _limits(about: Mapping[str, Any]) -> dict[str, Any]:
    """Return shape, choices and limits of a value by its JSON schema."""
    kind = about.get("type", "")
    choices = tuple(about.get("enum", ()))
    inner = [one.get("type") for one in about.get("anyOf", ())]
    if choices:
        shape = ValueShape.CHOICE
    elif "array" in (kind, *inner):
        shape = ValueShape.LIST
    else:
        shape = {
            "integer": ValueShape.WHOLE,
            "number": ValueShape.DECIMAL,
            "boolean": ValueShape.YES_NO,
            "string": ValueShape.TEXT,
        }.get(kind, ValueShape.TABLE)
    return {
        "shape": shape,
        "choices": choices,
        "least": about.get("minimum"),
        "most": about.get("maximum"),
        "more_than": about.get("exclusiveMinimum"),
    }


def _manual() -> Mapping[str, str]:
    """Return what the file that comes with the node says of each key."""
    for place in default_locations()[1:]:
        try:
            return explanations(place.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError):
            continue
    return {}


def explanations(text: str) -> Mapping[str, str]:
    """Return the comment above each key of a settings file, by ``table.key``.

    A comment holds for all keys that follow it without an empty line between them.
    """
    found: dict[str, str] = {}
    table, comment, was_key = "", list[str](), False
    for line in text.splitlines():
        if heading := _TABLE.match(line):
            table, comment, was_key = heading[1], [], False
        elif line.startswith("#"):
            comment = [line] if was_key else [*comment, line]
            was_key = False
        elif key := _KEY.match(line):
            found[f"{table}.{key[1]}"] = _joined(comment)
            was_key = True
        elif not line.strip():
            comment, was_key = [], False
    return found


def _joined(comment: list[str]) -> str:
    """Return a comment as running text; lines of an example stay lines."""
    words = ""
    for line in comment:
        example = _EXAMPLE.match(line) is not None
        body = line[1:].strip()
        if not body:
            words += "\n"
        elif example or words.endswith("\n"):
            words += f"\n{body}" if example else body
        else:
            words += f" {body}" if words else body
    return words.strip()
