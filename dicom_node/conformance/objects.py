"""Annexes of the statement: what the objects hold, where it comes from, and which codes are used.

Attributes and content trees are those that were found in objects of every kind
(``made_objects.json``, written by ``make conformance``); codes and mappings are the tables that
the encoders use.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from pydicom.sr.coding import Code
from pydicom.uid import UID

_FILE: Final = Path(__file__).with_name("made_objects.json")

#: Longest value that is shown whole in a table.
_LONGEST = 60

_INTRODUCTION: Final = """
## Annex A.A Information Object Definitions (IODs)

Found in objects that were made of simulated patients. No private attribute is written. A sequence
stands before the attributes of its items, one `>` for each level; deeper levels than three are
those of the standard's macros. Per-frame items are listed once.

| Word | Means |
| --- | --- |
| ALWAYS | present with a value in every object |
| VNAP | always present, sometimes without a value |
| ANAP | not always present |
| EMPTY | present without a value |
| COPY | copied from the source images |
| FIXED | the value that is shown; several if it depends on the kind of object |
| AUTO | made by the node |
"""

_TREE_INTRODUCTION: Final = """
## Annex A.B Structured Report Content Encoding

All reports are Comprehensive 3D SR; key objects are a Key Object Selection Document, which has no
flags. Content items of one concept stand once; the number says how
often an item may occur below its parent. Completion Flag is COMPLETE, Preliminary Flag
PRELIMINARY, Verification Flag UNVERIFIED; the observer is the device. Measurement groups are TID
1411 (with the segment) and TID 1410 (with an outline on a slice).
"""


def object_annexes() -> str:
    """Return annexes A.A and A.B in Markdown."""
    found = json.loads(_FILE.read_text(encoding="utf-8"))
    return _definitions(found["attributes"]) + _trees(found["trees"], found["roots"])


def _definitions(attributes: Mapping[str, list[dict[str, Any]]]) -> str:
    common = _shared(attributes)
    parts = [
        _INTRODUCTION,
        "\n### A.A.1 Information Shared Across Multiple IODs\n",
        _attribute_table([row for row in next(iter(attributes.values())) if _key(row) in common]),
    ]
    for number, (uid, rows) in enumerate(attributes.items(), start=2):
        own = [row for row in rows if _key(row) not in common]
        parts.append(f"\n### A.A.{number} {UID(uid).name}\n")
        parts.append(_attribute_table(own))
    return "\n".join(parts)


def _shared(attributes: Mapping[str, list[dict[str, Any]]]) -> set[str]:
    keys = [{_key(row) for row in rows} for rows in attributes.values()]
    return set.intersection(*keys)


def _key(row: Mapping[str, Any]) -> str:
    return json.dumps(row, sort_keys=True)


def _attribute_table(rows: list[dict[str, Any]]) -> str:
    lines = [
        "| Attribute | Tag | VR | Module | Type | Presence | Source | Value |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        name = f"{'&gt;' * (len(row['path']) - 1)} {row['path'][-1]}".strip()
        values = ", ".join(f"`{_cut(value)}`" for value in row["values"])
        module = row["module"].replace("-", " ")
        lines.append(
            f"| {name} | ({row['tag']}) | {row['vr']} | {module} | {row['type']} "
            f"| {row['presence']} | {row['source']} | {values} |"
        )
    return "\n".join(lines) + "\n"


def _cut(value: str) -> str:
    return value if len(value) <= _LONGEST else f"{value[:_LONGEST]}..."


def _trees(trees: Mapping[str, list[dict[str, Any]]], roots: Mapping[str, str]) -> str:
    parts = [_TREE_INTRODUCTION]
    for number, (title, rows) in enumerate(sorted(trees.items()), start=1):
        parts.append(f"\n### A.B.{number} {title}\n")
        parts.append("| Content item | Type | Relationship | Number | Values |")
        parts.append("| --- | --- | --- | --- | --- |")
        parts.append(f"| Root: {roots[title]} | CONTAINER | | 1 | |")
        for row in rows:
            marks = "&gt;" * (row["depth"] + 1)
            parts.append(
                f"| {marks} {row['concept']} | {row['type']} | {row['relationship']} "
                f"| {row['number']} | {', '.join(row['values'])} |"
            )
    return "\n".join(parts) + "\n"


def mapping_annex() -> str:
    """Return annex A.D in Markdown: what results inherit, and how it is repaired."""
    from dicom_node.results.patient_study import (
        COPIED_OF_PATIENT_AND_STUDY,
        REQUIRED_OF_PATIENT_AND_STUDY,
    )

    rows = [
        *(
            (name, "copied; empty where the source has none")
            for name in REQUIRED_OF_PATIENT_AND_STUDY
        ),
        *((name, "copied where the source has a value") for name in COPIED_OF_PATIENT_AND_STUDY),
    ]
    table = "\n".join(f"| {_called(name)} | {what} |" for name, what in rows)
    return f"{_MAPPING}\n| Attribute | Mapping |\n| --- | --- |\n{table}\n{_COERCIONS}"


_MAPPING: Final = """
## Annex A.D Mapping of Attributes

From the source images to every object that is made of them. Comparisons belong to the study of
the follow-up, but the segmentation of the baseline belongs to the study of the baseline.
"""

_COERCIONS: Final = """
Received data sets are never changed. In results the character set becomes ISO_IR 192 (UTF-8). A
birth date, study date or study time that is no DICOM date or time, and a sex other than M, F or O,
become empty. Items of Other Patient IDs Sequence that lack a required attribute are left out.
Where Patient Identity Removed is YES without a method, De-identification Method says that the
source states none. Times are written in the time zone that the study states.
"""


def _called(keyword: str) -> str:
    from pydicom.datadict import dictionary_description, tag_for_keyword

    tag = int(tag_for_keyword(keyword) or 0)
    return f"{dictionary_description(keyword)} ({tag >> 16:04X},{tag & 0xFFFF:04X})"


_CODES: Final = """
## Annex A.E Code Set Usage

Every code that an object may hold, by coding scheme. The private scheme `{scheme}` has the UID
`{uid}` and version {version}; every object names it in its Coding Scheme Identification Sequence
(0008,0110).
"""


def code_annex() -> str:
    """Return annex A.E in Markdown, from the table that the encoders use."""
    from dicom_node.results import codes

    by_scheme: dict[str, dict[str, str]] = {}
    for code in _codes(vars(codes)):
        by_scheme.setdefault(code.scheme_designator, {})[code.value] = code.meaning
    parts = [
        _CODES.format(
            scheme=codes.PRIVATE_SCHEME,
            uid=codes.PRIVATE_SCHEME_UID,
            version=codes.PRIVATE_SCHEME_VERSION,
        ),
        "| Scheme | Code | Meaning |",
        "| --- | --- | --- |",
    ]
    for scheme in sorted(by_scheme):
        parts += [
            f"| {scheme} | `{value}` | {meaning} |"
            for value, meaning in sorted(by_scheme[scheme].items())
        ]
    return "\n".join(parts) + "\n"


def _codes(names: Mapping[str, Any]) -> Iterator[Code]:
    for name, value in names.items():
        if name.isupper():
            yield from _codes_in(value)


def _codes_in(value: object) -> Iterator[Code]:
    if isinstance(value, Code):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _codes_in(one)
    elif isinstance(value, tuple):
        for one in value:
            yield from _codes_in(one)
