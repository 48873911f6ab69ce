"""The one-page report as Encapsulated PDF, for archives that show no structured report."""

from typing import Final

from pydicom.dataset import Dataset
from pydicom.uid import EncapsulatedPDFStorage

from dicom_node.results import codes, wording
from dicom_node.results.context import ResultContext
from dicom_node.results.header import coded, stamp
from dicom_node.results.identity import ResultIdentity, ResultRole
from dicom_node.results.pdf_page import pdf_page
from dicom_node.results.record import analysis_record
from dicom_node.results.source import SourceSeries
from dicom_node.results.summary_picture import draw_summary
from pipeline.analysis import IchAnalysis
from pipeline.volume import CtVolume

SERIES_NUMBER: Final = 908
SERIES_DESCRIPTION: Final = f"AI HE report page {wording.RESEARCH_MARK}"
DOCUMENT_TITLE: Final = f"Hematoma expansion, {wording.RESEARCH_USE_ONLY}"


def encode_pdf(
    analysis: IchAnalysis,
    *,
    source: SourceSeries,
    volume: CtVolume,
    identity: ResultIdentity,
    context: ResultContext,
) -> Dataset:
    """Return the object (PS3.3, section A.45.1); its page names no patient."""
    record = analysis_record(
        analysis, series_instance_uid=source.series_instance_uid, context=context, steps_s={}
    )
    page = pdf_page(record, draw_summary(analysis, volume, record))
    result = Dataset()
    result.SOPClassUID = EncapsulatedPDFStorage
    result.SOPInstanceUID = identity.uid(ResultRole.PDF)
    result.SeriesInstanceUID = identity.uid(ResultRole.PDF_SERIES)
    result.Modality = "DOC"
    result.InstanceNumber = 1
    result.ConversionType = "WSD"
    result.AcquisitionDateTime = ""
    result.BurnedInAnnotation = "NO"
    result.RecognizableVisualFeatures = "NO"
    result.DocumentTitle = DOCUMENT_TITLE
    result.ConceptNameCodeSequence = [coded(codes.REPORT_TITLE)]
    result.VerificationFlag = "UNVERIFIED"
    result.SourceInstanceSequence = [image.reference() for image in source.instances()]
    result.MIMETypeOfEncapsulatedDocument = "application/pdf"
    result.EncapsulatedDocument = page + b"\0" * (len(page) % 2)
    result["EncapsulatedDocument"].VR = "OB"
    result.EncapsulatedDocumentLength = len(page)
    stamp(
        result,
        source=source,
        context=context,
        series_number=SERIES_NUMBER,
        series_description=SERIES_DESCRIPTION,
    )
    return result
