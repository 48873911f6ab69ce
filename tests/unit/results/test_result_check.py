"""The inline check passes good results and names every fault of bad ones."""

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
from result_cases import case_with_hematoma, case_without_hematoma

from dicom_node.results.check import check_results
from dicom_node.results.errors import ResultCheckError
from pipeline.quality_flags import QualityFlag
from pipeline.volume import HematomaMask


@pytest.fixture(scope="module")
def case():
    return case_with_hematoma()


@pytest.fixture(scope="module")
def encoded(case):
    return case.encode()


@pytest.fixture
def results(encoded):
    return deepcopy(encoded)


def faults_of(case, results, analysis=None):
    with pytest.raises(ResultCheckError) as caught:
        check_results(results, source=case.series, analysis=analysis or case.analysis)
    return " | ".join(caught.value.faults)


@pytest.mark.parametrize(
    "make",
    [
        case_with_hematoma,
        case_without_hematoma,
        lambda: case_with_hematoma(tilt_deg=18.0),
        lambda: case_with_hematoma(multi_frame=True),
    ],
    ids=["hematoma", "none", "tilted", "multi-frame"],
)
def test_good_results_pass(make):
    """What `encode` makes has no fault."""
    case = make()

    check_results(case.encode(), source=case.series, analysis=case.analysis)


@pytest.mark.parametrize(
    ("kind", "keyword", "named"),
    [
        ("segmentation", "ManufacturerModelName", "ManufacturerModelName"),
        ("segmentation", "PatientSex", "PatientSex"),
        ("segmentation", "SegmentSequence", "SegmentSequence"),
        ("segmentation", "SegmentationType", "SegmentationType"),
        ("report", "StudyID", "StudyID"),
        ("report", "CompletionFlag", "CompletionFlag"),
        ("report", "ManufacturerModelName", "ManufacturerModelName"),
        ("report", "CurrentRequestedProcedureEvidenceSequence", "cannot be read"),
        ("capture", "ConversionType", "ConversionType"),
        ("capture", "ImageComments", "RESEARCH USE ONLY"),
        ("capture", "BurnedInAnnotation", "BurnedInAnnotation"),
        ("capture", "PixelData", "Pixel"),
        ("capture", "SeriesDescription", "RESEARCH"),
    ],
)
def test_a_missing_attribute_is_named(case, results, kind, keyword, named):
    """Negative controls: take one attribute away, the fault names it."""
    target = results.captures[1] if kind == "capture" else getattr(results, kind)
    delattr(target, keyword)

    assert named in faults_of(case, results)


def test_a_nested_attribute_is_missed(case, results):
    """Segment Algorithm Type is type 1 inside the Segment Sequence."""
    del results.segmentation.SegmentSequence[0].SegmentAlgorithmType

    assert "SegmentSequence/SegmentAlgorithmType" in faults_of(case, results)


