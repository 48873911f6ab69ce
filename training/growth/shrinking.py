"""Made baselines: the hematoma of a patient a little smaller, in a shape of its own.

After Abramova et al. 2024, section 2.1.2, and Larson and Oguz, "Synthetic Atrophy for
Longitudinal Cortical Surface Analyses", Front. Neuroimaging 1 (2022) 861687: the mask is eroded
with a random structuring element, the mask is registered to the eroded one, and the field is
applied to the scan. It is all computed on an enlarged crop, so that one erosion is a fraction of a
thick slice. The follow-up stays as it is, so that the pattern of growth does.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage  # type: ignore[import-untyped]  # scipy ships no types

from training.growth.deformable import RegisterMasks, by_demons
from training.growth.pair import GrowthPair, ShrunkBaseline

#: Room around the hematoma; the field has died away at its edge.
_MARGIN_MM = 12.0

#: Within this distance from the crop's edge the field is faded out; mm.
_FADE_MM = 4.0

#: A voxel is hematoma if half of it is.
_HALF = 0.5

#: Rounding when voxel sizes are divided.
_HAIR = 1e-9

#: A mask may not lose more than this share of its volume by an erosion.
_MOST_LOST = 0.7


@dataclass(frozen=True, slots=True, kw_only=True)
class Shrinking:
    """How baselines are shrunk.

    Attributes
    ----------
    variants : int
        Made baselines of a patient; 0 makes none.
    erosion_mm : float
        The crop is enlarged until no voxel is larger; what one erosion takes away at most.
    most_erosions : int
        An element is applied once up to so many times.

    Raises
    ------
    ValueError
        If a number is impossible.
    """

    variants: int = 5
    erosion_mm: float = 0.5
    most_erosions: int = 2

    def __post_init__(self) -> None:
        if self.variants < 0 or not self.erosion_mm > 0 or self.most_erosions < 1:
            raise ValueError(
                "variants is 0 or more, erosion_mm positive, most_erosions 1 or more, got "
                f"{self.variants}, {self.erosion_mm} and {self.most_erosions}"
            )


def shrink_baseline(
    pair: GrowthPair,
    *,
    variant: int,
    how: Shrinking,
    rng: np.random.Generator,
    register_masks: RegisterMasks = by_demons,
) -> ShrunkBaseline:
    """Return a smaller baseline of a patient.

    Parameters
    ----------
    pair : GrowthPair
        As it was scanned.
    variant : int
        Number of the new baseline, from 1.
    how : Shrinking
        How much.
    rng : numpy Generator
        Draws the structuring element and the number of erosions.
    register_masks : RegisterMasks
        What finds the field between the masks.

    Raises
    ------
    ValueError
        If the pair is synthetic itself or has no hematoma.
    """
    if pair.is_synthetic:
        raise ValueError(f"Baseline {pair.variant} of {pair.patient_id} was made already")
    if not pair.baseline_zyx.any():
        raise ValueError(f"Patient {pair.patient_id} has no hematoma to shrink")
    box = _box(pair)
    mask = pair.baseline_zyx[box]
    spacing = pair.spacing_zyx_mm
    factors = [math.ceil(step / how.erosion_mm - _HAIR) for step in spacing]
    fine = _enlarged(mask, factors)
    z, y, x = (step / factor for step, factor in zip(spacing, factors, strict=True))
    field_mm = register_masks(_eroded(fine, how, rng), fine, (z, y, x))
    steps = np.asarray(spacing, dtype=np.float32)[:, None, None, None]
    field = _reduced(field_mm, factors) / steps * _fade(mask.shape, spacing)
    places = np.indices(mask.shape) + field
    hu = pair.baseline_hu_zyx[box]
    brain = pair.brain_zyx[box] | mask
    moved = ndimage.map_coordinates(
        _without_bone(hu, brain, mask), places, order=1, mode="nearest"
    )
    covered = ndimage.map_coordinates(mask.astype(np.float32), places, order=1, mode="nearest")
    shrunk = (covered >= _HALF) & mask
    return ShrunkBaseline(
        patient_id=pair.patient_id,
        variant=variant,
        start_zyx=(box[0].start, box[1].start, box[2].start),
        hu_zyx=np.where(brain, np.round(moved), hu).astype(np.int16),
        hematoma_zyx=shrunk if shrunk.any() else mask,
    )


def random_element(rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return a structuring element of 3 x 3 x 3: the centre and about half of its neighbours."""
    element = rng.random((3, 3, 3)) < 1 / 2
    element[1, 1, 1] = True
    if element.sum() == 1:
        element[tuple(rng.choice([[0, 1, 1], [1, 0, 1], [1, 1, 0], [1, 1, 2]]))] = True
    return element


