"""Grad-CAM overlays as Secondary Captures: what every PACS and viewer can show.

One RGB image per slice of the triplet on the native pixel grid. With its position and
orientation (a Standard Extended SOP Class, PS3.2) it scrolls and measures with the CT.
"""

from typing import Final

from pydicom.dataset import Dataset
from pydicom.uid import SecondaryCaptureImageStorage

from dicom_node.results import codes, wording
from dicom_node.results.context import ResultContext
from dicom_node.results.header import coded, stamp
from dicom_node.results.identity import ModelIdentity, ResultIdentity, ResultRole
from dicom_node.results.picture import CapturePicture, draw_capture
from dicom_node.results.source import SourceSeries
from pipeline.analysis import HematomaFound
from pipeline.saliency import SliceSaliency
from pipeline.volume import CtVolume

SERIES_NUMBER: Final = 907
SERIES_DESCRIPTION: Final = f"AI Grad-CAM overlay {wording.RESEARCH_MARK}"

_DASHED: Final = (
    "Dashed outline: forecast of the hematoma at follow-up by the growth model, if it expands; "
    "not measured."
)


def encode_captures(
    analysis: HematomaFound,
    *,
    source: SourceSeries,
    volume: CtVolume,
    identity: ResultIdentity,
    context: ResultContext,
) -> tuple[Dataset, ...]:
    """Return one Secondary Capture per slice of the triplet, inferior to superior."""
    captures = []
    for number, saliency in enumerate(analysis.saliency.slices, start=1):
        capture = _capture(saliency, number, source=source, identity=identity)
        if analysis.forecast is not None:
            capture.DerivationDescription += f" {_DASHED}"
        _set_pixels(capture, _picture(analysis, saliency, number - 1, volume, context))
        stamp(
            capture,
            source=source,
            context=context,
            series_number=SERIES_NUMBER,
            series_description=SERIES_DESCRIPTION,
        )
        captures.append(capture)
    return tuple(captures)


def _picture(
    analysis: HematomaFound,
    saliency: SliceSaliency,
    triplet_index: int,
    volume: CtVolume,
    context: ResultContext,
) -> CapturePicture:
    index = saliency.slice_index
    forecast, growth = analysis.forecast, context.growth_card
    return CapturePicture(
        hu_yx=volume.hu_zyx[index],
        mask_yx=analysis.mask.voxels_zyx[index],
        roi=saliency.roi,
        heat_yx=saliency.heat_yx,
        position=saliency.position,
        slice_number=index + 1,
        slice_count=volume.grid.shape_zyx[0],
        volume_ml=analysis.measurements.volume_ml,
        prediction=analysis.prediction,
        slice_probability=analysis.prediction.slice_probabilities[triplet_index],
        node=f"{context.model_name} {context.software_versions[0]}",
        segmentation_model=_name(context.segmentation_card),
        classification_model=_name(context.classification_card),
        is_demonstration=context.is_demonstration,
        forecast_yx=None if forecast is None else forecast.follow_up.voxels_zyx[index],
        forecast_ml=None if forecast is None else forecast.follow_up_ml,
        growth_model="" if growth is None else _name(growth),
    )


def _name(model: ModelIdentity) -> str:
    return f"{model.name} {model.version}"


def _capture(
    saliency: SliceSaliency, number: int, *, source: SourceSeries, identity: ResultIdentity
) -> Dataset:
    """Return everything but pixels and what all objects share (PS3.3, section A.8.1)."""
    capture = Dataset()
    capture.SOPClassUID = SecondaryCaptureImageStorage
    capture.SOPInstanceUID = identity.uid(ResultRole.CAPTURE, saliency.position)
    capture.SeriesInstanceUID = identity.uid(ResultRole.CAPTURE_SERIES)
    capture.Modality = "OT"
    capture.BodyPartExamined = "HEAD"
    capture.ConversionType = "WSD"
    capture.InstanceNumber = number
    capture.PatientOrientation = ""
    capture.ImageType = ["DERIVED", "SECONDARY"]
    capture.BurnedInAnnotation = "YES"
    capture.RecognizableVisualFeatures = "NO"
    capture.ImageComments = (
        f"{wording.RESEARCH_USE_ONLY} - {wording.NOT_FOR_CLINICAL_USE}. "
        f"Grad-CAM overlay, {wording.POSITION[saliency.position]}."
    )
    capture.DerivationDescription = (
        "Brain window 40/80, outline of the hematoma found by the segmentation model, "
        "Grad-CAM of the expansion model (red: important). "
        f"{wording.RESEARCH_STATEMENT}"
    )
    capture.DerivationCodeSequence = [coded(codes.VISUAL_EXPLANATION)]
    reference = source.images[saliency.slice_index].reference()
    reference.PurposeOfReferenceCodeSequence = [coded(codes.SOURCE_IMAGE)]
    capture.SourceImageSequence = [reference]
    capture.update(source.slice_geometry(saliency.slice_index))
    capture.update(source.lossy_flags())
    return capture


def _set_pixels(capture: Dataset, picture: CapturePicture) -> None:
    pixels = draw_capture(picture)
    capture.Rows, capture.Columns, capture.SamplesPerPixel = pixels.shape
    capture.PhotometricInterpretation = "RGB"
    capture.PlanarConfiguration = 0
    capture.BitsAllocated = capture.BitsStored = 8
    capture.HighBit = 7
    capture.PixelRepresentation = 0
    data = pixels.tobytes()
    capture.PixelData = data + b"\0" * (len(data) % 2)
    capture["PixelData"].VR = "OB"
