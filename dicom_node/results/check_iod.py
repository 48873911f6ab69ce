"""Whether an object has what its information object definition demands.

The tables of PS3.3 (modules of each IOD, attributes of each module) are those that highdicom
carries. Conditional modules and attributes are not judged.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from highdicom._standard_utils import (
    get_iod_module_map,
    get_module_attribute_map,
    get_sop_class_iod_map,
)
from pydicom.dataset import Dataset

#: Which macros of the functional groups apply is conditional.
_FUNCTIONAL_GROUPS: Final = (
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
)
#: The content tree is recursive; its items are judged by the report's own check.
_CONTENT_TREE: Final = "sr-document-content"

_Attributes = dict[tuple[str, ...], dict[str, str]]


def iod_faults(result: Dataset) -> list[str]:
    """Return every Type 1 or 2 attribute of mandatory modules that is missing or empty."""
    iod = get_sop_class_iod_map().get(str(result.get("SOPClassUID")))
    if iod is None:
        return [f"SOP Class {result.get('SOPClassUID')} has no table to be checked against"]
    faults: list[str] = []
    for module in get_iod_module_map()[iod]:
        if module["usage"] == "M" and module["key"] != _CONTENT_TREE:
            faults += _item_faults(result, (), _attributes(str(module["key"])))
    return sorted(set(faults))


def _attributes(module: str) -> _Attributes:
    """Return type by keyword, for every path of sequences in the module."""
    attributes: _Attributes = defaultdict(dict)
    for attribute in get_module_attribute_map()[module]:
        path = tuple(str(step) for step in attribute["path"])
        attributes[path][str(attribute["keyword"])] = str(attribute["type"])
    return attributes


def _item_faults(item: Dataset, path: tuple[str, ...], attributes: _Attributes) -> Iterator[str]:
    for keyword, kind in attributes.get(path, {}).items():
        if keyword not in item:
            if kind in ("1", "2") and not _is_conditional_macro(path):
                yield f"{'/'.join((*path, keyword))} (type {kind}) is missing"
            continue
        element = item[keyword]
        if kind == "1" and element.is_empty:
            yield f"{'/'.join((*path, keyword))} (type 1) is empty"
        if element.VR == "SQ":
            for nested in element.value:
                yield from _item_faults(nested, (*path, keyword), attributes)


def _is_conditional_macro(path: tuple[str, ...]) -> bool:
    return len(path) == 1 and path[0] in _FUNCTIONAL_GROUPS
