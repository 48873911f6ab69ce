"""The small report that a series was not analysed."""

from copy import deepcopy

import pytest
from ct_builder import build_ct_series
from result_cases import SMALL, context

from dicom_node.jobs.task import ObjectKind, PredecessorObject
from dicom_node.results.not_processed_report import encode_not_processed
from pipeline.rejection import RejectionCode, RejectionReason

REASON = RejectionReason(
    code=RejectionCode.TOO_FEW_SLICES, found="4 slices", needed="10 slices or more"
)


@pytest.fixture
def series():
    return build_ct_series(slices=4, shape_yx=SMALL)


def texts(report):
    return [
        str(item.TextValue)
        for container in report.ContentSequence
        for item in container.get("ContentSequence", [])
        if item.ValueType == "TEXT"
    ]


def test_it_says_why_in_the_study_of_the_images(series):
    """Patient and study are those of the source; it names every image and measures nothing."""
    report = encode_not_processed(series, REASON, context=context())

    assert report.StudyInstanceUID == series[0].StudyInstanceUID
    assert report.PatientID == series[0].PatientID
    assert report.SeriesInstanceUID != series[0].SeriesInstanceUID
    assert texts(report)[0] == (
        "NOT PROCESSED: this series was not analysed; nothing is said about it. "
        "Found 4 slices; needed 10 slices or more."
    )
    assert any("RESEARCH USE ONLY" in text for text in texts(report))
    (study,) = report.CurrentRequestedProcedureEvidenceSequence
    (evidence,) = study.ReferencedSeriesSequence
    assert {one.ReferencedSOPInstanceUID for one in evidence.ReferencedSOPSequence} == {
        one.SOPInstanceUID for one in series
    }
    titles = {one.ConceptNameCodeSequence[0].CodeMeaning for one in report.ContentSequence}
    assert "Imaging Measurements" not in titles


def test_a_repeat_is_the_same_object(series):
    """Order of the images does not matter."""
    first = encode_not_processed(series, REASON, context=context())
    again = encode_not_processed(series[::-1], REASON, context=context())

    assert first == again


@pytest.mark.parametrize("keyword", ["PatientID", "StudyInstanceUID", "SeriesInstanceUID"])
def test_images_of_two_patients_get_no_report(series, keyword):
    """Nobody could say in whose study it belongs."""
    other = deepcopy(series[0])
    setattr(other, keyword, "1.2.3.4")
    other.SOPInstanceUID = "1.2.3.5"

    assert encode_not_processed([*series, other], REASON, context=context()) is None
    assert encode_not_processed([], REASON, context=context()) is None


def test_it_supersedes_an_earlier_result(series):
    """A series that was analysed, then got images that spoil it."""
    earlier = PredecessorObject(
        kind=ObjectKind.REPORT,
        sop_class_uid="1.2.840.10008.5.1.4.1.1.88.34",
        sop_instance_uid="1.2.3.9",
        series_instance_uid="1.2.3.8",
        study_instance_uid=str(series[0].StudyInstanceUID),
    )

    report = encode_not_processed(series, REASON, context=context(), supersedes=[earlier])

    (study,) = report.PredecessorDocumentsSequence
    (found,) = study.ReferencedSeriesSequence
    assert found.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == "1.2.3.9"
