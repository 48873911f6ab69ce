"""Images that are decoded one by one while the others of their series are still to come."""

import warnings

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from pipeline.ct_series.decoding import MAX_VOXELS, decode_hu
from pipeline.ct_series.geometry import MIN_SLICES
from pipeline.ct_series.header import ImageHeader
from pipeline.ct_series.multiframe import MULTI_FRAME_CLASSES
from pipeline.ct_series.screening import ImageKind, kind_of
from pipeline.errors import SeriesRejectedError

#: A series of larger images is refused before any of them is decoded.
_MAX_PIXELS = MAX_VOXELS // MIN_SLICES


class DecodedImages:
    """Hounsfield units of single images, kept until `read_ct_series` asks for them.

    They come from the very function that decodes a whole series, so that its volume is the same.
    What that function refuses, and what is no axial image of its own, is left to the series.
    """

    def __init__(self) -> None:
        # A data set has no hash; it is kept beside its array, so that its id stays its own.
        self._kept: dict[int, tuple[Dataset, NDArray[np.int16]]] = {}

    def add(self, instance: Dataset, *, most_bytes: int) -> int:
        """Decode an image, unless its values take more than this.

        Returns
        -------
        int
            How many bytes are kept of it; 0 if it is left to the series.
        """
        with warnings.catch_warnings():
            # pydicom warns of malformed values and repeats them, patient's names included.
            warnings.simplefilter("ignore")
            header = ImageHeader(instance=instance)
            pixels = header.count("Rows") * header.count("Columns")
            is_small = pixels <= min(_MAX_PIXELS, most_bytes // np.dtype(np.int16).itemsize)
            if not (is_small and _stands_alone(header)):
                return 0
            try:
                hu_yx = decode_hu(header)
            except SeriesRejectedError:
                return 0
        self._kept[id(instance)] = (instance, hu_yx)
        return hu_yx.nbytes

    def drop(self, instance: Dataset) -> None:
        """Forget an image."""
        self._kept.pop(id(instance), None)

    def take_hu(self, header: ImageHeader) -> NDArray[np.int16]:
        """Return the Hounsfield units of an image, as `decode_hu` does; what was kept is let go.

        Raises
        ------
        SeriesRejectedError
            As `decode_hu`.
        """
        kept = self._kept.pop(id(header.instance), None)
        return decode_hu(header) if kept is None else kept[1]


def _stands_alone(header: ImageHeader) -> bool:
    return (
        header.text("SOPClassUID") not in MULTI_FRAME_CLASSES
        and kind_of(header) is ImageKind.AXIAL
    )
