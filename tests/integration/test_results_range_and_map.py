"""Range, compartments and doubt in the result objects, read back by others' eyes."""

import base64
from dataclasses import replace
from io import BytesIO

import numpy as np
import pydicom
import pytest
from highdicom.pm import ParametricMap
from result_cases import (
    COMPARTMENTS_ML,
    case_with_everything,
    case_with_hematoma,
    case_with_ventricular_blood,
    context,
)

from dicom_node.bootstrap.encoding import encoded
from dicom_node.bootstrap.node_models import fitted_facts
from dicom_node.jobs.task import ObjectKind
from dicom_node.results import wording
from dicom_node.results.check import check_results
from dicom_node.results.errors import ResultCheckError
from dicom_node.results.record import analysis_record
from dicom_node.results.summary import write_summary
from dicom_node.series_analysis import ResultConfiguration
from pipeline.finding import Compartment, VolumeRange
from pipeline.model_bundle import builtin_bundle_path, load_card
from pipeline.training_statistics import TrainingStatistics, Trait, kinds_of
from pipeline.volume_error import VolumeError

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
def mapped(request):
    case = case_with_everything(**STACKS[request.param])
    return case, case.encode(with_uncertainty_map=True)


@pytest.fixture(scope="module")
def everything():
    case = case_with_everything()
    return case, case.encode(with_uncertainty_map=True)


@pytest.fixture(scope="module")
def ventricular():
    case = case_with_ventricular_blood()
    return case, case.encode(with_uncertainty_map=True)


def numbers(report):
    """Return value and unit of every measurement by code; every code stands once or per slice."""
    found = {}

    def walk(item):
        for child in item.get("ContentSequence") or ():
            if child.ValueType == "NUM":
                value = child.MeasuredValueSequence[0]
                found[child.ConceptNameCodeSequence[0].CodeValue] = (
                    float(value.NumericValue),
                    value.MeasurementUnitsCodeSequence[0].CodeValue,
                )
            walk(child)

    walk(report)
    return found


def answers(report):
    """Return what the qualitative evaluations answer, and their comments."""
    (container,) = (
        item
        for item in report.ContentSequence
        if item.ConceptNameCodeSequence[0].CodeValue == "C0034375"
    )
    coded = {
        item.ConceptNameCodeSequence[0].CodeValue: item.ConceptCodeSequence[0].CodeMeaning
        for item in container.ContentSequence
        if item.ValueType == "CODE"
    }
    return coded, [item.TextValue for item in container.ContentSequence if "TextValue" in item]


def test_the_map_holds_the_doubt_on_the_source_grid(mapped):
    """By the images that frames name, with pydicom's pixels, to half a step."""
    case, results = mapped
    made = read_back(results.uncertainty_map)
    slices = {
        (source.sop_instance_uid, source.frame_number): index
        for index, source in enumerate(case.volume.sources)
    }
    shared = made.SharedFunctionalGroupsSequence[0]
    (mapping,) = shared.RealWorldValueMappingSequence

    values = made.pixel_array * mapping.RealWorldValueSlope + mapping.RealWorldValueIntercept

    seen = np.full(case.volume.grid.shape_zyx, np.nan)
    for frame, group in zip(values, made.PerFrameFunctionalGroupsSequence, strict=True):
        image = group.DerivationImageSequence[0].SourceImageSequence[0]
        index = slices[image.ReferencedSOPInstanceUID, image.get("ReferencedFrameNumber")]
        position = group.PlanePositionSequence[0].ImagePositionPatient
        np.testing.assert_allclose(
            np.asarray(position, float), case.volume.grid.slice_origins_lps_mm[index], atol=1e-3
        )
        seen[index] = frame
    np.testing.assert_allclose(seen, case.analysis.uncertainty_zyx, atol=0.51e-4)
    assert mapping.MeasurementUnitsCodeSequence[0].CodeValue == "1"


def test_frames_follow_each_other_along_the_normal_as_ohif_lays_them(mapped):
    """OHIF 3.13 ignores the references of frames: stored order must be that of its volume."""
    case, results = mapped
    made = read_back(results.uncertainty_map)
    grid = case.volume.grid
    normal = np.cross(grid.row_cosine_lps, grid.column_cosine_lps)

    along = [
        np.dot(np.asarray(group.PlanePositionSequence[0].ImagePositionPatient, float), normal)
        for group in made.PerFrameFunctionalGroupsSequence
    ]
    indices = [
        group.FrameContentSequence[0].DimensionIndexValues
        for group in made.PerFrameFunctionalGroupsSequence
    ]

    assert np.all(np.diff(along) > 0)
    assert indices == list(range(1, len(along) + 1))
    # 32-bit floats: the only Parametric Map that OHIF reads.
    assert "FloatPixelData" in made
    assert made.BitsAllocated == 32


