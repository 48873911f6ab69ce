"""What the growth network is shown: brain and mask on its grid, as small numbers."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.model_card import Intensity


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BrainScan:
    """A scan on the network's grid with its brain and its hematoma.

    Attributes
    ----------
    hu_zyx : ndarray, shape (Z, Y, X)
        Hounsfield units.
    brain_zyx, hematoma_zyx : ndarray of bool, shape (Z, Y, X)
        The hematoma is taken for a part of the brain, wherever it lies.

    Raises
    ------
    ValueError
        If the shapes differ.
    """

    hu_zyx: NDArray[np.number]
    brain_zyx: NDArray[np.bool_]
    hematoma_zyx: NDArray[np.bool_]

    def __post_init__(self) -> None:
        shapes = {self.hu_zyx.shape, self.brain_zyx.shape, self.hematoma_zyx.shape}
        if len(shapes) > 1:
            raise ValueError(f"Scan, brain and hematoma differ in shape: {sorted(shapes)}")


def network_input(scan: BrainScan, intensity: Intensity) -> Tensor:
    """Return scan and mask as the two channels of the network, float32, shape (2, Z, Y, X).

    Outside the brain the scan is zero.
    """
    grey = stripped(scan, intensity)
    return torch.stack([grey, torch.from_numpy(scan.hematoma_zyx).to(grey)])


def stripped(scan: BrainScan, intensity: Intensity) -> Tensor:
    """Return the normalised scan, zero outside the brain, float32, shape (Z, Y, X)."""
    clipped = np.clip(
        scan.hu_zyx.astype(np.float32), intensity.clip_low_hu, intensity.clip_high_hu
    )
    grey = (clipped - intensity.mean) / intensity.sd
    return torch.from_numpy(np.where(scan.brain_zyx | scan.hematoma_zyx, grey, 0).astype("f4"))
