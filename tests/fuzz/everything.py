"""All targets of the campaign, and how many cases each gets."""

from collections.abc import Sequence
from functools import cache
from importlib import import_module

from fuzz.campaign import Target

#: By module: shares of the cases, about as many as a second has room for. What is quick to attack
#: is attacked more often.
_SHARES = {
    "data_sets": {"header": 20, "custody": 8, "file_meta": 30, "reader": 2, "pixels": 2},
    "texts": {"settings": 8, "stow_answer": 30, "commitment": 10},
    "papers": {"cards": 10, "found": 10, "identity": 10, "audit": 10, "log_lines": 30},
    "streams": {"stream": 20},
    "listeners": {"dicom": 2, "dicom_library": 2},
    "web_port": {"http": 5, "web": 4},
    "forms": {"forms": 4},
    "records": {"hello": 20, "tls": 1, "tls_library": 1},
    "services": {"workitem": 10, "multipart": 20, "native_xml": 20},
    "hostile_peers": {"peer": 1, "web_service": 5, "mail": 2},
}

_SHARE = {name: share for names in _SHARES.values() for name, share in names.items()}

NAMES = tuple(_SHARE)

#: Of each target, in a campaign that has so many.
_LEAST = 1000


def shared_out(cases: int, names: Sequence[str]) -> dict[str, int]:
    """Return how many cases each target gets; `cases` in all, or a few more."""
    least = min(_LEAST, cases // len(names))
    whole = sum(_SHARE[name] for name in names)
    return {name: max(least, -(-cases * _SHARE[name] // whole)) for name in names}


@cache
def targets_of(module: str) -> dict[str, Target]:
    """Return the targets of a module by their names."""
    # Heavy, and the parent of a campaign needs names only.
    found = import_module(f"fuzz.{module}").targets()
    return {target.name: target for target in found}


def target_named(name: str) -> Target:
    """Return a target."""
    (module,) = (module for module, names in _SHARES.items() if name in names)
    return targets_of(module)[name]