def test_highdicom_reads_the_map_as_a_volume(everything):
    """An independent reader finds the same range of values and spacing."""
    case, results = everything
    made = ParametricMap.from_dataset(read_back(results.uncertainty_map))

    volume = made.get_volume(apply_real_world_transform=True)

    assert volume.array.max() == pytest.approx(np.log(2), abs=1e-4)
    assert sorted(volume.spacing) == pytest.approx(sorted(case.volume.grid.spacing_zyx_mm))


def test_every_stack_with_a_map_passes_the_inline_check(mapped):
    """What was written fits what was found."""
    case, results = mapped

    check_results(results, source=case.series, analysis=case.analysis)


def test_the_map_is_sent_after_the_segmentation_and_before_the_report(everything):
    """What is referred to arrives first; every object has a kind in the ledger."""
    _, results = everything

    kinds = [kind for kind, _ in results.with_kinds]

    assert kinds == [
        *[ObjectKind.CAPTURE] * 3,
        ObjectKind.SEGMENTATION,
        ObjectKind.UNCERTAINTY_MAP,
        ObjectKind.REPORT,
    ]
    assert [result for _, result in results.with_kinds] == list(results.in_send_order)
    made = encoded(ObjectKind.UNCERTAINTY_MAP, results.uncertainty_map)
    assert made.kind is ObjectKind.UNCERTAINTY_MAP


def test_no_map_is_made_unless_it_is_wanted_and_there_is_one(everything, ventricular):
    """Off by default; without a hematoma or without doubt there is nothing to show."""
    case, _ = everything
    unsure = replace(case, analysis=replace(case.analysis, uncertainty_zyx=None))

    assert case.encode().uncertainty_map is None
    assert unsure.encode(with_uncertainty_map=True).uncertainty_map is None
    assert ventricular[1].uncertainty_map is None


def test_a_repeat_gives_the_same_map(everything):
    """No random identifier and no present time is left in it."""
    case, results = everything
    again = case.encode(with_uncertainty_map=True).uncertainty_map

    kind = ObjectKind.UNCERTAINTY_MAP
    assert encoded(kind, again).encoded == encoded(kind, results.uncertainty_map).encoded


def test_the_configuration_s_digest_changes_with_the_map_and_with_the_fitted_error():
    """Results of another kind get identities of their own."""
    plain = ResultConfiguration()

    digests = {
        plain.digest,
        ResultConfiguration(with_uncertainty_map=True).digest,
        ResultConfiguration(fitted=("error 1",)).digest,
        ResultConfiguration(fitted=("error 2",)).digest,
    }

    assert len(digests) == 4
    assert plain.digest == ResultConfiguration().digest


def test_the_report_gives_the_range_and_the_compartments(everything):
    """Both ends and every volume in cm3, to a hundredth of a millilitre."""
    found = numbers(read_back(everything[1].report))

    assert found["HE_VOL_LO95"] == (pytest.approx(28.125, abs=0.006), "cm3")
    assert found["HE_VOL_HI95"] == (pytest.approx(38.875, abs=0.006), "cm3")
    assert found["HE_VOL_EAH"] == (0.0, "cm3")
    assert found["HE_VOL_EDEMA"] == (12.04, "cm3")
    assert found["HE_VOL_IVH"] == (3.46, "cm3")


def test_the_report_refers_to_the_map(everything):
    """A comment says what it is, with the reference beneath it."""
    _, results = everything
    report = read_back(results.report)

    (comment,) = (
        item
        for container in report.ContentSequence
        for item in container.get("ContentSequence") or ()
        if item.get("TextValue") == wording.UNCERTAINTY_MAP
    )
    (image,) = comment.ContentSequence
    assert image.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == (
        results.uncertainty_map.SOPInstanceUID
    )


def test_findings_are_answered_and_told(everything):
    """Ventricular blood and oedema present, extra-axial blood absent; flags as raised."""
    coded, texts = answers(everything[1].report)

    assert (coded["HE_IVH"], coded["2032001"], coded["HE_EAH"]) == ("Present", "Present", "Absent")
    assert (coded["HE_QC_IVH"], coded["HE_QC_VOLUME"]) == ("Present", "Present")
    assert (coded["HE_QC_PIVH"], coded["HE_QC_EAH"]) == ("Absent", "Absent")
    assert any(" mL (95 % range 28.1-38.9)" in text for text in texts)
    assert any("perihematomal edema 12.0 mL" in text for text in texts)


