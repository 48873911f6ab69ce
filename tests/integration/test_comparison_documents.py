"""Page and key objects of a comparison, read back by code that shares nothing with them."""

import re
from dataclasses import replace
from datetime import datetime, timedelta
from io import BytesIO

import pydicom
import pytest
from comparison_builder import (
    LARGE,
    SMALL,
    KnowingModels,
    compare,
    lying_still,
    scan,
)
from ct_builder import POISON_BIRTH_DATE, POISON_ID, POISON_NAME, save_series
from result_cases import SEGMENTATION_CARD, context, enhanced

from dicom_node.jobs.task import ObjectKind
from dicom_node.results.check_comparison import check_comparison
from dicom_node.results.compared_pair import ComparedScan, compared_pair
from dicom_node.results.comparison_documents import page_text
from dicom_node.results.errors import ResultCheckError
from dicom_node.results.source import source_series
from dicom_node.series_comparison import ComparisonConfiguration
from pipeline.ct_series import read_ct_series
from pipeline.follow_up.comparison import Interval, ScanFinding, compare_scans

EARLY, LATE = "20260105080000+0100", "20260105203000+0100"
WANTED = {"with_pdf": True, "with_key_objects": True}


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scans")
    return (
        scan(folder / "before", SMALL, seed=1, time=EARLY),
        scan(folder / "after", LARGE, seed=2, time=LATE),
    )


@pytest.fixture(scope="module")
def objects(scans, tmp_path_factory):
    return compare(*scans, tmp_path_factory.mktemp("compared"), **WANTED).objects


@pytest.fixture(scope="module")
def findings(scans):
    """Return what was found on both scans, and what changed."""
    models = KnowingModels(balls=[SMALL, LARGE])
    volumes = [read_ct_series(each.images) for each in scans]
    before, after = (
        ScanFinding(volume=volume, segmentation=models.segment(volume)) for volume in volumes
    )
    interval = Interval(elapsed=timedelta(hours=12.5))
    return before, after, compare_scans(before, after, interval=interval, align=lying_still)


def read_back(result):
    buffer = BytesIO()
    result.save_as(buffer, enforce_file_format=True)
    return pydicom.dcmread(BytesIO(buffer.getvalue()))


def selected(result):
    """Return the references of a selection in their order."""
    return [r for item in result.ContentSequence for r in item.get("ReferencedSOPSequence", ())]


def test_neither_is_made_unless_wanted(scans, tmp_path):
    """Both are off by default, as for a first series; and nothing else becomes another object."""
    results = compare(*scans, tmp_path).objects

    assert results.pdf is None
    assert results.key_objects is None
    assert ComparisonConfiguration().digest == ComparisonConfiguration(with_pdf=False).digest


def test_they_leave_before_the_report_in_series_of_their_own(objects):
    """The report refers to neither and leaves last; all but one lie in the follow-up's study."""
    made = objects.with_kinds

    assert [kind for kind, _ in made][-3:] == [
        ObjectKind.PDF,
        ObjectKind.KEY_OBJECTS,
        ObjectKind.REPORT,
    ]
    assert len({str(result.SeriesInstanceUID) for _, result in made}) == len(made)
    assert {str(result.StudyInstanceUID) for _, result in made[1:]} == {
        str(objects.follow_up_segmentation.StudyInstanceUID)
    }


def test_the_page_is_one_page_made_of_both_scans(objects, scans):
    """PS3.3, A.45.1 and C.24.2: PDF, whole, and every image of both studies is its source."""
    read = read_back(objects.pdf)
    page = read.EncapsulatedDocument[: read.EncapsulatedDocumentLength]

    assert read.SOPClassUID == "1.2.840.10008.5.1.4.1.1.104.1"
    assert len(re.findall(rb"/Type /Page\b", page)) == 1
    assert {str(item.ReferencedSOPInstanceUID) for item in read.SourceInstanceSequence} == {
        str(image.SOPInstanceUID) for each in scans for image in each.images
    }


def test_a_page_with_dates_says_that_they_are_burned_in(objects):
    """De-identification cleans headers: what stands on the page it must be told of."""
    read = read_back(objects.pdf)

    assert read.BurnedInAnnotation == "YES"
    for word in (POISON_NAME, POISON_ID, POISON_BIRTH_DATE):
        assert word.encode() not in read.EncapsulatedDocument


