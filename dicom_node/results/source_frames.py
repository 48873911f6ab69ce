"""Where the source images lie, read from their own headers: the oracle of the inline check."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

#: Positions are written with 16 characters and were read as such, in mm.
_TOLERANCE_MM: Final = 1e-3
#: The same as parts of a pixel.
_TOLERANCE_PX: Final = 0.01


class SourceFrames:
    """The source images by UID, with the position of each frame.

    Parameters
    ----------
    source : sequence of Dataset
        CT data sets, single-frame or enhanced multi-frame; at least one.
    """

    def __init__(self, source: Sequence[Dataset]) -> None:
        self._by_uid = {str(instance.SOPInstanceUID): instance for instance in source}
        self.header = source[0]

    @property
    def sop_instance_uids(self) -> frozenset[str]:
        """UIDs of all source images."""
        return frozenset(self._by_uid)

    @property
    def series_instance_uid(self) -> str:
        """Series of the source."""
        return str(self.header.SeriesInstanceUID)

    @property
    def rows(self) -> int:
        """Rows of the source images."""
        return int(self.header.Rows)

    @property
    def columns(self) -> int:
        """Columns of the source images."""
        return int(self.header.Columns)

    @property
    def is_lossy(self) -> bool:
        """Whether any source image says that it had been compressed with loss."""
        return any(i.get("LossyImageCompression") == "01" for i in self._by_uid.values())

    def lies_at(self, reference: Dataset, position_lps_mm: Sequence[float]) -> bool:
        """Return whether a referenced image is a source image at the given position."""
        instance = self._by_uid.get(str(reference.ReferencedSOPInstanceUID))
        if instance is None or reference.ReferencedSOPClassUID != instance.SOPClassUID:
            return False
        frame = reference.get("ReferencedFrameNumber")
        return bool(
            np.allclose(
                _position(instance, None if frame is None else int(frame)),
                np.asarray(position_lps_mm, dtype=np.float64),
                rtol=0,
                atol=_TOLERANCE_MM,
            )
        )

    def lies_within(self, reference: Dataset, capture: Dataset) -> bool:
        """Return whether a referenced source image lies, pixel on pixel, inside a larger image."""
        instance = self._by_uid.get(str(reference.ReferencedSOPInstanceUID))
        if instance is None or reference.ReferencedSOPClassUID != instance.SOPClassUID:
            return False
        frame = reference.get("ReferencedFrameNumber")
        position = _position(instance, None if frame is None else int(frame))
        away = position - np.asarray(capture.ImagePositionPatient, dtype=np.float64)
        along_row, along_column = np.asarray(
            capture.ImageOrientationPatient, dtype=np.float64
        ).reshape(2, 3)
        row_mm, column_mm = (float(spacing) for spacing in capture.PixelSpacing)
        out_of_plane = float(away @ np.cross(along_row, along_column))
        down, right = float(away @ along_column) / row_mm, float(away @ along_row) / column_mm
        whole = all(abs(shift - round(shift)) < _TOLERANCE_PX for shift in (down, right))
        return (
            abs(out_of_plane) <= _TOLERANCE_MM
            and whole
            and 0 <= round(down) <= int(capture.Rows) - self.rows
            and 0 <= round(right) <= int(capture.Columns) - self.columns
        )


def _position(instance: Dataset, frame: int | None) -> NDArray[np.float64]:
    """Return Image Position (Patient) of an image or of one of its frames, shape (3,)."""
    if frame is None:
        return np.asarray(instance.ImagePositionPatient, dtype=np.float64)
    groups = instance.PerFrameFunctionalGroupsSequence[frame - 1]
    return np.asarray(groups.PlanePositionSequence[0].ImagePositionPatient, dtype=np.float64)
