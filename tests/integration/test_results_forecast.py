"""The forecast in the result objects, read back by others' eyes: apart from what was measured."""

import json
from dataclasses import replace
from io import BytesIO

import numpy as np
import pydicom
import pytest
from highdicom.seg import Segmentation
from result_cases import (
    FORECAST_RANGE,
    GROWN,
    GROWTH_CARD,
    case_with_everything,
    case_with_forecast,
    case_with_hematoma,
    context,
)

from dicom_node.jobs.task import ObjectKind
from dicom_node.results.check import check_results
from dicom_node.results.errors import ResultCheckError
from dicom_node.results.record import analysis_record
from dicom_node.results.summary import write_summary
from pipeline.quality_flags import QualityFlag

COMMON = {"series_instance_uid": "1.2.3", "steps_s": {"read": 0.5}}
STACKS = {
    "axial": {},
    "tilted 18 degrees": {"tilt_deg": 18.0},
    "tilted, multi-frame": {"tilt_deg": 18.0, "multi_frame": True},
    "uneven": {"positions_mm": [*range(-70, 20, 5), 25, 33, 45, 60]},
}


def read_back(result):
    """Return the object as another program would read it."""
    buffer = BytesIO()
    pydicom.dcmwrite(buffer, result, enforce_file_format=True)
    return pydicom.dcmread(BytesIO(buffer.getvalue()))


@pytest.fixture(scope="module", params=STACKS, ids=str)
def stacked(request):
    case = case_with_forecast(**STACKS[request.param])
    return case, case.encode()


@pytest.fixture(scope="module")
def forecast():
    case = case_with_forecast()
    return case, case.encode()


def walked(report):
    """Return all content items of a report."""
    found, rest = [], [read_back(report)]
    while rest:
        item = rest.pop()
        found.append(item)
        rest += item.get("ContentSequence") or ()
    return found[1:]


def code_of(item):
    return item.ConceptNameCodeSequence[0].CodeValue


def groups(report):
    """Return every measurement group with its items by code."""
    return [
        {code_of(item): item for item in group.ContentSequence}
        for group in walked(report)
        if code_of(group) == "125007"
    ]


def texts(report):
    return [item.TextValue for item in walked(report) if item.ValueType == "TEXT"]


def faults_of(case, results):
    with pytest.raises(ResultCheckError) as error:
        check_results(results, source=case.series, analysis=case.analysis)
    return " | ".join(error.value.faults)


def test_the_object_holds_the_forecast_voxel_by_voxel(stacked):
    """By the images that its frames name, with pydicom's pixels: the grown ball, no other."""
    case, results = stacked
    made = read_back(results.forecast)
    slices = {
        (source.sop_instance_uid, source.frame_number): index
        for index, source in enumerate(case.volume.sources)
    }

    seen = np.zeros(case.volume.grid.shape_zyx, dtype=bool)
    frames = made.pixel_array.reshape(-1, made.Rows, made.Columns)
    for frame, group in zip(frames, made.PerFrameFunctionalGroupsSequence, strict=True):
        image = group.DerivationImageSequence[0].SourceImageSequence[0]
        seen[slices[image.ReferencedSOPInstanceUID, image.get("ReferencedFrameNumber")]] = frame

    assert np.array_equal(seen, case.analysis.forecast.follow_up.voxels_zyx)
    assert not np.array_equal(seen, case.analysis.mask.voxels_zyx)


def test_the_inline_check_lets_the_set_pass(stacked):
    """What the node makes is what it must be, on every kind of stack."""
    case, results = stacked

    check_results(results, source=case.series, analysis=case.analysis)


def test_measured_and_forecast_share_nothing_that_a_program_sums_by(forecast):
    """Series, type, tracking, label, colour and algorithm all differ."""
    _, results = forecast
    measured, made = read_back(results.segmentation), read_back(results.forecast)
    (found,), (expected,) = measured.SegmentSequence, made.SegmentSequence

    assert made.SeriesInstanceUID != measured.SeriesInstanceUID
    assert "FORECAST" in made.SeriesDescription
    assert "[RESEARCH]" in made.SeriesDescription
    assert expected.SegmentLabel == "Predicted hematoma at follow-up"
    assert "if it expands" in expected.SegmentDescription
    assert expected.SegmentedPropertyTypeCodeSequence[0].CodeValue == "HE_PREDHEM"
    for keyword in ("TrackingUID", "TrackingID", "SegmentLabel", "RecommendedDisplayCIELabValue"):
        assert expected[keyword].value != found[keyword].value, keyword
    (algorithm,) = expected.SegmentationAlgorithmIdentificationSequence
    assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("growth-unet", "0.3.0")
    assert Segmentation.from_dataset(made).number_of_segments == 1


