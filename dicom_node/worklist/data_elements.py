"""Data elements as DICOM JSON spells them (PS3.18, annex F): read with care, written."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

#: A data set in DICOM JSON.
Elements = dict[str, Any]

CODE_VALUE: Final = "00080100"
LONG_CODE_VALUE: Final = "00080119"
CODE_SCHEME: Final = "00080102"
CODE_MEANING: Final = "00080104"


def text(data_set: Mapping[str, Any], tag: str) -> str:
    """Return the first value of an element, empty if there is none or it is no text."""
    value = next(iter(_values(data_set, tag)), "")
    return value.strip() if isinstance(value, str) else ""


def items(data_set: Mapping[str, Any], tag: str) -> Iterator[Mapping[str, Any]]:
    """Return the items of a sequence, none if it is no sequence."""
    for item in _values(data_set, tag):
        if isinstance(item, dict):
            yield item


def is_uid(value: str) -> bool:
    """Return whether a text is a UID (PS3.5, section 9.1), so that it can stand in a path."""
    parts = value.split(".")
    return len(value) <= 64 and all(part.isascii() and part.isdecimal() for part in parts)  # noqa: PLR2004 - PS3.5


def code(item: Mapping[str, Any]) -> dict[str, str]:
    """Return a code by the names ``value``, ``scheme`` and ``meaning``."""
    return {
        "value": text(item, CODE_VALUE) or text(item, LONG_CODE_VALUE),
        "scheme": text(item, CODE_SCHEME),
        "meaning": text(item, CODE_MEANING),
    }


def element(vr: str, *values: object) -> Elements:
    """Return an element; without values it is empty."""
    return {"vr": vr, "Value": list(values)} if values else {"vr": vr}


def sequence(*content: Elements) -> Elements:
    """Return a sequence of items."""
    return element("SQ", *content)


def code_item(value: Mapping[str, str]) -> Elements:
    """Return the item of a code sequence."""
    long = len(value["value"]) > 16  # noqa: PLR2004 - PS3.5, VR SH
    found = {
        (LONG_CODE_VALUE if long else CODE_VALUE): element("UC" if long else "SH", value["value"])
    }
    if value.get("scheme"):
        found[CODE_SCHEME] = element("SH", value["scheme"])
    found[CODE_MEANING] = element("LO", value.get("meaning") or value["value"])
    return found


def moment(at: datetime) -> str:
    """Return a time as VR DT has it, in UTC.

    Raises
    ------
    ValueError
        If it is not aware.
    """
    if at.tzinfo is None:
        raise ValueError(f"A time of a workitem must be aware, got {at}")
    return at.strftime("%Y%m%d%H%M%S.%f%z")


def _values(data_set: Mapping[str, Any], tag: str) -> Sequence[Any]:
    found = data_set.get(tag)
    values = found.get("Value") if isinstance(found, dict) else None
    return values if isinstance(values, list) else []
