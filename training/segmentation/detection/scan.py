"""What a segmentation model says of every slice of a scan, kept in a table that can grow."""

import csv
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.volume import CtVolume
from training.cohort.labelled_series import UNKNOWN, LabelledSeries


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceScore:
    """One row: one model's opinion of one slice.

    Attributes
    ----------
    model, patient : str
        Whose opinion, and whose slice.
    position : int
        Index of the slice, inferior to superior.
    label : int
        `SHOWN`, `NOT_SHOWN` or `UNKNOWN`.
    expected_ml : float
        Summed probability of hematoma times the volume of a voxel: the score.
    found_ml : float
        Volume of the model's mask in the slice, as the product would report it.
    """

    model: str
    patient: str
    position: int
    label: int
    expected_ml: float
    found_ml: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScanOpinion:
    """What a model says of one scan.

    Attributes
    ----------
    probability_zyx : ndarray of float32, shape (Z, Y, X)
        Of hematoma, on the scan's own grid.
    mask_zyx : ndarray of bool, shape (Z, Y, X)
        What the product would report.
    """

    probability_zyx: NDArray[np.float32]
    mask_zyx: NDArray[np.bool_]


#: Returns a model's opinion of a volume.
Judge = Callable[[CtVolume], ScanOpinion]


def score_slices(model: str, series: LabelledSeries, judge: Judge) -> list[SliceScore]:
    """Return one row for every slice of a series."""
    opinion = judge(series.volume)
    voxel_ml = float(np.prod(series.volume.grid.spacing_zyx_mm)) / 1000
    expected = opinion.probability_zyx.sum(axis=(1, 2), dtype=np.float64) * voxel_ml
    found = np.count_nonzero(opinion.mask_zyx, axis=(1, 2)) * voxel_ml
    return [
        SliceScore(
            model=model,
            patient=series.patient,
            position=index,
            label=int(series.slices[index]),
            expected_ml=float(expected[index]),
            found_ml=float(found[index]),
        )
        for index in range(len(series.slices))
    ]


def append_scores(path: Path, rows: Iterable[SliceScore]) -> None:
    """Add rows to a table, with a head line if it is new."""
    new = not path.exists()
    with path.open("a", newline="") as stream:
        writer = csv.DictWriter(stream, fieldnames=[item.name for item in fields(SliceScore)])
        if new:
            writer.writeheader()
        writer.writerows(asdict(row) for row in rows)


def read_scores(path: Path) -> Iterator[SliceScore]:
    """Yield the rows of a table; nothing if there is none."""
    if not path.exists():
        return
    with path.open(newline="") as stream:
        for row in csv.DictReader(stream):
            yield SliceScore(
                model=row["model"],
                patient=row["patient"],
                position=int(row["position"]),
                label=int(row["label"]),
                expected_ml=float(row["expected_ml"]),
                found_ml=float(row["found_ml"]),
            )


def known(rows: Iterable[SliceScore]) -> list[SliceScore]:
    """Return the rows of slices on which radiologists have said something."""
    return [row for row in rows if row.label != UNKNOWN]