def test_the_report_gives_volume_and_range_in_a_group_of_its_own(forecast):
    """The grown ball of 23 mm radius has 50.97 mL; the measured volume stands elsewhere."""
    case, results = forecast
    (group,) = [one for one in groups(results.report) if "HE_FC_VOL" in one]

    numbers = {
        code: float(item.MeasuredValueSequence[0].NumericValue)
        for code, item in group.items()
        if item.ValueType == "NUM"
    }

    assert numbers["HE_FC_VOL"] == pytest.approx(GROWN.volume_ml, rel=0.03)
    assert numbers == {
        "HE_FC_VOL": pytest.approx(case.analysis.forecast.follow_up_ml, abs=0.005),
        "HE_FC_VOL_LO95": FORECAST_RANGE.low_ml,
        "HE_FC_VOL_HI95": FORECAST_RANGE.high_ml,
    }
    reference = group["121191"].ReferencedSOPSequence[0]
    assert reference.ReferencedSOPInstanceUID == results.forecast.SOPInstanceUID
    assert group["121071"].ConceptCodeSequence[0].CodeValue == "HE_PREDHEM"


def test_viewers_can_draw_the_forecast_without_taking_it_for_the_lesion(forecast):
    """A group with coordinates shares the forecast's tracking identifier; no measured one does."""
    _, results = forecast
    of_forecast = [
        one for one in groups(results.report) if one["112039"].TextValue.endswith("ast")
    ]

    assert len(of_forecast) == 2
    assert ["111030" in one for one in of_forecast].count(True) == 1
    findings = {one["121071"].ConceptCodeSequence[0].CodeValue for one in of_forecast}
    assert findings == {"HE_PREDHEM"}
    assert not any("YEKZ" in one for one in of_forecast)


def test_the_words_name_the_condition_and_the_simulated_training(forecast):
    """Nobody reads that the hematoma will grow, or takes the weights for tried ones."""
    (said,) = [text for text in texts(forecast[1].report) if text.startswith("Forecast:")]

    assert "at follow-up if it expands" in said
    assert "does not say whether the hematoma expands" in said
    assert "trained on simulated" in said


def test_the_record_says_what_the_report_says(forecast):
    """The same volumes, the model, and the condition; JSON as the file holds it."""
    case, _ = forecast
    record = analysis_record(case.analysis, context=context(growth_card=GROWTH_CARD), **COMMON)

    told = json.loads(json.dumps(record))["forecast"]
    assert told["volume_ml"] == pytest.approx(case.analysis.forecast.follow_up_ml, abs=1e-6)
    assert told["volume_range_ml"] == [30.5, 71.25]
    assert told["baseline_ml"] == pytest.approx(case.analysis.measurements.volume_ml, rel=0.02)
    assert told["conditional_on"] == "expansion"
    assert told["model"] == record["model"]["growth"]
    assert told["model"]["weights_sha256"] == "ef" * 32


def test_without_a_growth_model_the_record_says_null():
    """The key is there, so that programs need not guess."""
    record = analysis_record(case_with_hematoma().analysis, context=context(), **COMMON)

    assert record["forecast"] is None
    assert set(record["model"]) == {"segmentation", "classification"}


def test_the_page_tells_the_forecast_apart(forecast, tmp_path):
    """A line of its own, and what the dashes are for those who cannot see them."""
    case, _ = forecast
    record = analysis_record(case.analysis, context=context(growth_card=GROWTH_CARD), **COMMON)

    write_summary(tmp_path, case.analysis, case.volume, record)

    page = (tmp_path / "summary.html").read_text(encoding="utf-8")
    assert "Forecast volume, not measured" in page
    volume = f"{case.analysis.forecast.follow_up_ml:.1f} mL (95 % range 30.5-71.2)"
    assert f"{volume} at follow-up if it expands" in page
    assert "dashed outline is the forecast" in page
    assert "growth-unet" in page


def test_captures_name_the_dashes_only_where_there_are_some(forecast):
    """The derivation of the picture tells whose outline is dashed."""
    plain = case_with_everything().encode()

    assert all("Dashed" in made.DerivationDescription for made in forecast[1].captures)
    assert not any("Dashed" in made.DerivationDescription for made in plain.captures)


def test_the_forecast_is_sent_after_the_segmentation_and_before_the_report(forecast):
    """What is referred to arrives first, and each object has a kind of its own."""
    assert [kind for kind, _ in forecast[1].with_kinds] == [
        *[ObjectKind.CAPTURE] * 3,
        ObjectKind.SEGMENTATION,
        ObjectKind.FORECAST,
        ObjectKind.REPORT,
    ]


