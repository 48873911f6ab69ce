"""Data sets as XML, after the Native DICOM Model (PS3.19, section A.1), turned into DICOM JSON.

A server's answer is a stranger's text: a document type declaration ends the reading, so that there
are no entities to be expanded or fetched, and nesting has an end.
"""

from typing import Any, Final
from xml.parsers import expat

#: A response to STOW-RS nests twice; a sender's own coding may go a little deeper.
_DEEPEST: Final = 32

#: Whole numbers (PS3.5, section 6.2); as many digits as the longest of them has.
_NUMBERS: Final = frozenset({"IS", "SL", "SS", "SV", "UL", "US", "UV"})
_MOST_DIGITS: Final = 20


class _RefusedError(Exception):
    """The document is not one that is read."""


class _Reader:
    """Builds the data set while expat reads."""

    def __init__(self) -> None:
        self.root: dict[str, Any] = {}
        self._data_sets = [self.root]
        self._elements: list[dict[str, Any]] = []
        self._text: list[str] | None = None
        self._depth = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise _RefusedError
        kind = name.rpartition(":")[2]
        if kind == "DicomAttribute":
            element: dict[str, Any] = {"vr": attributes.get("vr", ""), "Value": []}
            self._data_sets[-1][attributes.get("tag", "").upper()] = element
            self._elements.append(element)
        elif kind == "Item" and self._elements:
            item: dict[str, Any] = {}
            self._elements[-1]["Value"].append(item)
            self._data_sets.append(item)
        elif kind == "Value" and self._elements:
            self._text = []

    def end(self, name: str) -> None:
        self._depth -= 1
        kind = name.rpartition(":")[2]
        if kind == "DicomAttribute" and self._elements:
            self._elements.pop()
        elif kind == "Item" and len(self._data_sets) > 1:
            self._data_sets.pop()
        elif kind == "Value" and self._text is not None:
            element = self._elements[-1]
            element["Value"].append(_value(element["vr"], "".join(self._text).strip()))
            self._text = None

    def text(self, data: str) -> None:
        if self._text is not None:
            self._text.append(data)


def read_native_xml(document: bytes) -> dict[str, Any]:
    """Return the data set of a document in the form of DICOM JSON, empty if it cannot be read."""
    reader = _Reader()
    parser = expat.ParserCreate()
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = _refuse
    try:
        parser.Parse(document, True)
    except (expat.ExpatError, _RefusedError, ValueError, LookupError):
        return {}
    return reader.root


def _refuse(*_declaration: object) -> None:
    raise _RefusedError


def _value(vr: str, text: str) -> str | int:
    is_number = vr in _NUMBERS and text.isascii() and text.isdigit()
    return int(text) if is_number and len(text) <= _MOST_DIGITS else text
