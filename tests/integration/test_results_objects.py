"""Result objects of synthetic series, read back by code that shares nothing with the writer."""

import logging
from copy import deepcopy
from datetime import UTC, datetime
from io import BytesIO

import numpy as np
import pydicom
import pytest
from ct_builder import build_ct_series
from highdicom.seg import Segmentation
from pydicom.dataset import Dataset
from result_cases import (
    BALL,
    SMALL,
    case_of,
    case_with_hematoma,
    case_without_hematoma,
    context,
    hematoma_found,
)
from scipy import ndimage

from dicom_node.jobs.task import ObjectKind, PredecessorObject
from dicom_node.results.bundle import encode
from dicom_node.results.check import check_results
from pipeline.analysis import NoHematomaFound
from pipeline.ct_series import read_ct_series
from pipeline.volume import HematomaMask
from pipeline.windowing import brain_window

UNEVEN_MM = [-70, -62, -55, -50, -45, -40, -33, -20, -10, 0, 4, 8, 12, 16, 25, 33, 45, 60, 75]
STACKS = {
    "axial": {},
    "tilted 18 degrees": {"tilt_deg": 18.0},
    "tilted, multi-frame": {"tilt_deg": 18.0, "multi_frame": True},
    "uneven": {"positions_mm": UNEVEN_MM},
    "feet first": {"row_cosine": (-1.0, 0.0, 0.0), "patient_position": "FFS"},
    "prone": {
        "row_cosine": (-1.0, 0.0, 0.0),
        "column_cosine": (0.0, -1.0, 0.0),
        "patient_position": "HFP",
    },
    "multi-frame": {"multi_frame": True},
    "odd matrix": {"shape_yx": (75, 93)},
    "thin": {"slices": 120, "spacing_mm": 1.25, "shape_yx": (64, 64)},
}


def stored(result: Dataset) -> bytes:
    """Return the object as a file."""
    buffer = BytesIO()
    pydicom.dcmwrite(buffer, result, enforce_file_format=True)
    return buffer.getvalue()


def read_back(result: Dataset) -> Dataset:
    """Return the object as another program would read it."""
    return pydicom.dcmread(BytesIO(stored(result)))


def mask_by_references(segmentation: Dataset, case) -> np.ndarray:
    """Return the mask by the image that each frame names, ignoring every position.

    pydicom unpacks the bits; the slice is the one whose source is the image (and frame).
    """
    frames = np.atleast_3d(segmentation.pixel_array)
    frames = frames.reshape(-1, segmentation.Rows, segmentation.Columns)
    slices = {
        (source.sop_instance_uid, source.frame_number): index
        for index, source in enumerate(case.volume.sources)
    }
    mask = np.zeros(case.volume.grid.shape_zyx, dtype=bool)
    for frame, group in zip(frames, segmentation.PerFrameFunctionalGroupsSequence, strict=True):
        (derivation,) = group.DerivationImageSequence
        (image,) = derivation.SourceImageSequence
        key = (image.ReferencedSOPInstanceUID, image.get("ReferencedFrameNumber"))
        mask[slices[key]] = frame
    return mask


@pytest.fixture(scope="module", params=STACKS, ids=str)
def stack(request):
    case = case_with_hematoma(**STACKS[request.param])
    return case, case.encode()


@pytest.fixture(scope="module")
def hematoma():
    case = case_with_hematoma()
    return case, case.encode()


@pytest.fixture(scope="module")
def none():
    case = case_without_hematoma()
    return case, case.encode()


def test_the_segmentation_holds_the_mask_voxel_by_voxel(stack):
    """Whatever the stack: by the images that frames refer to, no voxel differs."""
    case, results = stack

    mask = mask_by_references(read_back(results.segmentation), case)

    assert np.array_equal(mask, case.analysis.mask.voxels_zyx)


