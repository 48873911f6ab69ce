"""The inline check: no object leaves before it has been looked at with other eyes.

Everything is read back from the objects themselves, by code that shares nothing with the code
that wrote them, and compared with the source images and the analysis.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from io import BytesIO
from typing import Final

from pydicom.dataset import Dataset
from pydicom.filewriter import dcmwrite

from dicom_node.results import wording
from dicom_node.results.broken_rules import Rules, broken
from dicom_node.results.bundle import ResultObjects
from dicom_node.results.check_documents import key_object_faults, pdf_faults
from dicom_node.results.check_forecast import forecast_faults
from dicom_node.results.check_iod import iod_faults
from dicom_node.results.check_report import report_faults
from dicom_node.results.check_segmentation import segmentation_faults
from dicom_node.results.check_uncertainty import uncertainty_faults
from dicom_node.results.errors import ResultCheckError
from dicom_node.results.source_frames import SourceFrames
from pipeline.analysis import HematomaFound, IchAnalysis

#: What must be equal in source and result: the same person, the same study.
_SAME: Final = ("StudyInstanceUID", "PatientID", "PatientName", "AccessionNumber")


def check_results(
    results: ResultObjects, *, source: Sequence[Dataset], analysis: IchAnalysis
) -> None:
    """Raise if any object of `results` is not what it must be.

    Parameters
    ----------
    results : ResultObjects
        What is about to be sent.
    source : sequence of Dataset
        The CT data sets; pixels are not needed.
    analysis : IchAnalysis
        What the objects must say.

    Raises
    ------
    ResultCheckError
        Naming every fault.
    """
    frames = SourceFrames(source)
    faults = [
        *_set_faults(results, frames, analysis),
        *(
            fault
            for result in results.in_send_order
            for fault in _named(result, (*object_faults(result, frames), *iod_faults(result)))
        ),
        *(
            fault
            for capture in results.captures
            for fault in _named(capture, _capture_faults(capture, frames))
        ),
        *_named(results.report, report_faults(results, frames, analysis)),
    ]
    if results.pdf is not None:
        faults += _named(results.pdf, pdf_faults(results.pdf, frames.sop_instance_uids))
    if results.key_objects is not None:
        selection = results.key_objects
        faults += _named(
            selection, key_object_faults(selection, frames.sop_instance_uids, results.captures)
        )
    if results.segmentation is not None and isinstance(analysis, HematomaFound):
        faults += _named(
            results.segmentation,
            segmentation_faults(results.segmentation, frames, analysis.mask),
        )
        faults += _forecast_faults(results, frames, analysis)
        faults += _map_faults(results, frames, analysis)
    if faults:
        raise ResultCheckError(faults)


def _forecast_faults(
    results: ResultObjects, frames: SourceFrames, analysis: HematomaFound
) -> list[str]:
    """Return what is wrong with the forecast's SEG, if one is sent."""
    made, measured = results.forecast, results.segmentation
    if made is None or measured is None or analysis.forecast is None:
        return []
    mask = analysis.forecast.follow_up
    return [
        f"forecast {each}"
        for each in _named(made, forecast_faults(made, frames, mask, measured=measured))
    ]


def _map_faults(
    results: ResultObjects, frames: SourceFrames, analysis: HematomaFound
) -> list[str]:
    """Return what is wrong with the map, if one is sent."""
    made, uncertainty = results.uncertainty_map, analysis.uncertainty_zyx
    if made is None:
        return []
    if uncertainty is None:
        return _named(made, ["the models have no uncertainty that it could show"])
    return _named(made, uncertainty_faults(made, frames, uncertainty, analysis.mask.grid))


def _named(result: Dataset, faults: Sequence[str] | Iterator[str]) -> list[str]:
    modality = result.get("Modality", "object without Modality")
    return [f"{modality}: {fault}" for fault in faults]


