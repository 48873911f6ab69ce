"""Reading a structured report as plain items, by nothing of the code that builds one."""

from collections.abc import Iterator

from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from dicom_node.results import codes


def walk(item: Dataset) -> Iterator[Dataset]:
    """Yield every item below an item, depth first."""
    for child in item.get("ContentSequence") or ():
        yield child
        yield from walk(child)


def is_named(item: Dataset, name: Code) -> bool:
    """Return whether an item's concept name is `name`."""
    names = item.get("ConceptNameCodeSequence")
    if not names:
        return False
    return (names[0].CodeValue, names[0].CodingSchemeDesignator) == (
        name.value,
        name.scheme_designator,
    )


def named(item: Dataset, name: Code) -> Iterator[Dataset]:
    """Yield the children of that concept name."""
    return (child for child in item.get("ContentSequence") or () if is_named(child, name))


def answers(item: Dataset, question: Code) -> list[str]:
    """Return the code values of the children that answer a question."""
    return [str(child.ConceptCodeSequence[0].CodeValue) for child in named(item, question)]


def tracking_uid(group: Dataset) -> str:
    """Return the tracking UID of a measurement group, empty if it has none."""
    return next((str(item.UID) for item in named(group, codes.TRACKING_UID)), "")


def has_coordinates(group: Dataset) -> bool:
    """Return whether a measurement group draws something."""
    return any(child.get("ValueType") == "SCOORD" for child in group.ContentSequence)


def measures(item: Dataset, unit: str, expected: float, tolerance: float) -> bool:
    """Return whether a numeric item says what is expected, in the unit."""
    measured = item.MeasuredValueSequence[0]
    return (
        measured.MeasurementUnitsCodeSequence[0].CodeValue == unit
        and abs(float(measured.NumericValue) - expected) <= tolerance
    )


def evidence_uids(report: Dataset, keyword: str) -> set[str]:
    """Return the SOP Instance UIDs that an evidence sequence lists.

    Raises
    ------
    AttributeError
        If the report has no such sequence.
    """
    return {
        str(item.ReferencedSOPInstanceUID)
        for study in getattr(report, keyword)
        for series in study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    }


def referred_uids(report: Dataset) -> set[str]:
    """Return the SOP Instance UIDs of everything the content refers to."""
    return {
        str(item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID)
        for item in walk(report)
        if item.get("ValueType") in ("IMAGE", "COMPOSITE")
    }
