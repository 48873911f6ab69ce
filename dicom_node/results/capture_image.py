"""What every Secondary Capture of the node is: an RGB picture that was derived from CT."""

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import SecondaryCaptureImageStorage

from dicom_node.results import wording
from dicom_node.results.header import coded


def new_capture(*, uid: str, series_uid: str, number: int, shows: str, method: Code) -> Dataset:
    """Return a capture that lacks its picture, derivation and patient.

    Parameters
    ----------
    uid, series_uid : str
        SOP and Series Instance UID.
    number : int
        Instance Number.
    shows : str
        What is to be seen, a sentence without its full stop.
    method : Code
        How it was derived.
    """
    capture = Dataset()
    capture.SOPClassUID = SecondaryCaptureImageStorage
    capture.SOPInstanceUID = uid
    capture.SeriesInstanceUID = series_uid
    capture.Modality = "OT"
    capture.BodyPartExamined = "HEAD"
    capture.ConversionType = "WSD"
    capture.InstanceNumber = number
    capture.PatientOrientation = ""
    capture.ImageType = ["DERIVED", "SECONDARY"]
    capture.BurnedInAnnotation = "YES"
    capture.RecognizableVisualFeatures = "NO"
    capture.ImageComments = f"{wording.RESEARCH_LINE}. {shows}."
    capture.DerivationCodeSequence = [coded(method)]
    return capture


def set_pixels(capture: Dataset, pixels: NDArray[np.uint8]) -> None:
    """Give a capture its picture, shape (rows, columns, 3)."""
    capture.Rows, capture.Columns, capture.SamplesPerPixel = pixels.shape
    capture.PhotometricInterpretation = "RGB"
    capture.PlanarConfiguration = 0
    capture.BitsAllocated = capture.BitsStored = 8
    capture.HighBit = 7
    capture.PixelRepresentation = 0
    data = pixels.tobytes()
    capture.PixelData = data + b"\0" * (len(data) % 2)
    capture["PixelData"].VR = "OB"
