"""Pixel data, decoded and written anew, so that nothing hides in them.

Compressed streams may hold comments, native ones overlays in their unused bits and bytes behind
the last pixel: only the numbers of the pixels go on.
"""

import warnings
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from dicom_node.results.check_segmentation import unpack_frames
from pipeline.ct_series.decoding import is_lossy, stored_values
from pipeline.ct_series.header import ImageHeader
from pipeline.ct_series.multiframe import headers_of

_BYTE: Final = 8


def copy_image_pixels(source: Dataset, result: Dataset) -> None:
    """Write the pixels of a CT image, single-frame or enhanced, into its de-identified copy.

    Raises
    ------
    SeriesRejectedError
        If they cannot be decoded.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as in `deidentified`
        frames = np.stack([stored_values(header) for header in headers_of(source)])
    kind = "i" if int(result.PixelRepresentation) else "u"
    allocated = _BYTE * max(1, -(-int(result.BitsAllocated) // _BYTE))
    _write(result, frames.astype(f"<{kind}{allocated // _BYTE}"), is_bytes=allocated == _BYTE)
    if is_lossy(ImageHeader(instance=source)):
        result.LossyImageCompression = "01"


def copy_segmentation_pixels(source: Dataset, result: Dataset) -> None:
    """Write the frames of a BINARY Segmentation into its de-identified copy.

    Raises
    ------
    ValueError
        If there are fewer bits than frames need.
    """
    bits = np.packbits(unpack_frames(source).reshape(-1), bitorder="little")
    _write(result, bits, is_bytes=True)


def _write(result: Dataset, pixels: NDArray[np.generic], *, is_bytes: bool) -> None:
    encoded = pixels.tobytes()
    result.PixelData = encoded + b"\0" * (len(encoded) % 2)
    result["PixelData"].VR = "OB" if is_bytes else "OW"
