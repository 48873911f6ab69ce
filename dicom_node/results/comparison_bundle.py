"""All objects of one comparison."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from PIL import Image
from pydicom.dataset import Dataset

from dicom_node.jobs.task import ObjectKind, PredecessorObject
from dicom_node.results import wording
from dicom_node.results.compared_pair import ComparedPair, ComparedScan
from dicom_node.results.comparison_capture import encode_comparison_capture
from dicom_node.results.comparison_documents import (
    encode_comparison_key_objects,
    encode_comparison_pdf,
)
from dicom_node.results.comparison_report import encode_comparison_report
from dicom_node.results.context import ResultContext
from dicom_node.results.identity import ResultRole, model_device_uid
from dicom_node.results.segmentation import SegmentKind, encode_segmentation

#: Cyan and magenta as in the side-by-side picture, sRGB (0, 220, 235) and (255, 0, 255).
BASELINE_SEGMENT: Final = SegmentKind(
    series_number=912,
    series_description=f"AI Hematoma SEG, baseline {wording.RESEARCH_MARK}",
    content_label="HEMATOMA",
    content_description="Hematoma at baseline, compared; research use only",
    segment_label="Hematoma, baseline",
    color=(80.9, -38.6, -19.8),
    series_role=ResultRole.COMPARED_BASELINE_SERIES,
    object_role=ResultRole.COMPARED_BASELINE,
    dimensions_role=ResultRole.COMPARED_BASELINE_DIMENSIONS,
)
FOLLOW_UP_SEGMENT: Final = SegmentKind(
    series_number=911,
    series_description=f"AI Hematoma SEG, follow-up {wording.RESEARCH_MARK}",
    content_label="HEMATOMA",
    content_description="Hematoma at follow-up, compared; research use only",
    segment_label="Hematoma, follow-up",
    color=(60.3, 98.3, -60.8),
    series_role=ResultRole.COMPARED_FOLLOW_UP_SERIES,
    object_role=ResultRole.COMPARED_FOLLOW_UP,
    dimensions_role=ResultRole.COMPARED_FOLLOW_UP_DIMENSIONS,
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ComparisonObjects:
    """The objects of one comparison.

    Attributes
    ----------
    baseline_segmentation : Dataset or None
        SEG on the baseline's images, in its study; None without a hematoma.
    follow_up_segmentation : Dataset or None
        SEG on the follow-up's images; None without a hematoma.
    capture : Dataset
        Both scans side by side, in the follow-up's study.
    pdf : Dataset or None
        The report as a page, in the follow-up's study; None where it is not wanted.
    key_objects : Dataset or None
        The selection of key objects, in the follow-up's study; None where it is not wanted.
    report : Dataset
        The structured report, in the follow-up's study; it refers to segmentations and capture.
    """

    baseline_segmentation: Dataset | None
    follow_up_segmentation: Dataset | None
    capture: Dataset
    pdf: Dataset | None = None
    key_objects: Dataset | None = None
    report: Dataset

    @property
    def in_send_order(self) -> tuple[Dataset, ...]:
        """Segmentations, capture, page, selection, report: what is referred to arrives first."""
        return tuple(result for _, result in self.with_kinds)

    @property
    def with_kinds(self) -> tuple[tuple[ObjectKind, Dataset], ...]:
        """What each object is, in the same order."""
        made = (
            (ObjectKind.SEGMENTATION, self.baseline_segmentation),
            (ObjectKind.SEGMENTATION, self.follow_up_segmentation),
            (ObjectKind.CAPTURE, self.capture),
            (ObjectKind.PDF, self.pdf),
            (ObjectKind.KEY_OBJECTS, self.key_objects),
            (ObjectKind.REPORT, self.report),
        )
        return tuple((kind, result) for kind, result in made if result is not None)


def encode_comparison(
    pair: ComparedPair,
    picture: Image.Image,
    *,
    context: ResultContext,
    supersedes: Sequence[PredecessorObject] = (),
) -> ComparisonObjects:
    """Return the DICOM objects that say what the comparison says.

    Same input, same bytes, as long as `context` (with its time) is the same.

    Parameters
    ----------
    picture : Image
        Both scans side by side.
    context : ResultContext
        Who says it, with which models, when.
    supersedes : sequence of PredecessorObject
        Results of an earlier comparison of the follow-up.
    """
    baseline = _segmentation(pair, pair.baseline, BASELINE_SEGMENT, context)
    follow_up = _segmentation(pair, pair.follow_up, FOLLOW_UP_SEGMENT, context)
    capture = encode_comparison_capture(pair, picture, context=context)
    report = encode_comparison_report(
        pair,
        baseline_segmentation=baseline,
        follow_up_segmentation=follow_up,
        capture=capture,
        context=context,
        supersedes=supersedes,
    )
    objects = ComparisonObjects(
        baseline_segmentation=baseline,
        follow_up_segmentation=follow_up,
        capture=capture,
        pdf=encode_comparison_pdf(pair, picture, context=context) if context.with_pdf else None,
        key_objects=encode_comparison_key_objects(pair, capture, context=context)
        if context.with_key_objects
        else None,
        report=report,
    )
    for result in objects.in_send_order:
        _name_only_who_took_part(result, context)
    return objects


def _segmentation(
    pair: ComparedPair, scan: ComparedScan, kind: SegmentKind, context: ResultContext
) -> Dataset | None:
    mask = scan.finding.segmentation.hematoma
    if mask.is_empty:
        return None
    return encode_segmentation(
        mask,
        source=scan.source,
        identity=pair.identity,
        context=context,
        kind=kind,
        tracking_uid=pair.lesion_uid,
    )


def _name_only_who_took_part(result: Dataset, context: ResultContext) -> None:
    """Leave out the models that only an analysis needs: a comparison segments and measures."""
    absent = {model_device_uid(model) for model in context.models[1:]}
    result.ContributingEquipmentSequence = [
        item
        for item in result.ContributingEquipmentSequence
        if str(item.get("DeviceUID", "")) not in absent
    ]
