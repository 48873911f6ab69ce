"""A baseline scan and its follow-up on one grid, and shrunk versions of the baseline."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.volume import Vector

#: Layout version of the files.
PAIR_FORMAT = 1

_SYNTHETIC = ".synthetic-"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GrowthPair:
    """One patient's baseline with the follow-up brought onto its grid.

    Attributes
    ----------
    patient_id : str
        Whose scans they are.
    spacing_zyx_mm : Vector
        Voxel size.
    baseline_hu_zyx, follow_up_hu_zyx : ndarray of int16, shape (Z, Y, X)
        Hounsfield units.
    brain_zyx : ndarray of bool, shape (Z, Y, X)
        The brain at baseline.
    baseline_zyx, follow_up_zyx : ndarray of bool, shape (Z, Y, X)
        The hematoma in both scans.
    determinant, correlation : float
        Of the alignment, see `pipeline.follow_up.registration.Alignment`.
    variant : int
        0 as it was scanned; else the number of a shrunk baseline, whose hematoma and scan were
        made.

    Raises
    ------
    ValueError
        If the arrays differ in shape.
    """

    patient_id: str
    spacing_zyx_mm: Vector
    baseline_hu_zyx: NDArray[np.int16]
    follow_up_hu_zyx: NDArray[np.int16]
    brain_zyx: NDArray[np.bool_]
    baseline_zyx: NDArray[np.bool_]
    follow_up_zyx: NDArray[np.bool_]
    determinant: float = 1.0
    correlation: float = 1.0
    variant: int = 0

    def __post_init__(self) -> None:
        arrays = (self.follow_up_hu_zyx, self.brain_zyx, self.baseline_zyx, self.follow_up_zyx)
        if any(array.shape != self.baseline_hu_zyx.shape for array in arrays):
            raise ValueError(f"Arrays of patient {self.patient_id} differ in shape")

    @property
    def is_synthetic(self) -> bool:
        """Whether the baseline was made; such pairs are for training alone."""
        return self.variant > 0

    @property
    def voxel_ml(self) -> float:
        """Volume of a voxel."""
        return float(np.prod(self.spacing_zyx_mm)) / 1000

    @property
    def baseline_ml(self) -> float:
        """Volume of the hematoma at baseline, on this grid."""
        return int(np.count_nonzero(self.baseline_zyx)) * self.voxel_ml

    @property
    def follow_up_ml(self) -> float:
        """Volume of the hematoma at the follow-up, on this grid."""
        return int(np.count_nonzero(self.follow_up_zyx)) * self.voxel_ml

    @property
    def ring_zyx(self) -> NDArray[np.bool_]:
        """Where the hematoma grew: follow-up less baseline."""
        return self.follow_up_zyx & ~self.baseline_zyx


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ShrunkBaseline:
    """A baseline whose hematoma was made smaller: what differs, in a box.

    Attributes
    ----------
    patient_id : str
        Whose baseline it was.
    variant : int
        From 1.
    start_zyx : tuple of int
        First voxel of the box.
    hu_zyx : ndarray of int16, shape (Z, Y, X)
        The scan within the box.
    hematoma_zyx : ndarray of bool, shape (Z, Y, X)
        All of the hematoma.
    """

    patient_id: str
    variant: int
    start_zyx: tuple[int, int, int]
    hu_zyx: NDArray[np.int16]
    hematoma_zyx: NDArray[np.bool_]

    def of(self, pair: GrowthPair) -> GrowthPair:
        """Return the pair with this baseline in place of the scanned one.

        Raises
        ------
        ValueError
            If it is of another patient.
        """
        if pair.patient_id != self.patient_id:
            raise ValueError(
                f"A baseline of {self.patient_id} cannot stand for one of {pair.patient_id}"
            )
        z, y, x = (
            slice(start, start + size)
            for start, size in zip(self.start_zyx, self.hu_zyx.shape, strict=True)
        )
        hu = pair.baseline_hu_zyx.copy()
        hu[z, y, x] = self.hu_zyx
        hematoma = np.zeros_like(pair.baseline_zyx)
        hematoma[z, y, x] = self.hematoma_zyx
        return dataclasses.replace(
            pair, baseline_hu_zyx=hu, baseline_zyx=hematoma, variant=self.variant
        )


def pair_path(folder: Path, patient_id: str) -> Path:
    """Return where a patient's pair is kept."""
    return folder / f"{patient_id}.npz"


