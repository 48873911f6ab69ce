"""Patches of pairs: most of them where the hematoma grew (Abramova et al. 2024, section 2.3)."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.growth.network_input import BrainScan, network_input
from pipeline.model_card import Intensity
from training.growth.pair import GrowthPair


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchPlace:
    """A patch that is looked at.

    Attributes
    ----------
    pair : int
        Index of the pair.
    centre_zyx : tuple of int
        Its middle voxel.
    """

    pair: int
    centre_zyx: tuple[int, int, int]


def draw_places(
    pairs: Sequence[GrowthPair], *, patches: int, ring_share: float, seed: int
) -> list[PatchPlace]:
    """Return where patches of each pair lie.

    The stated share is centred where the follow-up hematoma lies and the baseline's does not,
    the others in the rest of the brain. Without growth all lie in the brain. A pair's places
    depend on the seed, its patient and its variant alone.

    Parameters
    ----------
    pairs : sequence of GrowthPair
        Scanned or made.
    patches : int
        Of each pair.
    ring_share : float
        In [0, 1].
    seed : int
        Of the draw.
    """
    places = []
    for index, pair in enumerate(pairs):
        digest = hashlib.sha256(pair.patient_id.encode()).digest()
        rng = np.random.default_rng([seed, int.from_bytes(digest[:8], "big"), pair.variant])
        ring = pair.ring_zyx
        in_ring = round(patches * ring_share) if ring.any() else 0
        for mask, count in ((ring, in_ring), (pair.brain_zyx & ~ring, patches - in_ring)):
            places += [
                PatchPlace(pair=index, centre_zyx=centre) for centre in _drawn(mask, count, rng)
            ]
    return places


def cut_patch(
    pair: GrowthPair,
    centre_zyx: tuple[int, int, int],
    size_zyx: tuple[int, int, int],
    intensity: Intensity,
) -> Tensor:
    """Return a patch as four channels, float32, shape (4, Z, Y, X).

    Baseline scan, baseline mask, follow-up scan and follow-up mask; zero outside the brain and
    beyond the scan.
    """
    here, there = [], []
    for centre, size, length in zip(centre_zyx, size_zyx, pair.brain_zyx.shape, strict=True):
        start = centre - size // 2
        low, high = max(start, 0), min(start + size, length)
        there.append(slice(low, high))
        here.append(slice(low - start, high - start))
    z, y, x = there
    brain = pair.brain_zyx[z, y, x]
    patch = torch.zeros((4, *size_zyx))
    for channel, (hu, mask) in enumerate(
        (
            (pair.baseline_hu_zyx, pair.baseline_zyx),
            (pair.follow_up_hu_zyx, pair.follow_up_zyx),
        )
    ):
        scan = BrainScan(hu_zyx=hu[z, y, x], brain_zyx=brain, hematoma_zyx=mask[z, y, x])
        patch[2 * channel : 2 * channel + 2, *here] = network_input(scan, intensity)
    return patch


def _drawn(
    mask: NDArray[np.bool_], count: int, rng: np.random.Generator
) -> list[tuple[int, int, int]]:
    """Return voxels of a mask, each as likely as any other; without the mask the middle."""
    found = np.flatnonzero(mask)
    if not len(found):
        z, y, x = (size // 2 for size in mask.shape)
        return [(z, y, x)] * count
    chosen = np.unravel_index(rng.choice(found, size=count), mask.shape)
    return [(int(z), int(y), int(x)) for z, y, x in zip(*chosen, strict=True)]