def test_frames_lie_where_their_images_lie(stack):
    """Position by position and in one orientation, to a micrometre; empty slices are left out."""
    case, results = stack
    segmentation = read_back(results.segmentation)
    grid = case.volume.grid
    filled = np.nonzero(case.analysis.mask.voxels_zyx.any(axis=(1, 2)))[0]

    positions = [
        tuple(map(float, group.PlanePositionSequence[0].ImagePositionPatient))
        for group in segmentation.PerFrameFunctionalGroupsSequence
    ]
    expected = [grid.slice_origins_lps_mm[index] for index in filled]
    assert np.allclose(sorted(positions), sorted(expected), atol=1e-3)
    shared = segmentation.SharedFunctionalGroupsSequence[0]
    assert np.allclose(
        np.asarray(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float),
        (*grid.row_cosine_lps, *grid.column_cosine_lps),
        atol=1e-6,
    )
    assert np.allclose(
        np.asarray(shared.PixelMeasuresSequence[0].PixelSpacing, float),
        grid.pixel_spacing_yx_mm,
    )


def test_captures_lie_on_their_slices(stack):
    """The slice's pixels lie in the capture where its position, spacing and directions say."""
    case, results = stack
    grid = case.volume.grid

    for capture, saliency in zip(results.captures, case.analysis.saliency.slices, strict=True):
        read = read_back(capture)
        source = case.volume.sources[saliency.slice_index]
        (image,) = read.SourceImageSequence
        along_row, along_column = np.asarray(read.ImageOrientationPatient, float).reshape(2, 3)
        away = np.asarray(grid.slice_origins_lps_mm[saliency.slice_index]) - np.asarray(
            read.ImagePositionPatient, float
        )
        row_mm, column_mm = (float(each) for each in read.PixelSpacing)
        top, left = away @ along_column / row_mm, away @ along_row / column_mm
        assert np.allclose([top, left], np.round([top, left]), atol=1e-3)
        assert abs(away @ np.cross(along_row, along_column)) < 1e-6
        _, rows, columns = grid.shape_zyx
        y, x = saliency.roi.y1, saliency.roi.x1  # just outside: the plain slice
        drawn = read.pixel_array[round(top) : round(top) + rows, round(left) :][:, :columns]
        outside = np.ones((rows, columns), dtype=bool)
        outside[saliency.roi.y0 : y, saliency.roi.x0 : x] = False
        outside &= ~ndimage.binary_dilation(case.analysis.mask.voxels_zyx[saliency.slice_index])
        grey = brain_window(case.volume.hu_zyx[saliency.slice_index])
        assert np.array_equal(drawn[..., 1][outside], np.rint(grey[outside]))
        assert image.ReferencedSOPInstanceUID == source.sop_instance_uid
        assert image.get("ReferencedFrameNumber") == source.frame_number


def test_every_stack_passes_the_inline_check(stack):
    """Also what was written and read again."""
    case, results = stack

    check_results(results, source=case.series, analysis=case.analysis)


def test_a_regular_stack_is_a_volume_for_other_readers(hematoma):
    """Highdicom builds the whole volume from the segmentation, with the source's spacing."""
    case, results = hematoma
    segmentation = Segmentation.from_dataset(read_back(results.segmentation))

    volume = segmentation.get_volume(combine_segments=True)

    assert np.count_nonzero(volume.array) == np.count_nonzero(case.analysis.mask.voxels_zyx)
    assert sorted(volume.spacing) == pytest.approx(sorted(case.volume.grid.spacing_zyx_mm))


def test_a_repeat_gives_the_same_bytes(hematoma):
    """Same input, same context, same files; another time of day changes nothing but times."""
    case, results = hematoma
    again = case.encode()
    later = case.encode(now=datetime(2026, 1, 6, tzinfo=UTC))

    for first, second, third in zip(
        *(r.in_send_order for r in (results, again, later)), strict=True
    ):
        assert stored(first) == stored(second)
        assert first.SOPInstanceUID == third.SOPInstanceUID


def test_the_order_of_the_files_does_not_matter(hematoma):
    """A series arrives in any order."""
    case, results = hematoma
    shuffled = [*case.series[7:], *case.series[:7]]

    again = encode(case.analysis, source=shuffled, volume=case.volume, context=context())

    assert stored(again.report) == stored(results.report)


def test_segment_and_report_track_the_same_lesion(hematoma):
    """Tracking UID and identifier are equal in both."""
    _, results = hematoma
    (segment,) = results.segmentation.SegmentSequence
    groups = measurement_groups(results.report)

    assert [item.UID for item in named(groups[0], "112040")] == [segment.TrackingUID]
    assert [item.TextValue for item in named(groups[0], "112039")] == [segment.TrackingID]


