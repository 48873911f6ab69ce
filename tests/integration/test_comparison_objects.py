"""A comparison from files to objects: both studies, one lesion, every number where it belongs."""

import json
from copy import deepcopy
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pydicom
import pytest
from comparison_builder import (
    LARGE,
    NOW,
    SMALL,
    KnowingModels,
    compare,
    comparer,
    lying_still,
    scan,
)
from ct_builder import POISON_BIRTH_DATE, POISON_ID, POISON_NAME, save_series
from pydicom.uid import Comprehensive3DSRStorage
from result_cases import ball_mask, enhanced

from dicom_node.jobs.task import ObjectKind, PredecessorObject
from dicom_node.results import codes
from dicom_node.results.check_comparison import check_comparison
from dicom_node.results.content_tree import (
    answers,
    evidence_uids,
    named,
    referred_uids,
    tracking_uid,
    walk,
)
from dicom_node.results.errors import ResultCheckError
from dicom_node.results.identity import result_identity
from dicom_node.results.segmentation import LESION
from dicom_node.series_comparison import ComparedSeries, RefusedComparison
from pipeline.ct_series import read_ct_series
from pipeline.follow_up.alignment import align_scans
from pipeline.follow_up.comparison import Interval, ScanFinding, compare_scans

EARLY, LATE = "20260105080000+0100", "20260105203000+0100"


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scans")
    return (
        scan(folder / "before", SMALL, seed=1, time=EARLY),
        scan(folder / "after", LARGE, seed=2, time=LATE, slices=30, spacing_mm=5.0),
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("compared")


@pytest.fixture(scope="module")
def compared(scans, folder):
    outcome = compare(*scans, folder, align=align_scans)
    assert isinstance(outcome, ComparedSeries)
    return outcome


def numbers(report, name):
    return [
        float(item.MeasuredValueSequence[0].NumericValue)
        for item in walk(report)
        if item.get("ValueType") == "NUM"
        and item.ConceptNameCodeSequence[0].CodeValue == name.value
    ]


def test_the_record_says_what_was_measured(compared, scans):
    """14.1 mL and 24.4 mL by geometry, 12.5 h apart, both criteria met."""
    record = compared.record

    assert record["kind"] == "comparison"
    assert record["status"] == "compared"
    assert record["expanded"] is True
    assert record["criteria"] == ["absolute_growth", "relative_growth"]
    assert record["baseline_volume_ml"] == pytest.approx(14.1, rel=0.05)
    assert record["follow_up_volume_ml"] == pytest.approx(24.4, rel=0.05)
    assert record["elapsed_hours"] == 12.5
    assert record["definition"] == "standard"
    assert record["flags"] == ["thickness_differs"]
    assert record["baseline_series_instance_uid"] == scans[0].uid
    assert record["follow_up_series_instance_uid"] == scans[1].uid
    assert json.loads(json.dumps(record)) == record


def test_every_object_lies_in_its_study(compared, scans):
    """The baseline's mask in the baseline's study, everything else in the follow-up's."""
    objects = compared.objects
    before, after = (str(each.images[0].StudyInstanceUID) for each in scans)

    assert objects.baseline_segmentation.StudyInstanceUID == before
    for result in (objects.follow_up_segmentation, objects.capture, objects.report):
        assert result.StudyInstanceUID == after
    assert [kind for kind, _ in objects.with_kinds] == [
        ObjectKind.SEGMENTATION,
        ObjectKind.SEGMENTATION,
        ObjectKind.CAPTURE,
        ObjectKind.REPORT,
    ]
    assert len({str(result.SeriesInstanceUID) for result in objects.in_send_order}) == 4
    for result in objects.in_send_order:
        assert result.PatientID == POISON_ID


def test_both_masks_are_read_back_by_other_eyes(compared, scans):
    """Every frame as pydicom unpacks it, laid where it says, is the ball on each grid."""
    masks = (compared.objects.baseline_segmentation, compared.objects.follow_up_segmentation)
    for made, each in zip(masks, scans, strict=True):
        volume = read_ct_series(each.images)
        frames = made.pixel_array.astype(bool)
        origins = np.array(volume.grid.slice_origins_lps_mm)
        found = np.zeros(volume.grid.shape_zyx, dtype=bool)
        for frame, group in zip(frames, made.PerFrameFunctionalGroupsSequence, strict=True):
            place = np.array(group.PlanePositionSequence[0].ImagePositionPatient, dtype=float)
            found[int(np.argmin(np.linalg.norm(origins - place, axis=1)))] = frame
        assert np.array_equal(found, ball_mask(volume, each.ball).voxels_zyx)


def test_one_tracking_uid_runs_through_all(compared, scans, tmp_path):
    """It is that of the baseline's own analysis, so that a later follow-up has it, too."""
    expected = result_identity(
        scans[0].uid, sop_instance_uids=["any"], models=[], configuration_digest="any"
    ).lesion_uid(LESION)
    report = compared.objects.report
    (container,) = named(report, codes.IMAGING_MEASUREMENTS)
    groups = list(named(container, codes.MEASUREMENT_GROUP))
    third = scan(tmp_path / "third", LARGE, seed=3, time="20260106200000+0100")
    later = compare(scans[0], third, tmp_path)

    assert {tracking_uid(group) for group in groups} == {expected}
    for objects in (compared.objects, later.objects):
        for mask in (objects.baseline_segmentation, objects.follow_up_segmentation):
            assert mask.SegmentSequence[0].TrackingUID == expected
    assert not {str(result.SOPInstanceUID) for result in later.objects.in_send_order} & {
        str(result.SOPInstanceUID) for result in compared.objects.in_send_order
    }


def test_the_report_says_what_the_record_says(compared):
    """Follow-up first, then the baseline; the change once; the verdict among the answers."""
    report, record = compared.objects.report, compared.record
    (container,) = named(report, codes.QUALITATIVE_EVALUATIONS)

    assert numbers(report, codes.VOLUME_BY_VOXELS) == pytest.approx(
        [record["follow_up_volume_ml"], record["baseline_volume_ml"]], abs=0.01
    )
    assert numbers(report, codes.VOLUME_CHANGE) == pytest.approx([record["change_ml"]], abs=0.01)
    assert numbers(report, codes.VOLUME_CHANGE_RELATIVE) == pytest.approx(
        [100 * record["change_relative"]], abs=0.1
    )
    assert numbers(report, codes.VOLUME_CHANGE_LOW) == pytest.approx(
        [record["change_range_ml"][0]], abs=0.01
    )
    assert numbers(report, codes.TIME_SINCE_BASELINE) == [12.5]
    assert answers(container, codes.HEMATOMA_EXPANSION) == [codes.PRESENT.value]
    for criterion, expected in zip(
        codes.CRITERION.values(),
        (codes.PRESENT, codes.PRESENT, codes.UNDETERMINED, codes.UNDETERMINED),
        strict=True,
    ):
        assert answers(container, criterion) == [expected.value]
    time_points = [
        str(item.TextValue)
        for item in walk(report)
        if item.ConceptNameCodeSequence[0].CodeMeaning == "Time Point"
    ]
    assert time_points == ["follow-up", "follow-up", "baseline", "baseline"]


def test_evidence_of_the_other_study_is_listed_as_such(compared, scans):
    """PS3.3, C.17.2: the report's own study is current evidence, the baseline's pertinent."""
    objects = compared.objects
    before, after = ({str(i.SOPInstanceUID) for i in each.images} for each in scans)

    current = evidence_uids(objects.report, "CurrentRequestedProcedureEvidenceSequence")
    other = evidence_uids(objects.report, "PertinentOtherEvidenceSequence")

    assert other == before | {str(objects.baseline_segmentation.SOPInstanceUID)}
    assert current == after | {
        str(objects.follow_up_segmentation.SOPInstanceUID),
        str(objects.capture.SOPInstanceUID),
    }
    assert referred_uids(objects.report) == current | other


def test_a_repeat_is_the_same(scans, tmp_path):
    """A comparison made again after a crash is the same result and not a second one."""
    first, again = (compare(*scans, tmp_path).objects.in_send_order for _ in range(2))

    for one, other in zip(first, again, strict=True):
        assert one == other


def test_an_earlier_comparison_is_superseded(scans, tmp_path):
    """Its report is named as predecessor document; its segmentation is not."""
    kinds = ((ObjectKind.REPORT, Comprehensive3DSRStorage), (ObjectKind.SEGMENTATION, "1.2.3"))
    earlier = [
        PredecessorObject(
            kind=kind,
            sop_class_uid=str(sop_class),
            sop_instance_uid=f"1.2.826.{number}",
            series_instance_uid="1.2.826.8",
            study_instance_uid="1.2.826.9",
        )
        for number, (kind, sop_class) in enumerate(kinds)
    ]

    outcome = comparer(SMALL, LARGE).compare(
        scans[0].files,
        scans[1].files,
        baseline_series_uid=scans[0].uid,
        follow_up_series_uid=scans[1].uid,
        summary=tmp_path,
        supersedes=earlier,
    )

    (study,) = outcome.objects.report.PredecessorDocumentsSequence
    (item,) = study.ReferencedSeriesSequence[0].ReferencedSOPSequence
    assert item.ReferencedSOPInstanceUID == "1.2.826.0"


def test_only_who_took_part_is_named(compared):
    """The scanner, the node and the segmentation model; no expansion model looked at this."""
    for result in compared.objects.in_send_order:
        names = [str(i.get("ManufacturerModelName")) for i in result.ContributingEquipmentSequence]
        assert names[1:] == ["ichnode", "ich-seg"]


def test_the_summary_is_written(compared, folder):
    """Picture, page and record lie beside one another and name nobody."""
    page = (folder / "summary" / "summary.html").read_text(encoding="utf-8")
    told = (folder / "summary" / "comparison.json").read_text(encoding="utf-8")

    assert json.loads(told) == compared.record
    assert (folder / "summary" / "summary.png").read_bytes().startswith(b"\x89PNG")
    assert "RESEARCH USE ONLY" in page
    assert "12.5 h" in page
    for word in (POISON_NAME, POISON_ID, POISON_BIRTH_DATE):
        assert word not in page
        assert word not in told


def test_no_hematoma_on_the_baseline_is_reported_without_a_verdict(scans, tmp_path):
    """One segmentation, no relative change, Undetermined in the report."""
    clear = scan(tmp_path / "clear", None, seed=4, time=EARLY)

    outcome = compare(clear, scans[1], tmp_path)

    report = outcome.objects.report
    (container,) = named(report, codes.QUALITATIVE_EVALUATIONS)
    assert outcome.record["status"] == "no_verdict"
    assert outcome.record["flags"][0] == "baseline_no_hematoma"
    assert outcome.record["expanded"] is None
    assert outcome.record["change_relative"] is None
    assert outcome.objects.baseline_segmentation is None
    assert numbers(report, codes.VOLUME_CHANGE_RELATIVE) == []
    assert answers(container, codes.HEMATOMA_EXPANSION) == [codes.UNDETERMINED.value]


def test_two_series_of_one_study_have_no_other_evidence(scans, tmp_path):
    """A follow-up that was filed under the baseline's study: everything is current evidence."""
    study = {"StudyInstanceUID": scans[0].images[0].StudyInstanceUID}
    filed = scan(tmp_path / "filed", LARGE, seed=7, time=LATE, changed=study)

    objects = compare(scans[0], filed, tmp_path).objects

    assert "PertinentOtherEvidenceSequence" not in objects.report
    assert len({str(result.StudyInstanceUID) for result in objects.in_send_order}) == 1
    assert str(objects.baseline_segmentation.SOPInstanceUID) in evidence_uids(
        objects.report, "CurrentRequestedProcedureEvidenceSequence"
    )


def test_frames_of_an_enhanced_image_are_referred_to(scans, tmp_path):
    """A follow-up of one multi-frame image: its SEG names the frames, the report the image."""
    single = scan(tmp_path / "single", LARGE, seed=8, time=LATE)
    image = enhanced(single.images)
    multi = replace(single, images=[image], files=save_series([image], tmp_path / "multi"))

    objects = compare(scans[0], multi, tmp_path).objects

    frame = objects.follow_up_segmentation.PerFrameFunctionalGroupsSequence[0]
    source = frame.DerivationImageSequence[0].SourceImageSequence[0]
    assert source.ReferencedSOPInstanceUID == image.SOPInstanceUID
    assert source.ReferencedFrameNumber >= 1
    assert str(image.SOPInstanceUID) in referred_uids(objects.report)


@pytest.mark.parametrize(
    ("time", "changed", "reason"),
    [
        (EARLY, {}, "the follow-up was not acquired after the baseline"),
        ("", {}, "the follow-up says no time of acquisition"),
        (LATE, {"PatientID": "ANOTHER"}, "Patient ID of the two series differ"),
        (LATE, {"IssuerOfPatientID": "X", "PatientBirthDate": None}, "Patient's Birth Date must"),
        (LATE, {"PatientSex": "M"}, "Patient's Sex of the two series differ"),
        (LATE, {"BodyPartExamined": "ABDOMEN"}, "body part"),
    ],
)
def test_what_may_not_be_compared_is_refused(time, changed, reason, tmp_path):
    """No object is made; the record gives the reason and no value of an identifier."""
    changed = {"PatientSex": "F"} | changed
    before = scan(tmp_path / "b", SMALL, seed=5, time=EARLY, changed={"PatientSex": "F"})
    after = scan(tmp_path / "a", LARGE, seed=6, time=time, changed=changed)

    outcome = compare(before, after, tmp_path)

    assert isinstance(outcome, RefusedComparison)
    assert reason in outcome.reason
    assert outcome.record["status"] == "refused"
    assert outcome.record["expanded"] is None
    told = (tmp_path / "summary" / "comparison.json").read_text(encoding="utf-8")
    for word in (POISON_NAME, POISON_ID, POISON_BIRTH_DATE, "ANOTHER"):
        assert word not in told


def wrong_uid(objects):
    objects.follow_up_segmentation.SegmentSequence[0].TrackingUID = "1.2.3"


def other_patient(objects):
    objects.baseline_segmentation.PatientID = "ANOTHER"


def wrong_change(objects):
    for item in walk(objects.report):
        if item.ConceptNameCodeSequence[0].CodeValue == codes.VOLUME_CHANGE.value:
            item.MeasuredValueSequence[0].NumericValue = "1.0"


def wrong_verdict(objects):
    for item in walk(objects.report):
        if item.ConceptNameCodeSequence[0].CodeValue == codes.HEMATOMA_EXPANSION.value:
            item.ConceptCodeSequence[0].CodeValue = codes.ABSENT.value


def flipped_mask(objects):
    pixels = bytearray(objects.baseline_segmentation.PixelData)
    pixels[0] ^= 1
    objects.baseline_segmentation.PixelData = bytes(pixels)


def evidence_moved(objects):
    report = objects.report
    report.CurrentRequestedProcedureEvidenceSequence.extend(report.PertinentOtherEvidenceSequence)
    report.PertinentOtherEvidenceSequence = []


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (wrong_uid, "one tracking UID"),
        (other_patient, "PatientID differs"),
        (wrong_change, "Change of hematoma volume"),
        (wrong_verdict, "Hematoma expansion since baseline is not Present"),
        (flipped_mask, "1 voxels differ from the mask"),
        (evidence_moved, "under another study"),
    ],
)
def test_the_check_finds_what_is_wrong(spoil, fault, scans, compared):
    """Each fault that is put in is named; without one the check is silent."""
    models = KnowingModels(balls=[SMALL, LARGE])
    volumes = [read_ct_series(each.images) for each in scans]
    before, after = (
        ScanFinding(volume=volume, segmentation=models.segment(volume)) for volume in volumes
    )
    told = compare_scans(
        before,
        after,
        interval=Interval(elapsed=timedelta(hours=12.5)),
        align=lying_still,
    )
    objects = replace(
        compared.objects,
        **{
            name: deepcopy(getattr(compared.objects, name))
            for name in ("baseline_segmentation", "report", "follow_up_segmentation")
        },
    )

    def check():
        check_comparison(
            objects,
            told,
            baseline=before,
            follow_up=after,
            baseline_source=scans[0].images,
            follow_up_source=scans[1].images,
        )

    check()
    spoil(objects)
    with pytest.raises(ResultCheckError, match=fault):
        check()


def test_the_capture_is_wide_and_marked(compared):
    """Two panels of 512 pixels beside one another, burned-in text declared, no place claimed."""
    capture = compared.objects.capture

    assert capture.Columns >= 1024
    assert capture.BurnedInAnnotation == "YES"
    assert "FrameOfReferenceUID" not in capture
    assert "ImagePositionPatient" not in capture
    assert (
        np.ptp(capture.pixel_array.astype(int), axis=-1).max() > 200
    )  # the outlines are in colour
    assert capture.ContentDate == f"{NOW:%Y%m%d}"
    assert pydicom.uid.UID(capture.SOPInstanceUID).is_valid