def test_what_a_model_cannot_tell_is_undetermined():
    """A network that knows only the hematoma does not say that the ventricles are free."""
    coded, texts = answers(case_with_hematoma().encode().report)

    assert {coded[name] for name in ("HE_QC_EAH", "HE_QC_PIVH", "HE_QC_IVH", "HE_QC_VOLUME")} == {
        "Undetermined"
    }
    assert not {"HE_IVH", "HE_EAH", "2032001"} & set(coded)
    assert not any("Other findings" in text for text in texts)


def test_ventricular_blood_without_a_hematoma_is_said(ventricular):
    """Hematoma absent, ventricular blood present, with its volume, in code and words."""
    case, results = ventricular
    report = read_back(results.report)
    coded, texts = answers(report)

    assert (coded["274100004"], coded["HE_IVH"]) == ("Absent", "Present")
    assert (coded["HE_QC_PIVH"], coded["HE_QC_IVH"]) == ("Present", "Undetermined")
    assert numbers(report)["HE_VOL_IVH"] == (3.46, "cm3")
    assert any("Blood was found elsewhere: intraventricular hemorrhage." in text for text in texts)
    check_results(results, source=case.series, analysis=case.analysis)


def test_the_record_holds_range_and_compartments(everything, ventricular):
    """JSON for programs; null and empty where the model knows nothing."""
    record = analysis_record(everything[0].analysis, context=context(), **COMMON)
    without = analysis_record(ventricular[0].analysis, context=context(), **COMMON)
    plain = analysis_record(case_with_hematoma().analysis, context=context(), **COMMON)

    assert record["volume_range_ml"] == [28.125, 38.875]
    assert record["compartments_ml"] == {name.value: COMPARTMENTS_ML[name] for name in Compartment}
    assert without["volume_range_ml"] is None
    assert without["compartments_ml"] == record["compartments_ml"]
    assert (plain["volume_range_ml"], plain["compartments_ml"]) == (None, {})


def test_the_summary_tells_range_and_blood_elsewhere(everything, ventricular, tmp_path):
    """On the page in words; a head with ventricular blood is never headed as clean."""
    pages = []
    for name, (case, _) in (("a", everything), ("b", ventricular)):
        record = analysis_record(case.analysis, context=context(), **COMMON)
        write_summary(tmp_path / name, case.analysis, case.volume, record)
        pages.append((tmp_path / name / "summary.html").read_text(encoding="utf-8"))

    assert " mL (95 % range 28.1-38.9)" in pages[0]
    assert "12.0 mL" in pages[0]
    assert "<h1>No hematoma in the brain, blood elsewhere</h1>" in pages[1]
    assert base64.b64encode((tmp_path / "b" / "summary.png").read_bytes()).decode() in pages[1]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"volume_range": None}, "Lower limit of the volume"),
        ({"volume_range": VolumeRange(low_ml=28.125, high_ml=50)}, "Upper limit of the volume"),
        ({"compartments_ml": {}}, "extra_axial_hemorrhage must be answered"),
        (
            {"compartments_ml": COMPARTMENTS_ML | {Compartment.EDEMA: 3.0}},
            "Volume of perihematomal edema",
        ),
        ({"uncertainty_zyx": None}, "the models have no uncertainty"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_inline_check_finds_what_does_not_fit(everything, change, named):
    """Negative controls: objects of one analysis do not pass for another."""
    case, results = everything

    with pytest.raises(ResultCheckError, match=named):
        check_results(results, source=case.series, analysis=replace(case.analysis, **change))


def test_one_wrong_voxel_of_the_map_is_found(everything):
    """A doubt that differs by a hundredth of a nat in one voxel."""
    case, results = everything
    other = case.analysis.uncertainty_zyx.copy()
    other[5, 10, 10] += 0.01

    with pytest.raises(ResultCheckError, match="differs from the uncertainty of slice 6"):
        check_results(
            results, source=case.series, analysis=replace(case.analysis, uncertainty_zyx=other)
        )


def test_whatever_a_card_states_changes_the_configuration_but_its_words():
    """Cutoff, floor and fitted error count; licence and scores do not."""
    card = load_card(builtin_bundle_path("demo-segmentation"))
    error = VolumeError(quantile=2.0, floor_ml=0.3, patients=40, cohort="toy")
    facts = fitted_facts(replace(card, volume_error=None))

    assert fitted_facts(replace(card, volume_error=error)) != facts
    assert fitted_facts(replace(card, volume_error=None, probability_cutoff=0.4)) != facts
    assert fitted_facts(replace(card, volume_error=None, licence="another")) == facts
    statistics = TrainingStatistics(cohort="tests", traits={Trait.KERNEL: kinds_of(["H30"])})
    stated = replace(card, volume_error=None, training_statistics=statistics)
    assert fitted_facts(stated) == facts
