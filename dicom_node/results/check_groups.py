"""What must hold for the measurement groups of every report."""

from collections.abc import Iterable, Iterator, Sequence

from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from dicom_node.results.content_tree import has_coordinates, measures, named, tracking_uid

#: Name, unit, values in the order of the groups, and tolerance.
Expected = tuple[Code, str, Sequence[float], float]


def group_faults(groups: Sequence[Dataset], expected: Iterable[Expected]) -> Iterator[str]:
    """Yield groups that draw nothing, and numbers that are not what was measured."""
    drawn = {tracking_uid(group) for group in groups if has_coordinates(group)}
    for number, group in enumerate(groups, start=1):
        if tracking_uid(group) not in drawn:
            yield f"group {number} has no coordinates: viewers would show a black image"
    for name, unit, values, tolerance in expected:
        items = [item for group in groups for item in named(group, name)]
        if len(items) != len(values) or not all(
            measures(item, unit, value, tolerance)
            for item, value in zip(items, values, strict=True)
        ):
            yield f"{name.meaning} must be given {len(values)} times, in {unit}, as measured"
