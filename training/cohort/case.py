"""One prepared training case: Hounsfield units and labels on the model's grid."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

#: Label of voxels whose truth is not known; they take no part in the loss or in any measure.
IGNORED = 255

#: A voxel of a coarser grid carries a label if at least this share of it does.
HALF_COVERED = 0.5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Case:
    """A scan ready for training.

    Attributes
    ----------
    case_id : str
        Unique within a cohort folder; also the file name.
    patient_id : str
        Whom the scan shows; scans of one patient never fall on both sides of a split.
    source : str
        Data set that the scan comes from, e.g. ``phe-sich``.
    hu_zyx : ndarray of int16, shape (Z, Y, X)
        Hounsfield units on a grid of `spacing_zyx_mm`, x to the left, y posterior, z superior.
    label_zyx : ndarray of uint8, shape (Z, Y, X)
        1 inside the hematoma, 0 outside, `IGNORED` where nobody knows.
    spacing_zyx_mm : tuple of float
        Voxel size.

    Raises
    ------
    ValueError
        If the arrays differ in shape or have another type.
    """

    case_id: str
    patient_id: str
    source: str
    hu_zyx: NDArray[np.int16]
    label_zyx: NDArray[np.uint8]
    spacing_zyx_mm: tuple[float, float, float]

    def __post_init__(self) -> None:
        if self.hu_zyx.shape != self.label_zyx.shape:
            raise ValueError(f"HU {self.hu_zyx.shape} and label {self.label_zyx.shape} differ")
        if self.hu_zyx.dtype != np.int16 or self.label_zyx.dtype != np.uint8:
            raise ValueError(f"HU int16 and label uint8 expected, got {self.hu_zyx.dtype}")

    @property
    def hematoma_ml(self) -> float:
        """Volume of the labelled hematoma."""
        voxel_ml = float(np.prod(self.spacing_zyx_mm)) / 1000
        return int(np.count_nonzero(self.label_zyx == 1)) * voxel_ml


def save_case(folder: Path, case: Case) -> Path:
    """Write a case to ``<folder>/<case_id>.npz`` and return the path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{case.case_id}.npz"
    facts = {
        "case_id": case.case_id,
        "patient_id": case.patient_id,
        "source": case.source,
        "spacing_zyx_mm": case.spacing_zyx_mm,
    }
    partial = path.with_suffix(".part.npz")
    np.savez_compressed(
        partial, hu=case.hu_zyx, label=case.label_zyx, facts=np.array(json.dumps(facts))
    )
    partial.replace(path)
    return path


def load_case(path: Path) -> Case:
    """Return the case that `save_case` wrote."""
    with np.load(path, allow_pickle=False) as stored:
        facts = json.loads(str(stored["facts"]))
        return Case(
            case_id=facts["case_id"],
            patient_id=facts["patient_id"],
            source=facts["source"],
            hu_zyx=stored["hu"],
            label_zyx=stored["label"],
            spacing_zyx_mm=tuple(facts["spacing_zyx_mm"]),
        )


def load_cases(folder: Path) -> list[Case]:
    """Return every case of a folder, sorted by file name; half-written files are left out."""
    paths = sorted(path for path in folder.glob("*.npz") if not path.name.endswith(".part.npz"))
    return [load_case(path) for path in paths]