def save_pair(folder: Path, pair: GrowthPair) -> None:
    """Write a scanned pair.

    Raises
    ------
    ValueError
        If its baseline was made: only the difference of such is kept.
    """
    if pair.is_synthetic:
        raise ValueError(f"Pair of {pair.patient_id} is synthetic; save its ShrunkBaseline")
    facts = {
        "format": PAIR_FORMAT,
        "patient_id": pair.patient_id,
        "spacing_zyx_mm": pair.spacing_zyx_mm,
        "determinant": pair.determinant,
        "correlation": pair.correlation,
    }
    _write(
        pair_path(folder, pair.patient_id),
        facts,
        baseline_hu=pair.baseline_hu_zyx,
        follow_up_hu=pair.follow_up_hu_zyx,
        brain=pair.brain_zyx,
        baseline=pair.baseline_zyx,
        follow_up=pair.follow_up_zyx,
    )


def save_shrunk(folder: Path, shrunk: ShrunkBaseline) -> None:
    """Write a shrunk baseline; its name and its facts say that it is synthetic."""
    facts = {
        "format": PAIR_FORMAT,
        "patient_id": shrunk.patient_id,
        "synthetic": True,
        "variant": shrunk.variant,
        "start_zyx": shrunk.start_zyx,
    }
    name = f"{shrunk.patient_id}{_SYNTHETIC}{shrunk.variant}.npz"
    _write(folder / name, facts, hu=shrunk.hu_zyx, hematoma=shrunk.hematoma_zyx)


def pair_paths(folder: Path) -> list[Path]:
    """Return the files of scanned pairs, sorted.

    Raises
    ------
    ValueError
        If there is none.
    """
    paths = [path for path in sorted(folder.glob("*.npz")) if _is_scanned(path)]
    if not paths:
        raise ValueError(f"{folder} holds no pair; `ichtrain growth prepare` makes them")
    return paths


def load_pair(path: Path) -> GrowthPair:
    """Return a scanned pair.

    Raises
    ------
    ValueError
        If the file is of another layout or holds no scanned pair.
    """
    with np.load(path, allow_pickle=False) as stored:
        facts = _facts(stored, path)
        if facts.get("synthetic"):
            raise ValueError(f"{path} is synthetic: it is for training alone")
        z, y, x = (float(step) for step in facts["spacing_zyx_mm"])
        return GrowthPair(
            patient_id=facts["patient_id"],
            spacing_zyx_mm=(z, y, x),
            baseline_hu_zyx=stored["baseline_hu"],
            follow_up_hu_zyx=stored["follow_up_hu"],
            brain_zyx=stored["brain"],
            baseline_zyx=stored["baseline"],
            follow_up_zyx=stored["follow_up"],
            determinant=float(facts["determinant"]),
            correlation=float(facts["correlation"]),
        )


def load_shrunk(folder: Path, patient_id: str) -> list[ShrunkBaseline]:
    """Return a patient's shrunk baselines, in the order of their numbers."""
    found = []
    for path in folder.glob(f"{patient_id}{_SYNTHETIC}*.npz"):
        if path.name.endswith(".part.npz"):
            continue
        with np.load(path, allow_pickle=False) as stored:
            facts = _facts(stored, path)
            z, y, x = (int(one) for one in facts["start_zyx"])
            found.append(
                ShrunkBaseline(
                    patient_id=facts["patient_id"],
                    variant=int(facts["variant"]),
                    start_zyx=(z, y, x),
                    hu_zyx=stored["hu"],
                    hematoma_zyx=stored["hematoma"],
                )
            )
    return sorted(found, key=lambda one: one.variant)


def _is_scanned(path: Path) -> bool:
    return _SYNTHETIC not in path.name and not path.name.endswith(".part.npz")


def _write(path: Path, facts: dict[str, object], **arrays: Any) -> None:  # noqa: ANN401  of numpy
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name.removesuffix(".npz") + ".part.npz")
    np.savez_compressed(partial, facts=np.array(json.dumps(facts)), **arrays)
    partial.replace(path)


def _facts(stored: Any, path: Path) -> dict[str, Any]:  # noqa: ANN401  numpy's own archive
    facts = json.loads(str(stored["facts"])) if "facts" in stored else {}
    if facts.get("format") != PAIR_FORMAT:
        raise ValueError(f"{path} is no pair of layout {PAIR_FORMAT}")
    return dict(facts)
