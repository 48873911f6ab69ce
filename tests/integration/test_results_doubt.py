"""What the expansion model says of its own doubt, in the report and on the page."""

from dataclasses import replace
from io import BytesIO

import pydicom
import pytest
from result_cases import case_with_hematoma, case_without_hematoma, context, doubting

from dicom_node.results.check import check_results
from dicom_node.results.errors import ResultCheckError
from dicom_node.results.summary import analysis_record, write_summary
from pipeline.quality_flags import QualityFlag


@pytest.fixture(scope="module")
def doubted():
    """Return a case with an ensemble's opinion on an unlike patient, and its results."""
    case = case_with_hematoma()
    case = replace(case, analysis=doubting(case.analysis))
    return case, case.encode()


def walked(report):
    """Return all content items of a report, read back as another program would."""
    buffer = BytesIO()
    pydicom.dcmwrite(buffer, report, enforce_file_format=True)
    found, rest = [], [pydicom.dcmread(BytesIO(buffer.getvalue()))]
    while rest:
        item = rest.pop()
        found.append(item)
        rest += item.get("ContentSequence") or ()
    return found[1:]


def numbers(report, code):
    return [
        (
            float(item.MeasuredValueSequence[0].NumericValue),
            item.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue,
        )
        for item in walked(report)
        if item.ValueType == "NUM" and item.ConceptNameCodeSequence[0].CodeValue == code
    ]


def answer(report, code):
    (found,) = (
        item.ConceptCodeSequence[0].CodeMeaning
        for item in walked(report)
        if item.ValueType == "CODE" and item.ConceptNameCodeSequence[0].CodeValue == code
    )
    return found


def texts(report):
    return [item.TextValue for item in walked(report) if item.ValueType == "TEXT"]


def test_the_report_gives_spread_and_unfamiliarity(doubted):
    """0.5 and 0.7 have a standard deviation of 0.1; the distance is 1.25 times its limit."""
    report = doubted[1].report

    assert numbers(report, "HE_PROB_SD") == [(pytest.approx(0.1), "1")]
    assert numbers(report, "HE_UNLIKE") == [(1.25, "1")]


def test_an_unlike_patient_is_flagged_in_code_and_words(doubted):
    """A machine reads the code, a radiologist the sentence."""
    report = doubted[1].report

    assert answer(report, "HE_QC_UNLIKE") == "Present"
    assert any("is a guess" in text for text in texts(report))


def test_the_verdict_at_every_operating_point_is_told(doubted):
    """The mean probability 0.637 lies above 0.2 and below 0.9."""
    said = [text for text in texts(doubted[1].report) if text.startswith("At operating point")]

    verdicts = {text.split("point ")[1].split(" ")[0]: text.split("): ")[1] for text in said}
    assert verdicts == {
        "sensitivity-90": "EXPANSION PREDICTED.",
        "specificity-90": "NO EXPANSION PREDICTED.",
    }


@pytest.mark.parametrize("make", [case_with_hematoma, case_without_hematoma])
def test_a_model_without_a_limit_cannot_tell(make):
    """Neither familiar nor unfamiliar: undetermined, and no number is made up."""
    report = make().encode().report

    assert answer(report, "HE_QC_UNLIKE") == "Undetermined"
    assert numbers(report, "HE_UNLIKE") == numbers(report, "HE_PROB_SD") == []


def test_a_familiar_patient_is_answered_absent():
    """Below the limit the question has an answer, and it is no."""
    case = case_with_hematoma()
    analysis = doubting(case.analysis)
    analysis = replace(
        analysis,
        prediction=replace(analysis.prediction, unfamiliarity=0.5),
        flags=case.analysis.flags,
    )

    assert answer(replace(case, analysis=analysis).encode().report, "HE_QC_UNLIKE") == "Absent"


def test_the_inline_check_compares_the_doubt(doubted):
    """A report of another spread, or of a flag that was not raised, is refused."""
    case, results = doubted
    check_results(results, source=case.series, analysis=case.analysis)
    other = replace(case.analysis.prediction, member_probabilities=(0.2, 0.7))
    unflagged = case.analysis.flags - {QualityFlag.UNFAMILIAR}

    with pytest.raises(ResultCheckError, match="Spread"):
        check_results(
            results, source=case.series, analysis=replace(case.analysis, prediction=other)
        )
    with pytest.raises(ResultCheckError, match="unfamiliar"):
        check_results(
            results, source=case.series, analysis=replace(case.analysis, flags=unflagged)
        )


def test_the_page_shows_the_doubt(doubted, tmp_path):
    """Spread, distance and verdicts stand among the numbers, the flag among the doubts."""
    case, _ = doubted
    record = analysis_record(
        case.analysis, context=context(), series_instance_uid="1.2.3", steps_s={}
    )
    write_summary(tmp_path, case.analysis, case.volume, record)

    page = (tmp_path / "summary.html").read_text(encoding="utf-8")

    for words in (
        "Spread over 2 networks",
        "1.25 of the limit (beyond it)",
        "Category at sensitivity-90",
        "is a guess",
    ):
        assert words in page
