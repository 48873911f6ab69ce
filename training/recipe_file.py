"""Recipes as TOML files: read, and turned into data classes that know their keys."""

import dataclasses
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

_Recipe = TypeVar("_Recipe")


def read_toml(path: Path) -> dict[str, Any]:
    """Return what a TOML file says.

    Raises
    ------
    ValueError
        If it is no TOML; the message names the file.
    """
    with path.open("rb") as stream:
        try:
            return tomllib.load(stream)
        except tomllib.TOMLDecodeError as error:
            raise ValueError(f"{path} is no TOML: {error}") from error


def read_recipe_file(
    kind: type[_Recipe], path: Path, tables: Mapping[str, type[Any]] | None = None
) -> _Recipe:
    """Return the data class that a TOML file describes.

    Parameters
    ----------
    kind : type
        A data class.
    path : Path
        The file.
    tables : mapping of str to type
        Data classes of its tables, by their name.

    Raises
    ------
    ValueError
        If the file is no TOML, a key is unknown or missing, or a value impossible; the message
        names the file and the table.
    """
    content = read_toml(path)
    for name, table in (tables or {}).items():
        if name in content:
            content[name] = from_table(table, content[name], where=f"{path}, [{name}]")
    return from_table(kind, content, where=str(path))


def from_table(kind: type[_Recipe], content: Mapping[str, Any], *, where: str) -> _Recipe:
    """Return a data class made of a TOML table; arrays become tuples.

    Raises
    ------
    ValueError
        If a key is unknown or missing, or a value impossible; the message begins with `where`.
    """
    fields = {item.name: item for item in dataclasses.fields(kind)}  # type: ignore[arg-type]  # says no more than that it is a class
    unknown = sorted(set(content) - set(fields))
    if unknown:
        raise ValueError(f"{where}: unknown key {', '.join(unknown)}; known: {', '.join(fields)}")
    missing = sorted(
        name
        for name, item in fields.items()
        if name not in content
        and item.default is dataclasses.MISSING
        and item.default_factory is dataclasses.MISSING
    )
    if missing:
        raise ValueError(f"{where}: missing key {', '.join(missing)}")
    values = {
        name: tuple(value) if isinstance(value, list) else value for name, value in content.items()
    }
    try:
        return kind(**values)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: {error}") from error