def test_the_report_says_volume_and_probability_first(hematoma):
    """The first numbers of the first group: volume in cm3, probability without unit."""
    case, results = hematoma
    numbers = [i for i in measurement_groups(results.report)[0].ContentSequence if is_num(i)]

    assert [name_of(item) for item in numbers[:2]] == ["YEKZ", "HE_PROB"]
    assert [unit_of(item) for item in numbers[:2]] == ["cm3", "1"]
    assert value_of(numbers[0]) == pytest.approx(33.51, rel=0.02)  # 4/3 pi 20^3 mm3
    assert value_of(numbers[1]) == pytest.approx((0.61 + 0.72 + 0.58) / 3, abs=1e-4)
    assert value_of(numbers[0]) == pytest.approx(case.analysis.measurements.volume_ml, abs=0.01)


def test_every_group_can_be_drawn(hematoma):
    """A group has coordinates or shares its tracking UID with one that has."""
    _, results = hematoma
    groups = measurement_groups(results.report)
    tracks = [named(group, "112040")[0].UID for group in groups]
    drawn = {
        track
        for track, group in zip(tracks, groups, strict=True)
        if any(item.ValueType == "SCOORD" for item in group.ContentSequence)
    }

    assert len(groups) == 5
    assert set(tracks) == drawn
    assert len(drawn) == 3


def test_slice_probabilities_stand_on_their_slices(hematoma):
    """Each triplet slice has its share, on the image it was computed from."""
    case, results = hematoma
    shares = {}
    for group in measurement_groups(results.report):
        for item in named(group, "HE_PROB_SLICE"):
            (region,) = (i for i in group.ContentSequence if i.ValueType == "SCOORD")
            image = region.ContentSequence[0].ReferencedSOPSequence[0]
            shares[image.ReferencedSOPInstanceUID] = value_of(item)

    assert shares == {
        case.volume.sources[s.slice_index].sop_instance_uid: pytest.approx(p)
        for s, p in zip(
            case.analysis.triplet.slices,
            case.analysis.prediction.slice_probabilities,
            strict=True,
        )
    }


def test_outlines_enclose_the_ball(hematoma):
    """Every point of an outline lies within one pixel of the ball's surface."""
    case, results = hematoma
    pixel_mm = case.volume.grid.pixel_spacing_yx_mm[0]
    index_of = {s.sop_instance_uid: i for i, s in enumerate(case.volume.sources)}
    for group in measurement_groups(results.report):
        for region in (i for i in group.ContentSequence if i.ValueType == "SCOORD"):
            points = np.asarray(region.GraphicData, float).reshape(-1, 2)
            image = region.ContentSequence[0].ReferencedSOPSequence[0]
            index = index_of[image.ReferencedSOPInstanceUID]
            for column, row in points:
                place = case.volume.grid.to_lps_mm((index, row - 0.5, column - 0.5))
                distance = float(np.linalg.norm(place - np.array(BALL.center_lps_mm)))
                assert distance == pytest.approx(BALL.radius_mm, abs=1.5 * pixel_mm)


def test_a_hematoma_s_neighbour_without_blood_shows_what_was_seen():
    """Where a triplet slice holds no hematoma the classifier's region is drawn, no finding."""
    case = case_with_hematoma()
    voxels = case.analysis.mask.voxels_zyx.copy()
    largest = case.analysis.measurements.max_area_slice
    voxels[largest + 1 :] = False
    analysis = hematoma_found(HematomaMask(voxels_zyx=voxels, grid=case.volume.grid))

    report = encode(analysis, source=case.series, volume=case.volume, context=context()).report

    last = measurement_groups(report)[-1]
    assert not named(last, "121071")
    (region,) = (i for i in last.ContentSequence if i.ValueType == "SCOORD")
    roi = analysis.triplet.slices[2].roi
    assert min(region.GraphicData[0::2]) == roi.x0
    assert max(region.GraphicData[1::2]) == roi.y1


def test_no_hematoma_is_said_without_numbers(none):
    """Finding absent, slices counted, no segment, no volume, no probability."""
    case, results = none
    (group,) = measurement_groups(results.report)
    evaluations = container(results.report, "C0034375")

    assert results.segmentation is None
    assert results.captures == ()
    assert [i.ConceptCodeSequence[0].CodeValue for i in named(evaluations, "274100004")] == [
        "272519000"
    ]
    assert [(name_of(i), value_of(i)) for i in group.ContentSequence if is_num(i)] == [
        ("HE_SLICES_NONE", 30)
    ]
    assert any(i.ValueType == "SCOORD" for i in group.ContentSequence)
    assert any("in 30 slices analysed" in text for text in comments(results.report))
    check_results(results, source=case.series, analysis=case.analysis)


