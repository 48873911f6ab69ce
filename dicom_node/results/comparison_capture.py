"""Both scans side by side as a Secondary Capture in the follow-up's study."""

from typing import Final

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset

from dicom_node.results import codes, wording
from dicom_node.results.capture_image import new_capture, set_pixels
from dicom_node.results.compared_pair import ComparedPair
from dicom_node.results.context import ResultContext
from dicom_node.results.header import stamp
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
    capture = new_capture(
        uid=pair.identity.uid(ResultRole.COMPARISON_CAPTURE),
        series_uid=pair.identity.uid(ResultRole.COMPARISON_CAPTURE_SERIES),
        number=1,
        shows="Baseline and follow-up side by side",
        method=codes.SIDE_BY_SIDE,
    )
    capture.DerivationDescription = (
        "Brain window 40/80; outlines of the hematomas found by the segmentation model; the "
        f"follow-up laid upon the baseline by rigid and affine registration. "
        f"{wording.RESEARCH_STATEMENT}"
    )
    capture.update(pair.follow_up.source.lossy_flags())
    if pair.baseline.source.is_lossy and not pair.follow_up.source.is_lossy:
        capture.update(pair.baseline.source.lossy_flags())
    set_pixels(capture, np.asarray(picture, dtype=np.uint8))
    stamp(
        capture,
        source=pair.follow_up.source,
        context=context,
        series_number=SERIES_NUMBER,
        series_description=SERIES_DESCRIPTION,
    )
    return capture
