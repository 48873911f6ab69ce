"""DICOM series of which radiologists have said, slice by slice, whether they show hematoma."""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray

from pipeline.ct_series import read_ct_series
from pipeline.volume import CtVolume

#: What is known of a slice.
SHOWN, NOT_SHOWN, UNKNOWN = 1, 0, -1

#: Rows with 0 in this column are slices that nobody has seen, e.g. interpolated ones.
_SEEN_COLUMN = "in_source"

#: Labels by patient and Instance Number.
SliceLabels = Mapping[tuple[str, int], int]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LabelledSeries:
    """One series with what is known of its slices.

    Attributes
    ----------
    patient : str
        Name of the series' folder.
    volume : CtVolume
        The series in Hounsfield units.
    slices : ndarray of int, shape (Z,)
        `SHOWN`, `NOT_SHOWN` or `UNKNOWN`, inferior to superior.
    """

    patient: str
    volume: CtVolume
    slices: NDArray[np.int64]


def read_slice_labels(path: Path, *, column: str) -> SliceLabels:
    """Return the labels in a CSV file.

    Parameters
    ----------
    path : Path
        With the columns ``patient``, ``slice`` (Instance Number) and `column` (0 or 1); where a
        column ``in_source`` is 0, the row is left out.
    column : str
        Name of the finding, e.g. ``Intraparenchymal``.

    Raises
    ------
    ValueError
        If a column is missing or a value is no label; the message names file, line and column.
    """
    labels: dict[tuple[str, int], int] = {}
    with path.open(newline="") as stream:
        rows = csv.DictReader(stream)
        missing = {"patient", "slice", column} - set(rows.fieldnames or ())
        if missing:
            raise ValueError(f"{path} lacks the columns {', '.join(sorted(missing))}")
        for row in rows:
            if row.get(_SEEN_COLUMN) == "0":
                continue
            if row[column] not in ("0", "1"):
                raise ValueError(
                    f"{path}, line {rows.line_num}: {column} is {row[column]!r}, expected 0 or 1"
                )
            labels[row["patient"], int(row["slice"])] = int(row[column])
    return labels


def read_labelled_series(folder: Path, labels: SliceLabels) -> LabelledSeries:
    """Return the series in a folder of DICOM files.

    Raises
    ------
    ValueError
        If the folder holds no DICOM file.
    SeriesRejectedError
        If the series cannot be analysed.
    """
    instances = [pydicom.dcmread(path) for path in sorted(folder.glob("*.dcm"))]
    if not instances:
        raise ValueError(f"{folder} holds no file *.dcm")
    volume = read_ct_series(instances)
    number = {str(one.SOPInstanceUID): int(one.InstanceNumber) for one in instances}
    known = [
        labels.get((folder.name, number[source.sop_instance_uid]), UNKNOWN)
        for source in volume.sources
    ]
    return LabelledSeries(patient=folder.name, volume=volume, slices=np.array(known))


def series_folders(root: Path) -> Iterator[Path]:
    """Yield the folders below a root that hold DICOM files, in the order of their names."""
    yield from sorted({path.parent for path in root.glob("*/*.dcm")})
