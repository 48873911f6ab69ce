"""Both scans side by side as a Secondary Capture in the follow-up's study."""

from typing import Final

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.uid import SecondaryCaptureImageStorage

from dicom_node.results import codes, wording
from dicom_node.results.compared_pair import ComparedPair
from dicom_node.results.context import ResultContext
from dicom_node.results.header import coded, stamp
from dicom_node.results.identity import ResultRole

SERIES_NUMBER: Final = 917
SERIES_DESCRIPTION: Final = f"AI HE follow-up side by side {wording.RESEARCH_MARK}"


def encode_comparison_capture(
    pair: ComparedPair, picture: Image.Image, *, context: ResultContext
) -> Dataset:
    """Return the picture as an RGB image of no place in the patient.

    It shows planes of two studies, so that it names no Frame of Reference and no position
    (PS3.3, section A.8.1); the images it was made from are named in the report.
    """
    capture = Dataset()
    capture.SOPClassUID = SecondaryCaptureImageStorage
    capture.SOPInstanceUID = pair.identity.uid(ResultRole.COMPARISON_CAPTURE)
    capture.SeriesInstanceUID = pair.identity.uid(ResultRole.COMPARISON_CAPTURE_SERIES)
    capture.Modality = "OT"
    capture.BodyPartExamined = "HEAD"
    capture.ConversionType = "WSD"
    capture.InstanceNumber = 1
    capture.PatientOrientation = ""
    capture.ImageType = ["DERIVED", "SECONDARY"]
    capture.BurnedInAnnotation = "YES"
    capture.RecognizableVisualFeatures = "NO"
    capture.ImageComments = (
        f"{wording.RESEARCH_USE_ONLY} - {wording.NOT_FOR_CLINICAL_USE}. "
        "Baseline and follow-up side by side."
    )
    capture.DerivationDescription = (
        "Brain window 40/80; outlines of the hematomas found by the segmentation model; the "
        f"follow-up laid upon the baseline by rigid and affine registration. "
        f"{wording.RESEARCH_STATEMENT}"
    )
    capture.DerivationCodeSequence = [coded(codes.SIDE_BY_SIDE)]
    capture.update(pair.follow_up.source.lossy_flags())
    if pair.baseline.source.is_lossy and not pair.follow_up.source.is_lossy:
        capture.update(pair.baseline.source.lossy_flags())
    _set_pixels(capture, picture)
    stamp(
        capture,
        source=pair.follow_up.source,
        context=context,
        series_number=SERIES_NUMBER,
        series_description=SERIES_DESCRIPTION,
    )
    return capture


def _set_pixels(capture: Dataset, picture: Image.Image) -> None:
    pixels = np.asarray(picture, dtype=np.uint8)
    capture.Rows, capture.Columns, capture.SamplesPerPixel = pixels.shape
    capture.PhotometricInterpretation = "RGB"
    capture.PlanarConfiguration = 0
    capture.BitsAllocated = capture.BitsStored = 8
    capture.HighBit = 7
    capture.PixelRepresentation = 0
    data = pixels.tobytes()
    capture.PixelData = data + b"\0" * (len(data) % 2)
    capture["PixelData"].VR = "OB"
