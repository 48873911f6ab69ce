"""The inline check of a comparison: no object leaves before it has been looked at.

As with the results of one series, everything is read back from the objects themselves and compared
with both sources and with what was measured.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from pydicom.dataset import Dataset

from dicom_node.jobs.task import ObjectKind
from dicom_node.results import codes, wording
from dicom_node.results.check import object_faults
from dicom_node.results.check_documents import key_object_faults, pdf_faults
from dicom_node.results.check_groups import Expected, group_faults
from dicom_node.results.check_iod import iod_faults
from dicom_node.results.check_segmentation import segmentation_faults
from dicom_node.results.comparison_bundle import ComparisonObjects
from dicom_node.results.content_tree import (
    answers,
    evidence_uids,
    named,
    referred_uids,
    tracking_uid,
)
from dicom_node.results.errors import ResultCheckError
from dicom_node.results.source_frames import SourceFrames
from pipeline.follow_up.comparison import FollowUpComparison, ScanFinding
from pipeline.follow_up.flags import FollowUpFlag

#: Rounding of the report: two decimals of a volume, one of a percentage.
_VOLUME_TOLERANCE: Final = 0.0051
_PERCENT_TOLERANCE: Final = 0.051

#: What the report refers to.
_REFERRED_TO: Final = (ObjectKind.SEGMENTATION, ObjectKind.CAPTURE)

_YES: Final = {True: codes.PRESENT, False: codes.ABSENT, None: codes.UNDETERMINED}


def check_comparison(
    objects: ComparisonObjects,
    comparison: FollowUpComparison,
    *,
    baseline: ScanFinding,
    follow_up: ScanFinding,
    baseline_source: Sequence[Dataset],
    follow_up_source: Sequence[Dataset],
) -> None:
    """Raise if any object is not what it must be.

    Parameters
    ----------
    objects : ComparisonObjects
        What is about to be sent.
    comparison : FollowUpComparison
        What the objects must say.
    baseline, follow_up : ScanFinding
        The masks that they must hold.
    baseline_source, follow_up_source : sequence of Dataset
        The CT data sets; pixels are not needed.

    Raises
    ------
    ResultCheckError
        Naming every fault.
    """
    before, after = SourceFrames(baseline_source), SourceFrames(follow_up_source)
    faults = [
        *_set_faults(objects, before, after),
        *_mask_faults("baseline SEG", objects.baseline_segmentation, before, baseline),
        *_mask_faults("follow-up SEG", objects.follow_up_segmentation, after, follow_up),
        *_named("capture", [*object_faults(objects.capture, after), *_picture_faults(objects)]),
        *_named("report", object_faults(objects.report, after)),
        *_named("report", _report_faults(objects, comparison, before, after)),
        *_document_faults(objects, ((before, baseline), (after, follow_up))),
    ]
    if faults:
        raise ResultCheckError(faults)


def _set_faults(
    objects: ComparisonObjects, before: SourceFrames, after: SourceFrames
) -> Iterator[str]:
    """Yield what is wrong with the set as a whole."""
    results = objects.in_send_order
    taken = before.sop_instance_uids | after.sop_instance_uids
    uids = Counter(str(result.get("SOPInstanceUID")) for result in results)
    for uid, count in uids.items():
        if count > 1 or uid in taken:
            yield f"SOP Instance UID {uid} is used more than once"
    series = [str(result.get("SeriesInstanceUID")) for result in results]
    if len(set(series)) != len(series):
        yield "every object needs a series of its own"
    if {before.series_instance_uid, after.series_instance_uid} & set(series):
        yield "a result lies in the series of a source"
    for result in results:
        modality = str(result.get("Modality"))
        yield from _named(modality, iod_faults(result))


def _mask_faults(
    name: str, made: Dataset | None, frames: SourceFrames, finding: ScanFinding
) -> list[str]:
    mask = finding.segmentation.hematoma
    if (made is None) != mask.is_empty:
        return [f"{name}: it must be there exactly when there is a hematoma"]
    if made is None:
        return []
    return _named(name, [*object_faults(made, frames), *segmentation_faults(made, frames, mask)])


def _picture_faults(objects: ComparisonObjects) -> Iterator[str]:
    capture = objects.capture
    if capture.get("BurnedInAnnotation") != "YES":
        yield "BurnedInAnnotation must be YES"
    if wording.RESEARCH_USE_ONLY not in str(capture.get("ImageComments")):
        yield f"ImageComments must say {wording.RESEARCH_USE_ONLY}"
    samples = int(capture.Rows) * int(capture.Columns) * 3
    if len(capture.PixelData) != samples + samples % 2:
        yield "Pixel Data must be 8-bit RGB of Rows times Columns"


def _document_faults(
    objects: ComparisonObjects, scans: Sequence[tuple[SourceFrames, ScanFinding]]
) -> Iterator[str]:
    """Yield what is wrong with page and key objects, if they are sent; `scans` in their order."""
    after, _ = scans[-1]
    if (page := objects.pdf) is not None:
        sources = frozenset[str]().union(*(frames.sop_instance_uids for frames, _ in scans))
        yield from _named("page", object_faults(page, after))
        yield from _named("page", pdf_faults(page, sources, holds_dates=True))
    if (selected := objects.key_objects) is not None:
        of_study = [
            (frames, finding.segmentation.hematoma)
            for frames, finding in scans
            if frames.header.StudyInstanceUID == after.header.StudyInstanceUID
        ]
        faults = key_object_faults(
            selected,
            frozenset[str]().union(*(frames.sop_instance_uids for frames, _ in of_study)),
            [objects.capture],
            images=sum(not mask.is_empty for _, mask in of_study),
        )
        yield from _named("key objects", object_faults(selected, after))
        yield from _named("key objects", faults)


def _report_faults(
    objects: ComparisonObjects,
    comparison: FollowUpComparison,
    before: SourceFrames,
    after: SourceFrames,
) -> list[str]:
    try:
        return [
            *_evaluation_faults(objects.report, comparison),
            *_group_faults(objects, comparison),
            *_reference_faults(objects, before, after),
        ]
    except (AttributeError, IndexError, KeyError, ValueError) as error:
        return [f"the content tree cannot be read: {error}"]


def _evaluation_faults(report: Dataset, comparison: FollowUpComparison) -> Iterator[str]:
    """Yield faults of verdict, flags and comments."""
    (container,) = named(report, codes.QUALITATIVE_EVALUATIONS)
    verdict = _YES[comparison.is_expansion]
    if answers(container, codes.HEMATOMA_EXPANSION) != [verdict.value]:
        yield f"{codes.HEMATOMA_EXPANSION.meaning} is not {verdict.meaning}"
    for flag in FollowUpFlag:
        expected = _YES[flag in comparison.flags]
        if answers(container, codes.FOLLOW_UP_FLAG[flag]) != [expected.value]:
            yield f"the flag {flag} is not answered as it was raised"
    texts = [str(item.TextValue) for item in named(container, codes.COMMENT)]
    if wording.RESEARCH_STATEMENT not in texts:
        yield "the research use statement is missing"


def _group_faults(objects: ComparisonObjects, comparison: FollowUpComparison) -> Iterator[str]:
    """Yield faults of the measurement groups."""
    (container,) = named(objects.report, codes.IMAGING_MEASUREMENTS)
    groups = list(named(container, codes.MEASUREMENT_GROUP))
    yield from group_faults(groups, _expected_numbers(comparison))
    masks = [objects.follow_up_segmentation, objects.baseline_segmentation]
    made = [mask for mask in masks if mask is not None]
    tracked = {str(mask.SegmentSequence[0].TrackingUID) for mask in made}
    tracked |= {tracking_uid(g) for g in groups if list(named(g, codes.REFERENCED_SEGMENT))}
    if len(tracked) > 1:
        yield "segments and groups must share one tracking UID"
    segments = [item for group in groups for item in named(group, codes.REFERENCED_SEGMENT)]
    referred = [str(s.ReferencedSOPSequence[0].ReferencedSOPInstanceUID) for s in segments]
    if referred != [str(mask.SOPInstanceUID) for mask in made]:
        yield "the referenced segments are not those of the segmentations"


def _expected_numbers(
    comparison: FollowUpComparison,
) -> Iterator[Expected]:
    """Yield name, unit, values (the follow-up's first) and tolerance of what must be said."""
    change, reach = comparison.change, comparison.change.change_range
    volumes = [comparison.follow_up.hematoma_ml, comparison.baseline.hematoma_ml]
    yield codes.VOLUME_BY_VOXELS, "cm3", volumes, _VOLUME_TOLERANCE
    yield codes.VOLUME_CHANGE, "cm3", [change.absolute_ml], _VOLUME_TOLERANCE
    relative = [] if change.relative is None else [100 * change.relative]
    yield codes.VOLUME_CHANGE_RELATIVE, "%", relative, _PERCENT_TOLERANCE
    low, high = ([], []) if reach is None else ([reach.low_ml], [reach.high_ml])
    yield codes.VOLUME_CHANGE_LOW, "cm3", low, _VOLUME_TOLERANCE
    yield codes.VOLUME_CHANGE_HIGH, "cm3", high, _VOLUME_TOLERANCE
    hours = comparison.interval.elapsed.total_seconds() / 3600
    yield codes.TIME_SINCE_BASELINE, "h", [hours], _VOLUME_TOLERANCE


def _reference_faults(
    objects: ComparisonObjects, before: SourceFrames, after: SourceFrames
) -> Iterator[str]:
    """Yield references that do not resolve, and evidence that lies in the wrong list.

    What is of the report's own study is current evidence, the rest pertinent other evidence
    (PS3.3, section C.17.2); pairs of one study have no other evidence.
    """
    report = objects.report
    made = {
        str(result.SOPInstanceUID): result
        for kind, result in objects.with_kinds
        if kind in _REFERRED_TO
    }
    own_study = str(report.StudyInstanceUID)
    known = {
        **dict.fromkeys(before.sop_instance_uids, str(before.header.StudyInstanceUID)),
        **dict.fromkeys(after.sop_instance_uids, str(after.header.StudyInstanceUID)),
        **{uid: str(result.StudyInstanceUID) for uid, result in made.items()},
    }
    current = evidence_uids(report, "CurrentRequestedProcedureEvidenceSequence")
    has_other = "PertinentOtherEvidenceSequence" in report
    other = evidence_uids(report, "PertinentOtherEvidenceSequence") if has_other else set()
    for uid in sorted((current | other) - set(known)):
        yield f"evidence {uid} is neither source nor result"
    for uid, study in known.items():
        listed = current if study == own_study else other
        if uid in current | other and uid not in listed:
            yield f"evidence {uid} is listed under another study than its own"
    referred = referred_uids(report)
    for uid in sorted(referred - (current | other)):
        yield f"reference {uid} is not evidence"
    for uid in sorted(set(made) - referred):
        yield f"result {uid} is not referred to"
    for frames in (before, after):
        if not frames.sop_instance_uids & (current | other):
            yield "no image of one of the sources is evidence"


def _named(name: str, faults: Iterator[str] | list[str]) -> list[str]:
    return [f"{name}: {fault}" for fault in faults]