def _set_faults(
    results: ResultObjects, frames: SourceFrames, analysis: IchAnalysis
) -> Iterator[str]:
    """Yield what is wrong with the set as a whole."""
    objects = results.in_send_order
    found = isinstance(analysis, HematomaFound)
    expected_captures = len(analysis.saliency.slices) if isinstance(analysis, HematomaFound) else 0
    if len(results.captures) != expected_captures:
        yield f"{len(results.captures)} captures, expected {expected_captures}"
    if (results.segmentation is not None) != found:
        yield "a segmentation must be there exactly when there is a hematoma"
    expected_forecast = isinstance(analysis, HematomaFound) and analysis.forecast is not None
    if (results.forecast is not None) != expected_forecast:
        yield "a forecast must be there exactly when the growth model made one"
    if results.uncertainty_map is not None and not found:
        yield "an uncertainty map without a hematoma"
    if results.key_objects is not None and not found:
        yield "key objects without a hematoma"
    uids = Counter(str(result.get("SOPInstanceUID")) for result in objects)
    for uid, count in uids.items():
        if count > 1 or uid in frames.sop_instance_uids:
            yield f"SOP Instance UID {uid} is used more than once"
    series = {(str(r.get("SeriesInstanceUID")), kind) for kind, r in results.with_kinds}
    if len({uid for uid, _ in series}) != len({kind for _, kind in series}) or (
        len(series) != len({uid for uid, _ in series})
    ):
        yield "every kind of object needs a series of its own"
    if any(uid == frames.series_instance_uid for uid, _ in series):
        yield "a result lies in the series of its source"


def object_faults(result: Dataset, frames: SourceFrames) -> Iterator[str]:
    """Yield what is wrong with one object, whatever its kind."""
    for keyword in _SAME:
        here, there = result.get(keyword), frames.header.get(keyword)
        if str(here or "") != str(there or ""):
            yield f"{keyword} differs from the source"
    if "FrameOfReferenceUID" in result and (
        result.FrameOfReferenceUID != frames.header.get("FrameOfReferenceUID")
    ):
        yield "FrameOfReferenceUID differs from the source"
    if result.get("SpecificCharacterSet") != "ISO_IR 192":
        yield f"SpecificCharacterSet is {result.get('SpecificCharacterSet')}, not ISO_IR 192"
    if wording.RESEARCH_MARK not in str(result.get("SeriesDescription", "")):
        yield f"SeriesDescription lacks {wording.RESEARCH_MARK}"
    if not result.get("ManufacturerModelName"):
        yield "ManufacturerModelName is missing"
    is_image = "PixelData" in result or "FloatPixelData" in result
    if frames.is_lossy and is_image and result.get("LossyImageCompression") != "01":
        yield "LossyImageCompression must be 01: the source is lossy"
    try:
        dcmwrite(BytesIO(), result, enforce_file_format=True)
    except (AttributeError, KeyError, TypeError, UnicodeError, ValueError, OverflowError) as error:
        yield f"cannot be written: {type(error).__name__}"


def _capture_faults(capture: Dataset, frames: SourceFrames) -> Iterator[str]:
    """Yield what is wrong with a secondary capture."""
    rules: Rules = (
        ("BurnedInAnnotation must be YES", lambda: capture.BurnedInAnnotation == "YES"),
        (
            f"ImageComments must say {wording.RESEARCH_USE_ONLY}",
            lambda: wording.RESEARCH_USE_ONLY in capture.ImageComments,
        ),
        (
            "Pixel Data must be 8-bit RGB of Rows times Columns",
            lambda: _pixels_fit(capture),
        ),
        (
            "the source image must be among the source and lie within it, pixel on pixel",
            lambda: frames.lies_within(capture.SourceImageSequence[0], capture),
        ),
    )
    yield from broken(rules)


def _pixels_fit(capture: Dataset) -> bool:
    samples = int(capture.Rows) * int(capture.Columns) * 3
    return (
        capture.PhotometricInterpretation == "RGB"
        and capture.BitsAllocated == 8  # noqa: PLR2004 - one byte per sample
        and len(capture.PixelData) == samples + samples % 2
    )
