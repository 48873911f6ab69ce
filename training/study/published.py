"""Published values, by the keys of the measures that are their counterparts."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from training.recipe_file import from_table, read_toml

_FILE = Path(__file__).with_name("published.toml")


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedValue:
    """One published value.

    Attributes
    ----------
    text : str
        As printed.
    source : str
        Publication with table or figure.
    value : float or None
        The number alone; shares in [0, 1].
    words : str
        What it is, where the key does not say.
    """

    text: str
    source: str
    value: float | None = None
    words: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """All of them.

    Attributes
    ----------
    stages : mapping of str to str
        What the publications have, by the stage that repeats it.
    values : mapping of str to PublishedValue
        By key.
    """

    stages: Mapping[str, str]
    values: Mapping[str, PublishedValue]


def read_published() -> Published:
    """Return the table that comes with the package."""
    content = read_toml(_FILE)
    values = {
        key: from_table(PublishedValue, row, where=f"{_FILE.name}, {key}")
        for key, row in content["values"].items()
    }
    return Published(stages=content["stages"], values=values)
