"""The page and the selection of key objects of a comparison, in the follow-up's study."""

from datetime import datetime
from typing import Final

from PIL import Image
from pydicom.dataset import Dataset

from dicom_node.results import comparison_wording, wording
from dicom_node.results.compared_pair import ComparedPair
from dicom_node.results.comparison_page import numbers_of, title_of
from dicom_node.results.comparison_picture import largest_slice
from dicom_node.results.comparison_record import comparison_record
from dicom_node.results.context import ResultContext
from dicom_node.results.encapsulated_pdf import PageKind, encapsulated
from dicom_node.results.identity import ResultRole
from dicom_node.results.key_objects import selection
from dicom_node.results.pdf_page import PageText, pdf_page
from dicom_node.results.report_document import DocumentKind

PAGE: Final = PageKind(
    document=DocumentKind(
        series_number=918,
        series_description=f"AI HE follow-up page {wording.RESEARCH_MARK}",
        series_role=ResultRole.COMPARISON_PDF_SERIES,
        object_role=ResultRole.COMPARISON_PDF,
    ),
    title=f"Hematoma follow-up, {wording.RESEARCH_USE_ONLY}",
    holds_dates=True,
)
KEY_OBJECTS: Final = DocumentKind(
    series_number=919,
    series_description=f"AI HE follow-up key objects {wording.RESEARCH_MARK}",
    series_role=ResultRole.COMPARISON_KEY_OBJECTS_SERIES,
    object_role=ResultRole.COMPARISON_KEY_OBJECTS,
)


def encode_comparison_pdf(
    pair: ComparedPair, picture: Image.Image, *, context: ResultContext
) -> Dataset:
    """Return the report of a comparison as a page below a picture of both scans."""
    return encapsulated(
        pdf_page(page_text(pair, context=context), picture),
        kind=PAGE,
        images=[*pair.follow_up.source.instances(), *pair.baseline.source.instances()],
        source=pair.follow_up.source,
        identity=pair.identity,
        context=context,
    )


def page_text(pair: ComparedPair, *, context: ResultContext) -> PageText:
    """Return what the page says; it names no patient, but when both scans were acquired."""
    record = comparison_record(
        pair.comparison,
        baseline_uid=pair.baseline.source.series_instance_uid,
        follow_up_uid=pair.follow_up.source.series_instance_uid,
        model=context.segmentation_card,
        steps_s={},
    )
    acquired = [
        (f"{name} acquired", _minute(scan.acquired))
        for name, scan in (("Baseline", pair.baseline), ("Follow-up", pair.follow_up))
    ]
    return PageText(
        title=title_of(record),
        numbers=[*acquired, *numbers_of(record)],
        remarks=[
            comparison_wording.DEFINITION[pair.comparison.with_ventricles],
            comparison_wording.SAME_MODEL,
            *comparison_wording.notes_of_record(record),
            *comparison_wording.quality_sentences(pair.comparison),
        ],
        models=record["model"],
    )


def encode_comparison_key_objects(
    pair: ComparedPair, capture: Dataset, *, context: ResultContext
) -> Dataset:
    """Return the selection: both scans side by side, and the slice of largest area.

    The follow-up's slice; the baseline's only where it lies in the same study, for a selection
    across studies would have to be stored in each of them (PS3.3, section C.17.6.2.1).
    """
    study = pair.follow_up.source.header.StudyInstanceUID
    slices = [
        (scan.source, largest_slice(scan.finding))
        for scan in (pair.follow_up, pair.baseline)
        if scan.source.header.StudyInstanceUID == study
        and not scan.finding.segmentation.hematoma.is_empty
    ]
    return selection(
        [capture],
        slices,
        kind=KEY_OBJECTS,
        description=comparison_wording.KEY_OBJECTS if slices else comparison_wording.BOTH_SCANS,
        source=pair.follow_up.source,
        identity=pair.identity,
        context=context,
    )


def _minute(moment: datetime) -> str:
    """Return a time with its zone, where the images say one."""
    return moment.isoformat(sep=" ", timespec="minutes")
