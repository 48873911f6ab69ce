"""All targets of the campaign, and how many cases each gets."""

from collections.abc import Sequence
from functools import cache

from fuzz.campaign import Target

#: Shares of the cases, about as many as a second has room for: what is quick to attack is
#: attacked more often.
_SHARES = {
    "header": 20,
    "custody": 8,
    "file_meta": 30,
    "reader": 2,
    "pixels": 2,
    "identity": 10,
    "settings": 8,
    "cards": 10,
    "stow_answer": 30,
    "commitment": 10,
    "found": 10,
    "audit": 10,
    "log_lines": 30,
    "hello": 20,
    "dicom": 2,
    "tls": 1,
    "http": 5,
    "peer": 1,
    "web_service": 5,
}

NAMES = tuple(_SHARES)

#: Of each target, in a campaign that has so many.
_LEAST = 1000


def shared_out(cases: int, names: Sequence[str]) -> dict[str, int]:
    """Return how many cases each target gets; `cases` in all, or a few more."""
    least = min(_LEAST, cases // len(names))
    whole = sum(_SHARES[name] for name in names)
    return {name: max(least, -(-cases * _SHARES[name] // whole)) for name in names}


@cache
def all_targets() -> tuple[Target, ...]:
    """Return every target, in the order of `NAMES`."""
    from fuzz import (
        data_sets,
        hostile_peers,
        listeners,
        papers,
        records,
        texts,
    )  # heavy; the parent of a campaign needs names only

    modules = (data_sets, texts, papers, listeners, records, hostile_peers)
    found = {target.name: target for module in modules for target in module.targets()}
    return tuple(found[name] for name in NAMES)