def _eroded(
    fine: NDArray[np.bool_], how: Shrinking, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Return the mask eroded once or more, less often if too little would remain."""
    element = random_element(rng)
    wanted = int(rng.integers(1, how.most_erosions + 1))
    for iterations in range(wanted, 0, -1):
        eroded = ndimage.binary_erosion(fine, element, iterations=iterations)
        if eroded.sum() >= (1 - _MOST_LOST) * fine.sum():
            return np.asarray(eroded)
    return fine


def _box(pair: GrowthPair) -> tuple[slice, slice, slice]:
    """Return the crop around the baseline's hematoma."""
    sides = []
    for axis, step in enumerate(pair.spacing_zyx_mm):
        others = tuple(other for other in range(3) if other != axis)
        found = np.flatnonzero(pair.baseline_zyx.any(axis=others))
        margin = int(np.ceil(_MARGIN_MM / step))
        low = max(int(found[0]) - margin, 0)
        sides.append(slice(low, min(int(found[-1]) + margin + 1, pair.brain_zyx.shape[axis])))
    return (sides[0], sides[1], sides[2])


def _enlarged(mask: NDArray[np.bool_], factors: Sequence[int]) -> NDArray[np.bool_]:
    """Return the mask on a grid so many times finer, its surface linear between voxels."""
    axes = [
        (np.arange(size * factor) + 0.5) / factor - 0.5
        for size, factor in zip(mask.shape, factors, strict=True)
    ]
    places = np.meshgrid(*axes, indexing="ij")
    fine = ndimage.map_coordinates(mask.astype(np.float32), places, order=1, mode="nearest")
    return np.asarray(fine >= _HALF)


def _reduced(field: NDArray[np.float32], factors: Sequence[int]) -> NDArray[np.float32]:
    """Return a field on the coarse grid: the mean over each voxel's finer ones."""
    z, y, x = (size // factor for size, factor in zip(field.shape[1:], factors, strict=True))
    blocks = field.reshape(3, z, factors[0], y, factors[1], x, factors[2])
    return np.asarray(blocks.mean(axis=(2, 4, 6)), dtype=np.float32)


def _without_bone(
    hu: NDArray[np.int16], brain: NDArray[np.bool_], hematoma: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Return the scan continued beyond the brain, so that no skull is drawn into it.

    Every voxel outside takes the value of the nearest brain that has not bled.
    """
    sound = brain & ~hematoma
    if not sound.any():
        return hu.astype(np.float32)
    nearest = ndimage.distance_transform_edt(~sound, return_distances=False, return_indices=True)
    return np.where(brain, hu, hu[tuple(nearest)]).astype(np.float32)


def _fade(shape_zyx: tuple[int, ...], spacing_zyx_mm: tuple[float, ...]) -> NDArray[np.float32]:
    """Return weights that fall to 0 towards the crop's edge."""
    weight = np.ones(shape_zyx, dtype=np.float32)
    for axis, (size, step) in enumerate(zip(shape_zyx, spacing_zyx_mm, strict=True)):
        index = np.arange(size)
        depth_mm = np.minimum(index, size - 1 - index) * step
        line = np.clip(depth_mm / _FADE_MM, 0, 1).astype(np.float32)
        weight *= line.reshape([-1 if own == axis else 1 for own in range(3)])
    return weight
