"""Edits carried out on the text of a settings file: comments, order and layout stay.

Tables that the file lacks are put where `Settings` has them, not at its end.
"""

import json
import re
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AoT, Array, Item, Table

from dicom_node.configuration.edits import (
    ARRAYS,
    VALUE,
    AddEntry,
    ChangeEntry,
    Edit,
    Plain,
    RemoveEntry,
    SetValue,
)
from dicom_node.settings.contradictions import SettingsFault
from dicom_node.settings.schema import Settings

_KEY = re.compile(r"[A-Za-z0-9_-]+")
_HEADER = re.compile(r"\[\[?\s*([A-Za-z0-9_-]+)\s*\]\]?\s*(#.*)?")

#: Comment behind a header that is taken out of the text again.
_MARK = "ichnode takes this line out"
_MARKED = re.compile(rf"^\[\[[^\n]*# {_MARK}\n?", re.MULTILINE)

#: Lists that stand as one ``[[...]]`` block per entry.
_BLOCKS = tuple(name for name, field in Settings.model_fields.items() if field.default == ())


class EditError(ValueError):
    """An edit does not fit the file.

    Attributes
    ----------
    fault : SettingsFault
        What was found, and what was expected.
    """

    def __init__(self, fault: SettingsFault) -> None:
        super().__init__(str(fault))
        self.fault = fault


def edited(text: str, edits: Sequence[Edit]) -> str:
    """Return the text of a settings file after edits, made one after the other.

    Raises
    ------
    EditError
        If the text is no TOML, or an edit names a list or an entry that is not there.
    """
    for edit in edits:
        try:
            text = _edited(text, edit)
        except TOMLKitError as error:
            raise EditError(
                SettingsFault(key="file", found=str(error), expected="readable TOML in UTF-8")
            ) from error
    return text


def _edited(text: str, edit: Edit) -> str:
    document = tomlkit.parse(text)
    if isinstance(edit, SetValue):
        return _with_value(text, document, edit)
    if edit.array in _BLOCKS:
        return _with_block(text, document, edit)
    if edit.array not in ARRAYS:
        known = ", ".join(sorted({*ARRAYS, *_BLOCKS}))
        raise EditError(SettingsFault(key=edit.array, found="no list", expected=f"one of {known}"))
    return _with_entry(text, document, edit)


def _with_value(text: str, document: tomlkit.TOMLDocument, edit: SetValue) -> str:
    table = document.get(edit.table)
    if table is None:
        if edit.value is None:
            return text
        fresh = tomlkit.document()
        fresh[edit.table] = {edit.key: _item(edit.value)}
        return _inserted(text, edit.table, tomlkit.dumps(fresh))
    if not isinstance(table, MutableMapping):
        fault = SettingsFault(key=edit.table, found=_shown(table), expected="a table")
        raise EditError(fault)
    _set_keys(table, {edit.key: edit.value})
    return tomlkit.dumps(document)


def _with_block(
    text: str, document: tomlkit.TOMLDocument, edit: AddEntry | ChangeEntry | RemoveEntry
) -> str:
    blocks = document.get(edit.array)
    if blocks is not None and not isinstance(blocks, AoT):
        raise EditError(
            SettingsFault(key=edit.array, found=_shown(blocks), expected="[[...]] blocks")
        )
    if isinstance(edit, AddEntry):
        lines = "\n".join(_pairs(edit.values))
        block = f"[[{edit.array}]]\n{lines}\n"
        return _inserted(text, edit.array, block, behind=bool(blocks))
    entries = list(blocks.body) if blocks is not None else []
    table = entries[_place(entries, edit.array, edit.match)]
    if isinstance(edit, ChangeEntry):
        _set_keys(table, edit.values)
        return tomlkit.dumps(document)
    # Comments behind the last key belong to what follows: they stay.
    body = table.value.body
    last = max((i for i, (key, _) in enumerate(body) if key is not None), default=-1)
    del body[: last + 1]
    table.comment(_MARK)
    return _without_gap(tomlkit.dumps(document))


def _with_entry(
    text: str, document: tomlkit.TOMLDocument, edit: AddEntry | ChangeEntry | RemoveEntry
) -> str:
    name, _, key = edit.array.partition(".")
    table = document.get(name)
    entries = table.get(key) if isinstance(table, MutableMapping) else None
    if entries is None:
        if isinstance(edit, AddEntry):
            default = _default_entries(name, key)
            return _with_value(
                text, document, SetValue(table=name, key=key, value=[*default, _entry(edit)])
            )
        whole = SetValue(table=name, key=key, value=_default_entries(name, key))
        return _edited(_with_value(text, document, whole), edit)
    if not isinstance(entries, Array):
        raise EditError(
            SettingsFault(key=edit.array, found=_shown(entries), expected="a list in [ ]")
        )
    if isinstance(edit, AddEntry):
        entries.append(_item(_entry(edit)))
        return tomlkit.dumps(document)
    place = _place(list(entries), edit.array, edit.match)
    if isinstance(edit, RemoveEntry):
        del entries[place]
    else:
        bare = ARRAYS[edit.array]
        old = entries[place]
        values = dict(old) if isinstance(old, Mapping) else {bare: old}
        merged = {**values, **edit.values}
        kept = {each: value for each, value in merged.items() if value is not None}
        fresh = AddEntry(array=edit.array, values=kept)
        entries[place] = _item(_entry(fresh))
    return tomlkit.dumps(document)


