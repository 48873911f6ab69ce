"""An enhanced multi-frame CT gives the same volume as the single images it was made of."""

from collections.abc import Sequence
from copy import deepcopy

import numpy as np
import pytest
from ct_builder import build_ct_series
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import EnhancedCTImageStorage, JPEGLSLossless, RLELossless, generate_uid

from pipeline.ct_series import read_ct_series
from pipeline.errors import SeriesRejectedError
from pipeline.quality_flags import QualityFlag
from pipeline.rejection import RejectionCode

SMALL = (64, 64)


def group(**values) -> Items:
    """Return a functional group: a sequence of one item."""
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return Items([item])


def enhanced(series: Sequence[Dataset], *, shared_rescale: bool = True) -> Dataset:
    """Return the series as one Enhanced CT Image (PS3.3, section A.38), frames in its order."""
    first = series[0]
    ds = deepcopy(first)
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    ds.SOPInstanceUID = generate_uid(entropy_srcs=[first.SOPInstanceUID, "enhanced"])
    shared = Dataset()
    shared.PixelMeasuresSequence = group(
        PixelSpacing=first.PixelSpacing, SliceThickness=first.SliceThickness
    )
    shared.PlaneOrientationSequence = group(ImageOrientationPatient=first.ImageOrientationPatient)
    shared.FrameAnatomySequence = group(FrameLaterality="U")
    shared.CTImageFrameTypeSequence = group(FrameType=["ORIGINAL", "PRIMARY", "VOLUME", "NONE"])
    frames = []
    for number, image in enumerate(series, start=1):
        frame = Dataset()
        frame.PlanePositionSequence = group(ImagePositionPatient=image.ImagePositionPatient)
        frame.FrameContentSequence = group(FrameAcquisitionNumber=number)
        rescale = group(
            RescaleIntercept=image.RescaleIntercept,
            RescaleSlope=image.RescaleSlope,
            RescaleType="HU",
        )
        (shared if shared_rescale else frame).PixelValueTransformationSequence = rescale
        frames.append(frame)
    for keyword in (
        *("PixelSpacing", "SliceThickness", "ImageOrientationPatient", "ImagePositionPatient"),
        *("RescaleIntercept", "RescaleSlope", "RescaleType", "AcquisitionNumber"),
    ):
        delattr(ds, keyword)
    ds.SharedFunctionalGroupsSequence = Items([shared])
    ds.PerFrameFunctionalGroupsSequence = Items(frames)
    ds.NumberOfFrames = len(series)
    ds.PixelData = b"".join(image.PixelData for image in series)
    return ds


def shuffled(series: list[Dataset]) -> list[Dataset]:
    """Return the series in an order that no position explains."""
    return series[::3] + series[1::3] + series[2::3]


@pytest.mark.parametrize("tilt_deg", [0.0, 18.0])
@pytest.mark.parametrize("shared_rescale", [True, False])
def test_frames_make_the_same_volume_as_images(tilt_deg, shared_rescale):
    """Frames in any order, groups shared or per frame, tilted or not."""
    series = shuffled(build_ct_series(shape_yx=SMALL, tilt_deg=tilt_deg))
    for index, ds in enumerate([] if shared_rescale else series):
        ds.RescaleIntercept = -1024 + index
    single = read_ct_series(series)
    ds = enhanced(series, shared_rescale=shared_rescale)

    volume = read_ct_series([ds])

    assert np.array_equal(volume.hu_zyx, single.hu_zyx)
    assert volume.grid == single.grid
    assert volume.flags == single.flags
    assert volume.slice_thickness_mm == single.slice_thickness_mm


def test_each_slice_knows_its_frame():
    """Frames count from 1; segmentations refer to them by number."""
    series = shuffled(build_ct_series(shape_yx=SMALL))
    ds = enhanced(series)

    volume = read_ct_series([ds])

    heights = [float(image.ImagePositionPatient[2]) for image in series]
    assert [s.frame_number for s in volume.sources] == (np.argsort(heights) + 1).tolist()
    assert {s.sop_instance_uid for s in volume.sources} == {ds.SOPInstanceUID}


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless])
def test_compressed_frames_are_decoded_one_by_one(syntax):
    """Encapsulated frames decode to the same volume."""
    ds = enhanced(build_ct_series(shape_yx=SMALL))
    expected = read_ct_series([ds]).hu_zyx

    ds.compress(syntax)

    assert np.array_equal(read_ct_series([ds]).hu_zyx, expected)


def test_a_head_in_two_enhanced_instances_is_one_volume():
    """Concatenations split the frames of one series over instances."""
    series = build_ct_series(shape_yx=SMALL)
    parts = [enhanced(series[:12]), enhanced(series[12:])]

    volume = read_ct_series(parts)

    assert np.array_equal(volume.hu_zyx, read_ct_series(series).hu_zyx)
    assert volume.flags == frozenset()


def test_perfusion_frames_are_no_density():
    """Frame Type tells maps from images (PS3.3, section C.8.15.3.1)."""
    ds = enhanced(build_ct_series(shape_yx=SMALL))
    frame_type = ds.SharedFunctionalGroupsSequence[0].CTImageFrameTypeSequence[0]
    frame_type.FrameType = ["DERIVED", "PRIMARY", "PERFUSION", "RCBF"]

    with pytest.raises(SeriesRejectedError) as error:
        read_ct_series([ds])

    assert error.value.reason.code is RejectionCode.NOT_ORIGINAL


def test_the_anatomic_region_of_frames_is_heard():
    """Enhanced images name the body part in a functional group."""
    ds = enhanced(build_ct_series(shape_yx=SMALL))
    ds.BodyPartExamined = ""
    region = group(CodeValue="51185008", CodingSchemeDesignator="SCT", CodeMeaning="Chest")
    anatomy = ds.SharedFunctionalGroupsSequence[0].FrameAnatomySequence[0]
    anatomy.AnatomicRegionSequence = region

    with pytest.raises(SeriesRejectedError, match="body part CHEST"):
        read_ct_series([ds])


def test_the_contrast_sequence_of_an_enhanced_image_is_flagged():
    """Enhanced images list contrast agents in a sequence."""
    ds = enhanced(build_ct_series(shape_yx=SMALL))
    ds.ContrastBolusAgentSequence = group(CodeMeaning="Iodine")

    assert read_ct_series([ds]).flags == {QualityFlag.CONTRAST_SUSPECTED}