def test_one_wrong_voxel_is_counted(case, results):
    """A bit that flips on its way is found."""
    data = bytearray(results.segmentation.PixelData)
    data[len(data) // 2] ^= 0b00000100
    results.segmentation.PixelData = bytes(data)

    assert "1 voxels differ" in faults_of(case, results)


def test_a_mask_of_another_analysis_is_found(case, results):
    """The object must hold the mask of this analysis."""
    other = HematomaMask(
        voxels_zyx=np.roll(case.analysis.mask.voxels_zyx, 1, axis=2), grid=case.volume.grid
    )

    faults = faults_of(case, results, replace(case.analysis, mask=other))

    assert "voxels differ from the mask" in faults


def test_a_frame_on_the_wrong_image_is_found(case, results):
    """Reference and position must agree."""
    frames = results.segmentation.PerFrameFunctionalGroupsSequence
    frames[0].DerivationImageSequence, frames[1].DerivationImageSequence = (
        frames[1].DerivationImageSequence,
        frames[0].DerivationImageSequence,
    )

    assert "refers to an image that does not lie where it lies" in faults_of(case, results)


@pytest.mark.parametrize("shift", [(0.5, 0.0, 0.0), (0.0, 0.0, 1.0), (500.0, 0.0, 0.0)])
def test_a_capture_beside_its_slice_is_found(case, results, shift):
    """Half a pixel off, in another plane, or with the slice outside of its picture."""
    capture = results.captures[1]
    column_mm = float(capture.PixelSpacing[1])
    x, y, z = (float(part) for part in capture.ImagePositionPatient)
    capture.ImagePositionPatient = [x + shift[0] * column_mm, y + shift[1], z + shift[2]]

    assert "lie within it, pixel on pixel" in faults_of(case, results)


def test_another_patient_or_frame_of_reference_is_found(case, results):
    """Results never leave under another name or in another space."""
    results.report.PatientID = "SOMEBODY ELSE"
    results.captures[0].FrameOfReferenceUID = "1.2.3"

    faults = faults_of(case, results)

    assert "SR: PatientID differs" in faults
    assert "OT: FrameOfReferenceUID differs" in faults
    assert "SOMEBODY" not in faults


def test_a_report_with_other_numbers_is_found(case, results):
    """Volume and probability must be those of the analysis."""
    other = replace(
        case.analysis,
        measurements=replace(case.analysis.measurements, volume_ml=12.0),
        prediction=replace(case.analysis.prediction, slice_probabilities=(0.1, 0.1, 0.1)),
    )

    faults = faults_of(case, results, other)

    assert "Volume from Voxel Summation" in faults
    assert "Probability of hematoma expansion" in faults


def test_a_group_without_coordinates_is_found(case, results):
    """A common viewer shows a black image for such a report."""
    container = next(i for i in results.report.ContentSequence if _named(i, "126010"))
    for group in container.ContentSequence:
        group.ContentSequence = [i for i in group.ContentSequence if i.ValueType != "SCOORD"]

    assert "viewers would show a black image" in faults_of(case, results)


@pytest.mark.parametrize("code", ["121058", "121049", "121005", "121012"])
def test_a_report_without_language_observer_or_procedure_is_found(case, results, code):
    """Validators let some of these pass; the check does not."""
    items = results.report.ContentSequence
    results.report.ContentSequence = [i for i in items if not _named(i, code)]

    faults_of(case, results)


def test_a_report_that_forgets_a_flag_is_found(case, results):
    """A raised flag must be answered with Present."""
    flagged = replace(case.analysis, flags=frozenset({QualityFlag.HEMATOMA_AT_EDGE}))

    assert "hematoma_at_edge" in faults_of(case, results, flagged)


def test_references_must_resolve(case, results):
    """A report that refers to another segmentation is found."""
    results.segmentation.SOPInstanceUID = "1.2.3"
    results.segmentation.file_meta.MediaStorageSOPInstanceUID = "1.2.3"

    faults = faults_of(case, results)

    assert "the referenced segments are not those of segmentation and forecast" in faults
    assert "result 1.2.3 is not referred to" in faults


def test_a_set_that_lacks_an_object_is_found(case, results):
    """A hematoma without segmentation, captures without a hematoma: neither leaves."""
    assert "a segmentation must be there" in faults_of(case, replace(results, segmentation=None))
    assert "0 captures, expected 3" in faults_of(case, replace(results, captures=()))


def test_every_fault_is_named_at_once(case, results):
    """Three faults, three names."""
    del results.report.StudyID
    del results.segmentation.ManufacturerModelName
    results.captures[2].BurnedInAnnotation = "NO"

    faults = faults_of(case, results)

    for named in ("StudyID", "ManufacturerModelName", "BurnedInAnnotation"):
        assert named in faults


def test_no_measurements_are_taken_for_a_finding(case, results):
    """A report of a hematoma does not pass for one without."""
    none = case_without_hematoma()

    assert "Cerebral hemorrhage is not Absent" in faults_of(case, results, none.analysis)


def _named(item, code):
    return item.ConceptNameCodeSequence[0].CodeValue == code
