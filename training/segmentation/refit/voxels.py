"""Voxels to learn from: chosen once per scan, kept on disk with what the pathways see there."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage  # type: ignore[import-untyped] # scipy ships no types

from training.cohort.case import Case
from training.segmentation.refit.frozen import FrozenPathways, Plane
from training.segmentation.refit.joint_head import JointHead

#: Tissue and blood, calcium included; air and thick bone teach nothing.
_TISSUE_HU = (-20.0, 300.0)

#: Width of the rim around a hematoma, in voxels.
_RIM_VOXELS = 4

#: A healthy voxel with a larger probability of hematoma is a likely false alarm.
_SUSPECT = 0.02

#: Voxels of each kind in a plane, at most: hematoma, its rim, false alarms, the rest.
_PER_PLANE = (1200, 500, 600, 600)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Voxels:
    """Chosen voxels of one scan.

    Attributes
    ----------
    case_id, source : str
        Of the scan.
    features : ndarray of float16, shape (N, C)
        What the pathways see.
    label : ndarray of uint8, shape (N,)
        As in a case.
    weight : ndarray of float32, shape (N,)
        How many voxels of its kind and plane each one stands for.
    shares : ndarray of float16, shape (N, 5)
        Softmax of the published network.
    """

    case_id: str
    source: str
    features: NDArray[np.float16]
    label: NDArray[np.uint8]
    weight: NDArray[np.float32]
    shares: NDArray[np.float16]


def choose_voxels(
    case: Case, pathways: FrozenPathways, published: JointHead, rng: np.random.Generator
) -> Voxels:
    """Return voxels of a scan, those that matter more often than others."""
    parts = [_of_plane(plane, published, rng) for plane in pathways.planes(case)]
    features, label, weight, shares = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Voxels(
        case_id=case.case_id,
        source=case.source,
        features=features.astype(np.float16),
        label=label.astype(np.uint8),
        weight=weight.astype(np.float32),
        shares=shares.astype(np.float16),
    )


def _of_plane(
    plane: Plane, published: JointHead, rng: np.random.Generator
) -> Sequence[NDArray[np.generic]]:
    flat = plane.features.reshape(-1, plane.features.shape[2])
    with torch.inference_mode():
        shares = torch.softmax(published(flat), dim=1).numpy()
    label = plane.label_yx.ravel()
    blood = plane.label_yx == 1
    rim = (ndimage.binary_dilation(blood, iterations=_RIM_VOXELS) & ~blood).ravel()
    low, high = _TISSUE_HU
    healthy = (label == 0) & ((plane.hu_yx > low) & (plane.hu_yx < high)).ravel()
    suspect = (shares[:, 1] > _SUSPECT) & healthy & ~rim
    kinds = (label == 1, rim & healthy, suspect, healthy & ~rim & ~suspect)
    chosen, weights = [], []
    for kind, limit in zip(kinds, _PER_PLANE, strict=True):
        places = np.flatnonzero(kind)
        taken = rng.choice(places, min(limit, places.size), replace=False)
        chosen.append(taken)
        weights.append(np.full(taken.size, places.size / max(taken.size, 1)))
    index = np.concatenate(chosen)
    return flat.numpy()[index], label[index], np.concatenate(weights), shares[index]


def save_voxels(folder: Path, voxels: Voxels) -> None:
    """Write voxels to ``<folder>/<case_id>.npz``."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{voxels.case_id}.npz"
    partial = path.with_suffix(".part.npz")
    np.savez(
        partial,
        source=np.array(voxels.source),
        features=voxels.features,
        label=voxels.label,
        weight=voxels.weight,
        shares=voxels.shares,
    )
    partial.replace(path)


def load_voxels(path: Path) -> Voxels:
    """Return the voxels that `save_voxels` wrote."""
    with np.load(path, allow_pickle=False) as stored:
        return Voxels(
            case_id=path.stem,
            source=str(stored["source"]),
            features=stored["features"],
            label=stored["label"],
            weight=stored["weight"],
            shares=stored["shares"],
        )
