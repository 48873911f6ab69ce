"""The one-page report as Encapsulated PDF, for archives that show no structured report."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pydicom.dataset import Dataset
from pydicom.uid import EncapsulatedPDFStorage

from dicom_node.results import codes, wording
from dicom_node.results.context import ResultContext
from dicom_node.results.header import coded, stamp
from dicom_node.results.identity import ResultIdentity, ResultRole
from dicom_node.results.pdf_page import PageText, pdf_page
from dicom_node.results.record import analysis_record
from dicom_node.results.report_document import DocumentKind
from dicom_node.results.source import SourceImage, SourceSeries
from dicom_node.results.summary_page import numbers_of, title_of
from dicom_node.results.summary_picture import draw_summary
from pipeline.analysis import IchAnalysis
from pipeline.quality_flags import QualityFlag
from pipeline.volume import CtVolume


@dataclass(frozen=True, slots=True, kw_only=True)
class PageKind:
    """Which page it is.

    Attributes
    ----------
    document : DocumentKind
        Its series and what its UIDs stand for.
    title : str
        Title of the document.
    holds_dates : bool
        Whether dates of scans stand on the page, where de-identification does not look for them.
    """

    document: DocumentKind
    title: str
    holds_dates: bool = False


REPORT_PAGE: Final = PageKind(
    document=DocumentKind(
        series_number=908,
        series_description=f"AI HE report page {wording.RESEARCH_MARK}",
        series_role=ResultRole.PDF_SERIES,
        object_role=ResultRole.PDF,
    ),
    title=f"Hematoma expansion, {wording.RESEARCH_USE_ONLY}",
)


def encode_pdf(
    analysis: IchAnalysis,
    *,
    source: SourceSeries,
    volume: CtVolume,
    identity: ResultIdentity,
    context: ResultContext,
) -> Dataset:
    """Return the report of an analysis as a page, which names no patient."""
    record = analysis_record(
        analysis, series_instance_uid=source.series_instance_uid, context=context, steps_s={}
    )
    text = PageText(
        title=title_of(record),
        numbers=numbers_of(record),
        remarks=wording.flag_sentences(QualityFlag(value) for value in record["flags"]),
        models=record["model"],
    )
    return encapsulated(
        pdf_page(text, draw_summary(analysis, volume, record)),
        kind=REPORT_PAGE,
        images=source.instances(),
        source=source,
        identity=identity,
        context=context,
    )


def encapsulated(
    page: bytes,
    *,
    kind: PageKind,
    images: Sequence[SourceImage],
    source: SourceSeries,
    identity: ResultIdentity,
    context: ResultContext,
) -> Dataset:
    """Return a page as an object (PS3.3, section A.45.1).

    Parameters
    ----------
    images : sequence of SourceImage
        Instances that the page was made from.
    source : SourceSeries
        Whose patient and study the page belongs to.
    """
    result = Dataset()
    result.SOPClassUID = EncapsulatedPDFStorage
    result.SOPInstanceUID = identity.uid(kind.document.object_role)
    result.SeriesInstanceUID = identity.uid(kind.document.series_role)
    result.Modality = "DOC"
    result.InstanceNumber = 1
    result.ConversionType = "WSD"
    result.AcquisitionDateTime = ""
    result.BurnedInAnnotation = "YES" if kind.holds_dates else "NO"
    result.RecognizableVisualFeatures = "NO"
    result.DocumentTitle = kind.title
    result.ConceptNameCodeSequence = [coded(codes.REPORT_TITLE)]
    result.VerificationFlag = "UNVERIFIED"
    result.SourceInstanceSequence = [image.reference() for image in images]
    result.MIMETypeOfEncapsulatedDocument = "application/pdf"
    result.EncapsulatedDocument = page + b"\0" * (len(page) % 2)
    result["EncapsulatedDocument"].VR = "OB"
    result.EncapsulatedDocumentLength = len(page)
    stamp(
        result,
        source=source,
        context=context,
        series_number=kind.document.series_number,
        series_description=kind.document.series_description,
    )
    return result
