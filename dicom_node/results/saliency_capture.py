"""Grad-CAM overlays as Secondary Captures: what every PACS and viewer can show.

One RGB image per slice of the triplet: the slice on its native pixel grid, inside margins for
the words. With its position and orientation (a Standard Extended SOP Class, PS3.2) it scrolls and
measures with the CT.
"""

from typing import Final

import numpy as np
from pydicom.dataset import Dataset

from dicom_node.results import codes, wording
from dicom_node.results.capture_drawing import draw_capture
from dicom_node.results.capture_image import new_capture, set_pixels
from dicom_node.results.capture_layout import capture_layout
from dicom_node.results.context import ResultContext
from dicom_node.results.header import coded, stamp
from dicom_node.results.identity import ModelIdentity, ResultIdentity, ResultRole
from dicom_node.results.orientation_letters import edge_letters
from dicom_node.results.picture import CapturePicture
from dicom_node.results.source import SourceSeries, decimals
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
        picture = _picture(analysis, saliency, number - 1, volume, context)
        set_pixels(capture, draw_capture(picture))
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
    grid, reach = volume.grid, analysis.volume_range
    _, rows, columns = grid.shape_zyx
    return CapturePicture(
        hu_yx=volume.hu_zyx[index],
        mask_yx=analysis.mask.voxels_zyx[index],
        roi=saliency.roi,
        heat_yx=saliency.heat_yx,
        position=saliency.position,
        slice_number=index + 1,
        slice_count=volume.grid.shape_zyx[0],
        edges=edge_letters(grid.row_cosine_lps, grid.column_cosine_lps),
        column_spacing_mm=grid.pixel_spacing_yx_mm[1],
        height_mm=float(grid.to_lps_mm((index, (rows - 1) / 2, (columns - 1) / 2))[2]),
        tilt_deg=float(np.degrees(np.arccos(np.clip(abs(grid.normal_lps[2]), 0, 1)))),
        style=context.capture_style,
        volume_ml=analysis.measurements.volume_ml,
        volume_range_ml=None if reach is None else (reach.low_ml, reach.high_ml),
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
    capture = new_capture(
        uid=identity.uid(ResultRole.CAPTURE, saliency.position),
        series_uid=identity.uid(ResultRole.CAPTURE_SERIES),
        number=number,
        shows=f"Grad-CAM overlay, {wording.POSITION[saliency.position]}",
        method=codes.VISUAL_EXPLANATION,
    )
    capture.DerivationDescription = (
        "Brain window 40/80, outline of the hematoma found by the segmentation model, "
        "Grad-CAM of the expansion model (red: important). "
        f"{wording.RESEARCH_STATEMENT}"
    )
    reference = source.images[saliency.slice_index].reference()
    reference.PurposeOfReferenceCodeSequence = [coded(codes.SOURCE_IMAGE)]
    capture.SourceImageSequence = [reference]
    capture.update(_geometry(source, saliency.slice_index))
    capture.update(source.lossy_flags())
    return capture


def _geometry(source: SourceSeries, index: int) -> Dataset:
    """Return the plane of the slice, from the corner of the margins on."""
    grid = source.grid
    _, rows, columns = grid.shape_zyx
    layout = capture_layout(rows, columns)
    plane = source.slice_geometry(index)
    corner = grid.to_lps_mm((index, -layout.top, -layout.left))
    plane.ImagePositionPatient = decimals([float(part) for part in corner])
    return plane