def test_flags_are_answered_and_told(none):
    """Raised: Present; not raised: Absent; about a hematoma that is not there: Undetermined."""
    _, results = none
    evaluations = container(results.report, "C0034375")
    answers = {
        name_of(item): item.ConceptCodeSequence[0].CodeMeaning
        for item in evaluations.ContentSequence
        if item.ValueType == "CODE"
    }

    assert answers["HE_QC_CONTRAST"] == "Present"
    assert answers["HE_QC_THICK"] == "Absent"
    assert answers["HE_QC_EDGE"] == "Undetermined"
    assert any("Contrast agent is suspected" in text for text in comments(results.report))


def test_every_report_is_marked(hematoma, none):
    """Preliminary, unverified, by a device, for research, from demonstration models."""
    for _, results in (hematoma, none):
        report = results.report
        texts = comments(report)

        assert (report.PreliminaryFlag, report.VerificationFlag) == ("PRELIMINARY", "UNVERIFIED")
        assert any(text.startswith("RESEARCH USE ONLY") for text in texts)
        assert any(text.startswith("DEMONSTRATION MODEL") for text in texts)
        assert any("ich-seg 1.2.0" in text for text in texts)
        assert any("he-vit 1.2.0" in text for text in texts)


def test_the_report_refers_to_every_object_and_image(hematoma):
    """Evidence: 30 images, 3 captures, 1 segmentation; all of one study."""
    case, results = hematoma
    (study,) = results.report.CurrentRequestedProcedureEvidenceSequence
    evidence = {
        item.ReferencedSOPInstanceUID
        for series in study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    }

    assert study.StudyInstanceUID == case.series[0].StudyInstanceUID
    assert evidence == {
        *(ds.SOPInstanceUID for ds in case.series),
        *(ds.SOPInstanceUID for ds in results.captures),
        results.segmentation.SOPInstanceUID,
    }


def test_the_image_library_says_shared_things_once(hematoma):
    """One group; each of the 30 images adds only its position."""
    _, results = hematoma
    library = container(results.report, "111028")
    (group,) = library.ContentSequence
    images = [item for item in group.ContentSequence if item.ValueType == "IMAGE"]

    assert len(images) == 30
    assert {len(image.ContentSequence) for image in images} == {3}


CHINESE = "Zhang^San=张^三"


@pytest.mark.parametrize("charset", ["GB18030", "ISO_IR 192"])
def test_chinese_patients_stay_themselves(charset):
    """Name and study description are the same in every object, stored as UTF-8."""
    series = build_ct_series(shape_yx=SMALL, balls=[BALL])
    for ds in series:
        ds.SpecificCharacterSet = charset
        ds.PatientName = CHINESE
        ds.InstitutionName = "第一医院"
        ds.StudyDescription = "头部平扫"
    case = case_of([read_back(ds) for ds in series])

    results = case.encode()

    check_results(results, source=case.series, analysis=case.analysis)
    for result in results.in_send_order:
        read = read_back(result)
        assert read.SpecificCharacterSet == "ISO_IR 192"
        assert str(read.PatientName) == CHINESE
        assert read.StudyDescription == "头部平扫"
        assert read.ContributingEquipmentSequence[0].InstitutionName == "第一医院"
        assert "张^三".encode() in stored(result)


@pytest.mark.filterwarnings("ignore:The value length:UserWarning")
def test_a_poor_header_is_enough():
    """No identifiers, no accession, no times, a name without caret, very long descriptions."""
    series = build_ct_series(shape_yx=SMALL, balls=[BALL])
    for ds in series:
        for keyword in ("StudyID", "AccessionNumber", "ReferringPhysicianName", "StudyTime"):
            if keyword in ds:
                delattr(ds, keyword)
        ds.PatientName = "张三"
        ds.SpecificCharacterSet = "ISO_IR 192"
        ds.PatientBirthDate = None
        ds.PatientSex = None
        ds.SliceThickness = None
        ds.StudyDescription = "x" * 200
        ds.SeriesDescription = "y" * 200
        ds.StationName = "z" * 40
        del ds.PositionReferenceIndicator
    case = case_of(series)

    results = case.encode()

    check_results(results, source=case.series, analysis=case.analysis)
    for result in results.in_send_order:
        assert result.AccessionNumber == ""
        assert result.StudyID == ""