def test_the_page_says_when_what_and_by_which_definition(scans, findings):
    """Both dates with their zones, 14.1 and 24.4 mL by geometry, both criteria met."""
    before, after, comparison = findings
    pair = compared_pair(
        *(
            ComparedScan(
                finding=finding,
                source=source_series(each.images, finding.volume),
                acquired=datetime.strptime(time, "%Y%m%d%H%M%S%z"),
            )
            for finding, each, time in zip((before, after), scans, (EARLY, LATE), strict=True)
        ),
        comparison,
        model=SEGMENTATION_CARD,
        configuration_digest="any",
    )

    text = page_text(pair, context=context())

    said = dict(text.numbers)
    assert said["Baseline acquired"] == "2026-01-05 08:00+01:00"
    assert said["Follow-up acquired"] == "2026-01-05 20:30+01:00"
    assert float(said["Volume at baseline"].removesuffix(" mL")) == pytest.approx(14.1, rel=0.05)
    assert float(said["Volume at follow-up"].removesuffix(" mL")) == pytest.approx(24.4, rel=0.05)
    assert said["Time between the scans"] == "12.5 h"
    assert said["Definition"] == "> 6 mL or > 33 %"
    assert said["Verdict"] == "Expanded (growth by more than 6 mL, growth by more than 33 %)"
    assert said["Change"].startswith("+10.")
    assert "Expansion is growth by more than 6 mL or more than 33 %." in text.remarks


def test_the_selection_names_the_capture_and_the_slice_of_the_follow_up(objects):
    """TID 2010, Of Interest (113000); the baseline is of another study and not selected."""
    read = read_back(objects.key_objects)
    references = selected(read)

    assert read.ConceptNameCodeSequence[0].CodeValue == "113000"
    assert [str(r.ReferencedSOPInstanceUID) for r in references] == [
        str(objects.capture.SOPInstanceUID),
        image_of_largest(objects.follow_up_segmentation),
    ]


def test_of_one_study_both_slices_are_selected(scans, tmp_path):
    """A follow-up that was filed under the baseline's study."""
    study = {"StudyInstanceUID": scans[0].images[0].StudyInstanceUID}
    filed = scan(tmp_path / "filed", LARGE, seed=7, time=LATE, changed=study)

    made = compare(scans[0], filed, tmp_path, **WANTED).objects
    named = {str(r.ReferencedSOPInstanceUID) for r in selected(made.key_objects)}

    assert len(named) == 3
    for each in (scans[0], filed):
        assert len(named & {str(image.SOPInstanceUID) for image in each.images}) == 1


def test_a_follow_up_without_blood_has_its_capture_selected_alone(scans, tmp_path):
    """There is no slice of largest area."""
    empty = scan(tmp_path / "empty", None, seed=9, time=LATE)

    made = compare(scans[0], empty, tmp_path, **WANTED).objects

    assert [str(r.ReferencedSOPInstanceUID) for r in selected(made.key_objects)] == [
        str(made.capture.SOPInstanceUID)
    ]


def test_the_frame_is_named_where_there_is_one(scans, tmp_path):
    """A follow-up of one multi-frame image."""
    single = scan(tmp_path / "single", LARGE, seed=8, time=LATE)
    image = enhanced(single.images)
    multi = replace(single, images=[image], files=save_series([image], tmp_path / "multi"))

    made = compare(scans[0], multi, tmp_path, **WANTED).objects

    assert selected(made.key_objects)[-1].ReferencedFrameNumber >= 1


def test_a_repeat_is_the_same(scans, objects, tmp_path):
    """A comparison made again after a crash is the same page and the same selection."""
    again = compare(*scans, tmp_path, **WANTED).objects

    assert again.pdf == objects.pdf
    assert again.key_objects == objects.key_objects


def test_a_damaged_page_or_another_selection_is_found(objects, scans, findings):
    """Neither leaves before it has been looked at; the check is silent while nothing is wrong."""
    before, after, comparison = findings
    pdf, key_objects = read_back(objects.pdf), read_back(objects.key_objects)

    def check():
        check_comparison(
            replace(objects, pdf=pdf, key_objects=key_objects),
            comparison,
            baseline=before,
            follow_up=after,
            baseline_source=scans[0].images,
            follow_up_source=scans[1].images,
        )

    check()
    pdf.EncapsulatedDocument = pdf.EncapsulatedDocument[:-400]
    pdf.BurnedInAnnotation = "NO"
    selected(key_objects)[-1].ReferencedSOPInstanceUID = scans[0].images[0].SOPInstanceUID
    with pytest.raises(ResultCheckError) as told:
        check()

    assert "page: the document must be a whole PDF" in str(told.value)
    assert "page: BurnedInAnnotation must be YES" in str(told.value)
    assert "key objects: it must select 1 source image" in str(told.value)
    assert "key objects: its evidence must be what it selects" in str(told.value)


def image_of_largest(mask):
    """Return the image of the frame with most voxels, by what the SEG says of its frames."""
    voxels = mask.pixel_array.reshape(-1, mask.Rows * mask.Columns).sum(axis=1)
    group = mask.PerFrameFunctionalGroupsSequence[int(voxels.argmax())]
    source = group.DerivationImageSequence[0].SourceImageSequence[0]
    return str(source.ReferencedSOPInstanceUID)