def test_a_repeat_gives_the_same_bytes(forecast):
    """No random identifier and no present time is left in the forecast."""
    case, results = forecast

    def written(made):
        buffer = BytesIO()
        made.save_as(buffer, enforce_file_format=True)
        return buffer.getvalue()

    assert written(case.encode().forecast) == written(results.forecast)


def test_every_object_names_the_growth_model_beside_the_others(forecast):
    """IHE AIR lists every algorithm; without a growth model none is named."""
    plain = case_with_everything().encode()

    for made in forecast[1].in_send_order:
        names = [item.get("ManufacturerModelName") for item in made.ContributingEquipmentSequence]
        assert names[-3:] == ["ich-seg", "he-vit", "growth-unet"]
    assert any(text.startswith("Growth model: growth-unet") for text in texts(forecast[1].report))
    for made in plain.in_send_order:
        assert made.ContributingEquipmentSequence[-1].ManufacturerModelName == "he-vit"


def test_another_growth_model_is_another_result(forecast):
    """The model enters the identity of every object, so nothing is overwritten."""
    case, results = forecast
    other = case.encode(growth_card=replace(GROWTH_CARD, weights_sha256="01" * 32))

    for one, two in zip(results.in_send_order, other.in_send_order, strict=True):
        assert one.SOPInstanceUID != two.SOPInstanceUID


def test_a_hematoma_without_forecast_is_flagged_where_one_was_wanted():
    """The report answers the flag only if a growth model was asked."""
    case = case_with_hematoma()
    flags = case.analysis.flags | {QualityFlag.NO_FORECAST}
    failed = replace(case, analysis=replace(case.analysis, flags=flags))
    results = failed.encode(growth_card=GROWTH_CARD)

    check_results(results, source=failed.series, analysis=failed.analysis)
    answers = {
        code_of(item): item.ConceptCodeSequence[0].CodeMeaning
        for item in walked(results.report)
        if item.ValueType == "CODE"
    }
    assert answers["HE_QC_NOFC"] == "Present"
    assert results.forecast is None
    assert any("could make no forecast" in text for text in texts(results.report))
    plain = {code_of(item) for item in walked(case.encode().report)}
    assert "HE_QC_NOFC" not in plain


def test_a_forecast_of_nobody_is_not_written(forecast):
    """Whoever encodes one names the model."""
    with pytest.raises(ValueError, match="growth model"):
        forecast[0].encode(growth_card=None)


def spoil_voxel(results):
    pixels = bytearray(results.forecast.PixelData)
    pixels[len(pixels) // 2] ^= 1
    results.forecast.PixelData = bytes(pixels)


def spoil_tracking(results):
    (segment,), (measured,) = (
        results.forecast.SegmentSequence,
        results.segmentation.SegmentSequence,
    )
    segment.TrackingUID = measured.TrackingUID


def spoil_type(results):
    (segment,), (measured,) = (
        results.forecast.SegmentSequence,
        results.segmentation.SegmentSequence,
    )
    segment.SegmentedPropertyTypeCodeSequence = measured.SegmentedPropertyTypeCodeSequence


def spoil_description(results):
    results.forecast.SeriesDescription = "AI hematoma SEG [RESEARCH]"


def spoil_series(results):
    results.forecast.SeriesInstanceUID = results.segmentation.SeriesInstanceUID


def spoil_report(results):
    for item in walk_in_place(results.report):
        if item.get("ConceptNameCodeSequence") and code_of(item) == "HE_FC_VOL":
            item.MeasuredValueSequence[0].NumericValue = "1.0"


def spoil_words(results):
    for item in walk_in_place(results.report):
        if item.ValueType == "TEXT" and item.TextValue.startswith("Forecast:"):
            item.TextValue = "The hematoma will have 50 mL."


def walk_in_place(item):
    for child in item.get("ContentSequence") or ():
        yield child
        yield from walk_in_place(child)


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (spoil_voxel, "voxels differ from the mask"),
        (spoil_tracking, "tracked as the measured hematoma"),
        (spoil_type, "type is not that of a prediction"),
        (spoil_description, "SeriesDescription lacks FORECAST"),
        (spoil_series, "needs a series of its own"),
        (spoil_report, "must be given 1 times"),
        (spoil_words, "told with its condition"),
    ],
)
def test_the_check_finds_what_would_mislead(spoil, expected):
    """A forecast that could be taken for a finding never leaves the node."""
    case = case_with_forecast()
    results = case.encode()
    spoil(results)

    assert expected in faults_of(case, results)


def test_the_check_misses_no_forecast(forecast):
    """One that was made must be sent, and none may be made up."""
    case, results = forecast
    without = replace(case.analysis, forecast=None)

    lost = faults_of(case, replace(results, forecast=None))
    made_up = faults_of(replace(case, analysis=without), results)

    assert "exactly when the growth model made one" in lost
    assert "exactly when the growth model made one" in made_up
