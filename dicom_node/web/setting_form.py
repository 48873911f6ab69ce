"""What a form says of one key of the settings, and what its answer changes there. Pure."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from dicom_node.configuration.desk import ConfigurationFile
from dicom_node.configuration.edits import SetValue
from dicom_node.configuration.setting_keys import (
    SettingKey,
    ValueShape,
    parsed_value,
    typed_number,
    value_in_file,
)
from dicom_node.settings.contradictions import SettingsFault

#: More than any list of rules.
LONGEST_VALUE: Final = 20_000

_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedFaults:
    """Faults that a change would bring: those of the key itself, and those of others."""

    here: tuple[str, ...] = ()
    others: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.here or self.others)


@dataclass(frozen=True, slots=True, kw_only=True)
class FilledSetting:
    """The form of one key as it is shown.

    Attributes
    ----------
    one : SettingKey
        The key.
    text : str
        What stands in the field.
    takes_default : bool
        Whether the key shall get its default back.
    why : str
        For the history.
    present : str or None
        What the file says now; None if it does not name the key.
    faults : PlacedFaults
        What is wrong with what stands in the field.
    diff : str
        What would change; empty if nothing was looked at yet.
    is_same : bool
        Whether the file says that already.
    """

    one: SettingKey
    text: str
    present: str | None
    takes_default: bool = False
    why: str = ""
    faults: PlacedFaults = field(default_factory=PlacedFaults)
    diff: str = ""
    is_same: bool = False

    @property
    def seen(self) -> str:
        """What tells this change from any other."""
        return hashlib.sha256(self.diff.encode()).hexdigest()


def field_text(found: ConfigurationFile, one: SettingKey) -> str:
    """Return what stands in the field at first: the file's value, else the default."""
    written = value_in_file(found, one)
    text = one.default if written is None else written
    if one.shape in (ValueShape.TEXT, ValueShape.CHOICE):
        value = parsed_value(text) if text else ""
        return value if isinstance(value, str) else text
    return text


def setting_edit(one: SettingKey, form: Mapping[str, str]) -> SetValue:
    """Return the edit that a form asks for."""
    if "default" in form:
        return SetValue(table=one.table, key=one.key, value=None)
    text = form.get("value", "")[:LONGEST_VALUE].replace("\r\n", "\n")
    if one.shape not in (ValueShape.LIST, ValueShape.TABLE):
        text = _UNPRINTABLE.sub(" ", text).replace("\n", " ").strip()
    return SetValue(table=one.table, key=one.key, value=_value(one.shape, text))


def placed(faults: Sequence[SettingsFault], one: SettingKey) -> PlacedFaults:
    """Return faults beside the key, or apart from it."""
    begin = re.compile(rf"{re.escape(one.name)}(?:$|[.\[])")
    return PlacedFaults(
        here=tuple(str(fault) for fault in faults if begin.match(fault.key)),
        others=tuple(str(fault) for fault in faults if not begin.match(fault.key)),
    )


def _value(shape: ValueShape, text: str) -> bool | int | float | str:
    if shape is ValueShape.YES_NO and text in ("true", "false"):
        return text == "true"
    if shape in (ValueShape.WHOLE, ValueShape.DECIMAL):
        return typed_number(text)
    if shape in (ValueShape.LIST, ValueShape.TABLE):
        value: bool | int | float | str = parsed_value(text)
        return value
    return text
