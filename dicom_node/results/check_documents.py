"""Whether page and key objects are what they must be, read from the objects themselves."""

from collections.abc import Iterator, Sequence
from typing import Final

from pydicom.dataset import Dataset
from pydicom.uid import UID, CTImageStorage, EnhancedCTImageStorage, SecondaryCaptureImageStorage

from dicom_node.results.broken_rules import Rules, broken

_CT: Final = (CTImageStorage, EnhancedCTImageStorage)


def pdf_faults(
    result: Dataset, sources: frozenset[str], *, holds_dates: bool = False
) -> Iterator[str]:
    """Yield what is wrong with the Encapsulated PDF.

    Parameters
    ----------
    sources : set of str
        SOP Instance UIDs of the images that it may be made from.
    holds_dates : bool
        Whether it says when scans were acquired.
    """
    burned_in = "YES" if holds_dates else "NO"
    rules: Rules = (
        ("the MIME type must be application/pdf", lambda: _mime(result) == "application/pdf"),
        ("the document must be a whole PDF of its stated length", lambda: _is_whole(result)),
        (
            f"BurnedInAnnotation must be {burned_in}",
            lambda: result.BurnedInAnnotation == burned_in,
        ),
        (
            "every source instance must be among the source",
            lambda: _referenced(result.SourceInstanceSequence) <= sources,
        ),
    )
    yield from broken(rules)


def key_object_faults(
    result: Dataset, sources: frozenset[str], captures: Sequence[Dataset], *, images: int = 1
) -> Iterator[str]:
    """Yield what is wrong with the selection of all captures and some source images.

    Parameters
    ----------
    sources : set of str
        SOP Instance UIDs of the images that may be selected.
    captures : sequence of Dataset
        All of which must be.
    images : int
        How many images must be.
    """
    drawn = {str(capture.SOPInstanceUID) for capture in captures}
    rules: Rules = (
        (
            "the title must be Of Interest",
            lambda: result.ConceptNameCodeSequence[0].CodeValue == "113000",
        ),
        ("it must select every capture", lambda: _captures(result) == drawn),
        (
            f"it must select {images} source image{'s' * (images != 1)}",
            lambda: len(_images(result)) == images and _images(result) <= sources,
        ),
        ("its evidence must be what it selects", lambda: _evidence(result) == _selected(result)),
        (
            "its evidence must be of its own study",
            lambda: _studies(result) == {str(result.StudyInstanceUID)},
        ),
    )
    yield from broken(rules)


def _mime(result: Dataset) -> str:
    return str(result.MIMETypeOfEncapsulatedDocument)


def _is_whole(result: Dataset) -> bool:
    page = bytes(result.EncapsulatedDocument)
    length = int(result.EncapsulatedDocumentLength)
    whole = page[:length]
    return (
        len(page) == length + length % 2
        and whole.startswith(b"%PDF-")
        and whole.rstrip().endswith(b"%%EOF")
    )


def _referenced(items: Sequence[Dataset]) -> frozenset[str]:
    return frozenset(str(item.ReferencedSOPInstanceUID) for item in items)


def _references(result: Dataset) -> list[Dataset]:
    return [
        reference
        for item in result.ContentSequence
        for reference in item.get("ReferencedSOPSequence", ())
    ]


def _selected(result: Dataset) -> frozenset[str]:
    return _referenced(_references(result))


def _captures(result: Dataset) -> frozenset[str]:
    return _of_classes(result, (SecondaryCaptureImageStorage,))


def _images(result: Dataset) -> frozenset[str]:
    return _of_classes(result, _CT)


def _of_classes(result: Dataset, classes: Sequence[UID]) -> frozenset[str]:
    return _referenced(
        [one for one in _references(result) if one.ReferencedSOPClassUID in classes]
    )


def _studies(result: Dataset) -> frozenset[str]:
    return frozenset(
        str(study.StudyInstanceUID) for study in result.CurrentRequestedProcedureEvidenceSequence
    )


def _evidence(result: Dataset) -> frozenset[str]:
    return frozenset(
        uid
        for study in result.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for uid in _referenced(series.ReferencedSOPSequence)
    )
