"""Whether the uncertainty that a network tells of itself can be believed."""

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.model_bundle import load_bundle, load_card
from pipeline.segmentation.segmenter import Segmenter, load_segmenter
from training.cohort.case import IGNORED, Case
from training.cohort.folder import ScanFile
from training.evaluation.voxel_calibration import (
    CalibrationSums,
    ErrorVersusUncertainty,
    ReliabilityBin,
    UncertaintyPart,
    VoxelCalibration,
    calibrate,
    calibration_sums,
    error_versus_uncertainty,
)
from training.segmentation.evaluation import volume_of

FILE = "calibration.json"

#: Networks with an uncertainty of their own, by the card's architecture.
DOUBTING = frozenset({"SlexNet"})

#: Denser than this is head; the air around it is easy and would make every error small.
_HEAD_HU = -200

#: Voxels of a scan that are drawn to rank errors by uncertainty; all of them need not be kept.
_DRAWN = 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """Calibration of a network's probability, and whether its doubt finds its errors.

    Attributes
    ----------
    bundle_sha256 : str
        Digest of the weights.
    case_ids : tuple of str
        Scans that were looked at.
    calibration : VoxelCalibration
        Over the voxels of the heads whose truth is known.
    errors : ErrorVersusUncertainty
        Over 50,000 of them drawn from each scan.
    """

    bundle_sha256: str
    case_ids: tuple[str, ...]
    calibration: VoxelCalibration
    errors: ErrorVersusUncertainty


def tells_doubt(bundle: Path) -> bool:
    """Return whether the network of a bundle has an uncertainty of its own."""
    return load_card(bundle).architecture in DOUBTING


def measure_doubt(
    bundle_path: Path,
    scans: Sequence[ScanFile],
    *,
    folder: Path,
    device: torch.device,
    seed: int = 0,
) -> Doubt:
    """Return the doubt of a bundle over some scans; kept in the folder and not measured twice.

    Raises
    ------
    ModelBundleError
        If the bundle cannot be used.
    """
    bundle = load_bundle(bundle_path, task="segmentation")
    case_ids = tuple(scan.case_id for scan in scans)
    known = _read(folder / FILE)
    if known and (known.bundle_sha256, known.case_ids) == (bundle.digest, case_ids):
        return known
    segmenter = load_segmenter(bundle, device=device)
    rng = np.random.default_rng(seed)
    looked = [_look(segmenter, scan.read(), rng) for scan in scans]
    doubt = Doubt(
        bundle_sha256=bundle.digest,
        case_ids=case_ids,
        calibration=calibrate([sums for sums, _ in looked]),
        errors=_errors([drawn for _, drawn in looked]),
    )
    _write(folder / FILE, doubt)
    return doubt


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Drawn:
    """Some voxels of a scan as lines."""

    probability: NDArray[np.float32]
    entropy: NDArray[np.float32]
    truth: NDArray[np.bool_]


def _look(
    segmenter: Segmenter, case: Case, rng: np.random.Generator
) -> tuple[CalibrationSums, _Drawn]:
    volume = volume_of(case)
    probability = segmenter.probability(volume)
    entropy = segmenter.segment(volume).uncertainty_zyx
    assert entropy is not None  # noqa: S101  the segmenter always tells one
    truth = case.label_zyx == 1
    known = (case.label_zyx != IGNORED) & (case.hu_zyx > _HEAD_HU)
    places = np.flatnonzero(known)
    chosen = rng.choice(places, size=min(_DRAWN, len(places)), replace=False)
    drawn = _Drawn(
        probability=probability.ravel()[chosen],
        entropy=entropy.ravel()[chosen],
        truth=truth.ravel()[chosen],
    )
    return calibration_sums(probability, truth, known=known), drawn


def _errors(drawn: Sequence[_Drawn]) -> ErrorVersusUncertainty:
    return error_versus_uncertainty(
        np.concatenate([one.probability for one in drawn]),
        np.concatenate([one.entropy for one in drawn]),
        np.concatenate([one.truth for one in drawn]),
    )


def _write(path: Path, doubt: Doubt) -> None:
    partial = path.with_name(FILE + ".part")
    partial.write_text(json.dumps(_plain(dataclasses.asdict(doubt)), indent=1) + "\n")
    partial.replace(path)


def _plain(value: Any) -> Any:  # noqa: ANN401  JSON
    """Return a value with null for NaN, which JSON does not know."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _read(path: Path) -> Doubt | None:
    """Return what `_write` wrote, None if there is nothing."""
    if not path.exists():
        return None
    content = json.loads(path.read_text())
    calibration, errors = content["calibration"], content["errors"]
    bins: list[dict[str, Any]] = [
        {name: float("nan") if value is None else value for name, value in row.items()}
        for row in calibration["bins"]
    ]
    return Doubt(
        bundle_sha256=content["bundle_sha256"],
        case_ids=tuple(content["case_ids"]),
        calibration=VoxelCalibration(
            **{**calibration, "bins": tuple(ReliabilityBin(**row) for row in bins)}
        ),
        errors=ErrorVersusUncertainty(
            **{**errors, "parts": tuple(UncertaintyPart(**row) for row in errors["parts"])}
        ),
    )
