"""The page of settings: ranges from the models, meanings from the manual, text of the file."""

import re
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
_ROW = re.compile(r"^\| `([a-z_]+)\.([a-z_0-9]+)` \|\s*(.*?)\s*\| (.*) \|$")
_TABLE = re.compile(r"^(?:# )?\[{1,2}([a-z_]+)\]{1,2}$")

_HEAD = """# Settings

Every setting of `config/node.toml`: written from the code, the file and the
[operation manual](operation.md#5-settings) when this site is built. A wrong value, an unknown key
or a contradiction stops every command before it does anything; `ichnode check` names all faults at
once.
"""


def settings_page() -> str:
    """Return the page in Markdown; that the manual knows every setting is another test's."""
    from dicom_node.settings.schema import Settings

    schema = Settings.model_json_schema()
    meanings = _meanings()
    texts = _texts()
    parts = [_HEAD]
    for table, field in schema["properties"].items():
        model = _resolved(field, schema)
        several = model.get("type") == "array"
        if several:
            model = _resolved(model["items"], schema)
        brackets = f"[[{table}]]" if several else f"[{table}]"
        rows = [
            _row(key, _type_of(one, schema), *meanings.get((table, key), ("", "see below")))
            for key, one in model["properties"].items()
        ]
        parts.append(f"\n## {table}\n\n`{brackets}`\n\n| Key | Type | Default | Meaning |\n")
        parts.append("| --- | --- | --- | --- |\n" + "\n".join(rows) + "\n")
        parts.append(f"\nIn the file:\n\n```toml\n{texts.get(table, '')}\n```\n")
    return "".join(parts)


def _row(key: str, kind: str, default: str, meaning: str) -> str:
    return f"| `{key}` | {kind} | {default or '-'} | {meaning} |"


def _meanings() -> dict[tuple[str, str], tuple[str, str]]:
    """Return default and meaning of each key, as the operation manual says them."""
    manual = (ROOT / "docs" / "operation.md").read_text(encoding="utf-8")
    found = {}
    for line in manual.splitlines():
        match = _ROW.match(line)
        if match:
            table, key, default, meaning = match.groups()
            found[table, key] = (default, meaning)
    return found


def _texts() -> dict[str, str]:
    """Return the lines of node.toml by table; a table in comments counts like any other."""
    text = (ROOT / "config" / "node.toml").read_text(encoding="utf-8")
    tomllib.loads(text)
    texts: dict[str, list[str]] = {}
    table = ""
    for line in text.splitlines():
        match = _TABLE.match(line)
        if match:
            table = match[1]
            texts[table] = []
        if table:
            texts[table].append(line)
    return {name: "\n".join(lines).strip() for name, lines in texts.items()}


def _resolved(one: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    reference = one.get("$ref") or next((each["$ref"] for each in one.get("allOf", ())), None)
    return schema["$defs"][reference.rsplit("/", 1)[-1]] if reference else one


def _type_of(one: dict[str, Any], schema: dict[str, Any]) -> str:
    one = {**_resolved(one, schema), **{k: v for k, v in one.items() if k != "$ref"}}
    kinds = [*one.get("anyOf", ()), *one.get("oneOf", ())]
    if kinds:
        kept = [kind for kind in kinds if kind.get("type") != "null"]
        return " or ".join(_type_of(kind, schema) for kind in kept)
    if "enum" in one:
        return ", ".join(f"`{value}`" if value else "empty" for value in one["enum"])
    if one.get("type") == "array":
        items = one.get("items") or {}
        return f"list of {_type_of(items, schema)}" if items else "list of numbers"
    name = {
        "boolean": "true or false",
        "integer": "whole number",
        "number": "number",
        "string": "text",
        "object": "table",
    }.get(one.get("type", ""), "text")
    return name + _range_of(one)


def _range_of(one: dict[str, Any]) -> str:
    low, high = one.get("minimum"), one.get("maximum")
    above, below = one.get("exclusiveMinimum"), one.get("exclusiveMaximum")
    words = []
    if low is not None:
        words.append(f"from {_plain(low)}")
    if above is not None:
        words.append(f"above {_plain(above)}")
    if high is not None:
        words.append(f"to {_plain(high)}")
    if below is not None:
        words.append(f"below {_plain(below)}")
    return f", {' '.join(words)}" if words else ""


def _plain(number: float) -> str:
    """Return a number without an exponent."""
    return str(int(number)) if number == int(number) else str(number)