def _default_entries(table: str, key: str) -> list[Plain]:
    """Return what a list that the file lacks stands for: an entry is added to that."""
    found = getattr(getattr(Settings(), table), key)
    if found is None:  # the selection's own rules
        from dicom_node.intake.default_rules import DEFAULT_RULES

        rules = getattr(DEFAULT_RULES, key)
        if key == "prefer":
            return [
                {**_rule(preference.rule), "points": preference.points} for preference in rules
            ]
        return [_rule(rule) for rule in rules]
    return [one if isinstance(one, str) else one.model_dump(mode="json") for one in found]


def _rule(rule: Any) -> dict[str, Plain]:  # noqa: ANN401 - a TextRule; intake is not imported
    return {"attribute": rule.attribute.value, "pattern": rule.pattern}


def _entry(edit: AddEntry) -> Plain:
    """Return an entry as it stands in its list: a bare text if it says nothing but that."""
    bare = ARRAYS[edit.array]
    if set(edit.values) == {bare} and bare in {VALUE, "ae_title"}:
        return edit.values[bare]
    return edit.values


def _place(entries: Sequence[Any], array: str, match: Mapping[str, Plain]) -> int:
    """Return where the one entry stands that fits.

    Raises
    ------
    EditError
        If none fits, or several do.
    """
    bare = ARRAYS.get(array, "name")
    values = [one if isinstance(one, Mapping) else {bare: one} for one in entries]
    fitting = [
        place
        for place, one in enumerate(values)
        if match and all(one.get(key) == value for key, value in match.items())
    ]
    if len(fitting) == 1:
        return fitting[0]
    known = ", ".join(str(one.get(bare)) for one in values) or "none at all"
    found = f"{len(fitting)} entries with {_shown(match)}"
    raise EditError(SettingsFault(key=array, found=found, expected=f"one; there are: {known}"))


def _set_keys(table: MutableMapping[str, Any], values: Mapping[str, Plain | None]) -> None:
    for key, value in values.items():
        if value is None:
            table.pop(key, None)
        else:
            table[key] = _item(value)


def _item(value: Plain) -> Item:
    """Return a value as it is written: patterns in single quotes, entries on one line."""
    if isinstance(value, str):
        literal = "\\" in value and "'" not in value and value.isprintable()
        return tomlkit.string(value, literal=literal)
    if isinstance(value, Mapping):
        # Written and parsed again: tomlkit's own tables have no space inside the brackets.
        document = tomlkit.parse(f"entry = {{ {', '.join(_pairs(value))} }}")
        return document.body[0][1]
    if isinstance(value, Sequence):
        array = tomlkit.array()
        array.extend(_item(one) for one in value)
        has_tables = any(isinstance(one, Mapping) for one in value)
        return array.multiline(multiline=has_tables)
    return tomlkit.item(value)


def _pairs(values: Mapping[str, Plain]) -> Iterator[str]:
    """Yield keys and values as they are written. Raises EditError if a key is none."""
    for key, value in values.items():
        if not _KEY.fullmatch(key):
            raise EditError(
                SettingsFault(key="key", found=_shown(key), expected="letters, digits, - and _")
            )
        yield f"{key} = {_item(value).as_string()}"


def _inserted(text: str, name: str, block: str, *, behind: bool = False) -> str:
    """Return the text with a block where a table of that name belongs.

    Parameters
    ----------
    text
        Of the file.
    name
        Of a table.
    block
        Its text, header first.
    behind
        Whether there are such tables already; the block comes behind the last of them.
    """
    lines = text.splitlines(keepends=True)
    order = list(Settings.model_fields)
    place = len(lines)
    headers = list(_headers(lines))
    if behind:
        last = max(number for number, found in headers if found == name)
        later = [number for number, _ in headers if number > last]
    else:
        rank = order.index(name) if name in order else len(order)
        later = [
            number for number, found in headers if found in order and order.index(found) > rank
        ]
    if later:
        place = later[0]
        while place > 0 and lines[place - 1].startswith("#"):  # that table's own comment
            place -= 1
    before, after = "".join(lines[:place]), "".join(lines[place:])
    if before and not before.endswith("\n"):
        before += "\n"
    gap = "" if not before or before.endswith("\n\n") else "\n"
    rest = f"\n{after}" if after else ""
    return f"{before}{gap}{block.rstrip()}\n{rest}"


def _headers(lines: Sequence[str]) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(lines):
        found = _HEADER.fullmatch(line.strip())
        if found:
            yield number, found[1]


def _without_gap(text: str) -> str:
    """Return the text without the marked header, and without the blank line that it leaves."""
    before, after = _MARKED.split(text, maxsplit=1)
    if before.endswith("\n\n") and after.startswith("\n"):
        after = after[1:]
    return before + after


def _shown(value: object) -> str:
    unwrapped = value.unwrap() if isinstance(value, Item | Table) else value
    return json.dumps(unwrapped, default=str)