def test_results_differ_when_the_input_grows():
    """One image more is another result; nothing of the old one is overwritten."""
    series = build_ct_series(shape_yx=SMALL)
    fewer = series[:-1]
    made = [
        encode(
            NoHematomaFound(flags=frozenset()),
            source=source,
            volume=read_ct_series(source),
            context=context(),
        ).report
        for source in (series, fewer)
    ]

    assert made[0].SOPInstanceUID != made[1].SOPInstanceUID


def test_lossy_sources_make_lossy_results():
    """Segmentation and captures say that their source had lost something."""
    series = build_ct_series(shape_yx=SMALL, balls=[BALL])
    for ds in series:
        ds.LossyImageCompression = "01"
        ds.LossyImageCompressionRatio = "12.5"
        ds.LossyImageCompressionMethod = "ISO_10918_1"
    case = case_of(series)

    results = case.encode()

    for image in (*results.captures, results.segmentation):
        assert image.LossyImageCompression == "01"
        assert image.LossyImageCompressionMethod == "ISO_10918_1"


def test_images_left_out_of_the_volume_are_no_evidence():
    """A localizer in the series enters the UIDs but not the report."""
    series = build_ct_series(shape_yx=SMALL, balls=[BALL])
    localizer = deepcopy(series[0])
    localizer.SOPInstanceUID = localizer.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4"
    localizer.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    case = case_of([*series, localizer])

    results = case.encode()

    assert "1.2.3.4" not in str(results.report)
    assert results.report.SOPInstanceUID != case_of(series).encode().report.SOPInstanceUID


def test_no_patient_is_logged(caplog, recwarn):
    """Not even at debug level, not even by the library, not even for an odd name."""
    caplog.set_level(logging.DEBUG)
    series = build_ct_series(shape_yx=SMALL, balls=[BALL], patient_name="POISON")
    case = case_of(series)

    check_results(case.encode(), source=case.series, analysis=case.analysis)

    assert "POISON" not in caplog.text
    assert not list(recwarn)


def named(item, code):
    return [child for child in item.ContentSequence if name_of(child) == code]


def name_of(item):
    return item.ConceptNameCodeSequence[0].CodeValue


def container(report, code):
    (found,) = named(report, code)
    return found


def measurement_groups(report):
    return named(container(report, "126010"), "125007")


def comments(report):
    return [item.TextValue for item in named(container(report, "C0034375"), "121106")]


def is_num(item):
    return item.ValueType == "NUM"


def value_of(item):
    return float(item.MeasuredValueSequence[0].NumericValue)


def unit_of(item):
    return item.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue


def test_a_report_names_the_report_it_supersedes(hematoma):
    """Predecessor Documents lists the earlier report, not its pictures (PS3.3, C.17.2)."""
    case, results = hematoma
    earlier = [
        PredecessorObject(
            kind=kind,
            sop_class_uid=str(each.SOPClassUID),
            sop_instance_uid=str(each.SOPInstanceUID),
            series_instance_uid=str(each.SeriesInstanceUID),
            study_instance_uid=str(each.StudyInstanceUID),
        )
        for kind, each in (
            (ObjectKind.SEGMENTATION, results.segmentation),
            (ObjectKind.REPORT, results.report),
        )
    ]

    report = read_back(
        encode(
            case.analysis,
            source=case.series,
            volume=case.volume,
            context=context(configuration_digest="another"),
            supersedes=earlier,
        ).report
    )

    (study,) = report.PredecessorDocumentsSequence
    (series,) = study.ReferencedSeriesSequence
    (document,) = series.ReferencedSOPSequence
    assert study.StudyInstanceUID == results.report.StudyInstanceUID
    assert series.SeriesInstanceUID == results.report.SeriesInstanceUID
    assert document.ReferencedSOPInstanceUID == results.report.SOPInstanceUID
    assert document.ReferencedSOPClassUID == results.report.SOPClassUID
    assert report.SOPInstanceUID != results.report.SOPInstanceUID
