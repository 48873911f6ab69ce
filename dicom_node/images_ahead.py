"""The images of one series that are read while the others are still to come."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset

from pipeline.ct_series import DecodedImages, read_ct_series
from pipeline.volume import CtVolume

#: Memory for images that nobody has asked for yet: 500 of 512 x 512 pixels that are not
#: compressed, each with its pixel data and its values.
MOST_BYTES = 2**29


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """What is kept of a file: nothing of one that cannot be read, or has no room."""

    instance: Dataset | None = None
    size_bytes: int = 0


class ImagesAhead:
    """Reads files once, as soon as they are there.

    A file in the spool is named after its content: what was read of a path is what is there.
    Whatever is wrong with an image is left to whoever reads the series, and says so.

    Parameters
    ----------
    most_bytes
        Of pixel data and decoded values; images beyond are read when the series is.

    Attributes
    ----------
    size_bytes : int
        How much is kept of both.
    """

    def __init__(self, *, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self.forget()

    def forget(self) -> None:
        """Drop everything."""
        self.size_bytes = 0
        self._kept: dict[Path, _Kept] = {}
        self._decoded = DecodedImages()

    def read(self, files: Sequence[Path], *, go_on: Callable[[], None]) -> int:
        """Read those files that are new; forget those that are not among them any more.

        Parameters
        ----------
        files
            The images of a series as far as they have come.
        go_on
            Called before each file; what it raises ends it, and what was read stays.

        Returns
        -------
        int
            How many were new.
        """
        for path in self._kept.keys() - set(files):
            self._drop(path)
        new = [path for path in files if path not in self._kept]
        for path in new:
            go_on()
            self._kept[path] = self._read(path)
            self.size_bytes += self._kept[path].size_bytes
        return len(new)

    def take(self, files: Sequence[Path]) -> tuple[tuple[Dataset, ...], CtVolume]:
        """Return the data sets of a whole series and its volume; nothing is kept any longer.

        Parameters
        ----------
        files
            All its images, in any order; the data sets have the same.

        Raises
        ------
        SeriesRejectedError
            If the series cannot be analysed.
        OSError, InvalidDicomError
            If a file cannot be read.
        """
        kept, decoded = self._kept, self._decoded
        self.forget()
        known = (kept.get(path, _Kept()).instance for path in files)
        source = tuple(
            pydicom.dcmread(path) if instance is None else instance
            for path, instance in zip(files, known, strict=True)
        )
        return source, read_ct_series(source, decoded=decoded)

    def _read(self, path: Path) -> _Kept:
        left = self._most_bytes - self.size_bytes
        try:
            if path.stat().st_size > left:
                return _Kept()
            instance = pydicom.dcmread(path)
            size_bytes = len(instance.get("PixelData", b""))
            size_bytes += self._decoded.add(instance, most_bytes=left - size_bytes)
        except Exception:  # noqa: BLE001 - whoever reads the series meets it again, and says so
            return _Kept()
        return _Kept(instance=instance, size_bytes=size_bytes)

    def _drop(self, path: Path) -> None:
        dropped = self._kept.pop(path)
        self.size_bytes -= dropped.size_bytes
        if dropped.instance is not None:
            self._decoded.drop(dropped.instance)
