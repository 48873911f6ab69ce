"""Doubts about a volume or a mask, as flags.

Everything is looked at on a coarse copy of the volume (about 2 x 2 x 4 mm), so that it takes a
fraction of a second whatever the resolution.

The numbers in this module were set on real heads (24 series rebuilt from PhysioNet CT-ICH, one
of them a newborn; a GE series with tilted gantry; a thin-slice head of 1 mm pixels), and on a
plastic head (Philips, dcm_qa_ct): a skull around air with test objects in it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.quality_flags import QualityFlag
from pipeline.volume import CtVolume, HematomaMask

COARSE_PIXEL_MM = 2.0
COARSE_STEP_MM = 4.0

#: Shares of the whole volume, below which the values cannot be those of a head in air.
#: Measured on real heads: air (below -800 HU) 0.47 to 0.65, soft tissue (0 to 100 HU) 0.19 to
#: 0.30, bone (above 300 HU) 0.017 (newborn) to 0.097. Plastic head: soft tissue 0.02.
AIR_BELOW_HU, LEAST_AIR_SHARE = -800, 0.02
SOFT_TISSUE_HU, LEAST_SOFT_TISSUE_SHARE = (0, 100), 0.05
BONE_ABOVE_HU, LEAST_BONE_SHARE = 300, 0.003

#: A voxel lies inside the skull if it sees bone in this many of eight directions of its slice.
#: Two may be open, for sutures, fontanelles and holes that a surgeon made.
BONY_DIRECTIONS = 6
#: Thin bone on coarse pixels.
SKULL_ABOVE_HU = 150

#: Least share of brain-like values inside the skull, and least brain-like volume there.
#: Measured on real heads: 0.91 to 0.98 and 750 (newborn) to 1690 mL. Plastic head: 0.08, 110 mL.
LEAST_BRAIN_SHARE = 0.75
LEAST_BRAIN_ML = 250.0

#: Values of vessels with contrast agent; blood without it stays below 100 HU. The volume counts
#: only what lies this far from bone and from the border of the region inside the skull.
#: Measured without contrast agent (calcifications, thin bone): 0 to 1.3 mL. No head with contrast
#: agent was at hand: how many of them this finds is not known.
CONTRAST_HU = (150, 400)
MARGIN_TO_BONE_MM = 8.0
CONTRAST_SUSPECTED_FROM_ML = 3.0

#: A hematoma in fewer slices cannot fill the three that the classifier looks at.
FEW_SLICES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadContent:
    """What the Hounsfield units of a volume look like.

    Attributes
    ----------
    air_share, soft_tissue_share, bone_share : float
        Shares of the whole volume, 0 to 1.
    brain_share : float
        Share of brain-like values in the region inside the skull, 0 to 1.
    brain_ml : float
        Volume of brain-like values inside the skull.
    bright_ml : float
        Volume with values of contrast agent inside the skull, away from bone.
    """

    air_share: float
    soft_tissue_share: float
    bone_share: float
    brain_share: float
    brain_ml: float
    bright_ml: float


def assess_volume(volume: CtVolume) -> frozenset[QualityFlag]:
    """Return what the reader flagged, and what the Hounsfield units show.

    Adds HU_IMPLAUSIBLE, NOT_A_HEAD and CONTRAST_SUSPECTED.
    """
    content = head_content(volume)
    found = {
        QualityFlag.HU_IMPLAUSIBLE: content.air_share < LEAST_AIR_SHARE
        or content.soft_tissue_share < LEAST_SOFT_TISSUE_SHARE
        or content.bone_share < LEAST_BONE_SHARE,
        QualityFlag.NOT_A_HEAD: content.brain_share < LEAST_BRAIN_SHARE
        or content.brain_ml < LEAST_BRAIN_ML,
        QualityFlag.CONTRAST_SUSPECTED: content.bright_ml >= CONTRAST_SUSPECTED_FROM_ML,
    }
    return volume.flags | {flag for flag, is_set in found.items() if is_set}


def assess_mask(mask: HematomaMask) -> frozenset[QualityFlag]:
    """Return FEW_HEMATOMA_SLICES and HEMATOMA_AT_EDGE where they hold, nothing for no hematoma."""
    if mask.is_empty:
        return frozenset()
    voxels = mask.voxels_zyx
    slice_count = int(np.count_nonzero(voxels.any(axis=(1, 2))))
    is_at_edge = any(
        voxels.take(index, axis=axis).any() for axis in range(voxels.ndim) for index in (0, -1)
    )
    found = {
        QualityFlag.FEW_HEMATOMA_SLICES: slice_count < FEW_SLICES,
        QualityFlag.HEMATOMA_AT_EDGE: is_at_edge,
    }
    return frozenset(flag for flag, is_set in found.items() if is_set)


def head_content(volume: CtVolume) -> HeadContent:
    """Return what the Hounsfield units of a volume look like."""
    coarse = _coarsen(volume)
    inside = inside_skull(coarse.hu_zyx > SKULL_ABOVE_HU)
    brain = inside & _between(coarse.hu_zyx, SOFT_TISSUE_HU)
    inside_count = int(np.count_nonzero(inside))
    return HeadContent(
        air_share=float(np.mean(coarse.hu_zyx < AIR_BELOW_HU)),
        soft_tissue_share=float(np.mean(_between(coarse.hu_zyx, SOFT_TISSUE_HU))),
        bone_share=float(np.mean(coarse.hu_zyx > BONE_ABOVE_HU)),
        brain_share=float(np.count_nonzero(brain)) / max(inside_count, 1),
        brain_ml=float(brain.sum(axis=(1, 2)) @ coarse.voxel_ml_z),
        bright_ml=_bright_ml(volume, coarse, inside),
    )


def inside_skull(bone_zyx: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the largest region of each slice that bone surrounds, shape (Z, Y, X).

    Bone is looked for in the eight directions of rows, columns and diagonals (see
    `BONY_DIRECTIONS`). Bridges of up to four pixels are cut before the regions are told apart.
    """
    from scipy import ndimage  # type: ignore[import-untyped] # scipy ships no types

    seen = sum(
        (_bone_ahead(bone_zyx, reverse=reverse, slant=slant) for reverse, slant in _DIRECTIONS),
        start=_bone_beside(bone_zyx),
    )
    enclosed = (seen >= BONY_DIRECTIONS) & ~bone_zyx
    in_slice = ndimage.generate_binary_structure(3, 1)
    in_slice[[0, -1]] = False
    enclosed = ndimage.binary_opening(enclosed, _SQUARE, iterations=2)
    labels, count = ndimage.label(enclosed, in_slice)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    sizes[0] = 0
    largest = [labels_yx.flat[sizes[labels_yx].argmax()] for labels_yx in labels]
    return np.asarray((labels == np.reshape(largest, (-1, 1, 1))) & (labels > 0))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Coarse:
    """A coarse copy: mean of `factor_yx` pixels on every `factor_z`-th slice."""

    hu_zyx: NDArray[np.float32]
    factor_z: int
    factor_yx: tuple[int, int]
    pixel_mm_yx: tuple[float, float]
    voxel_ml_z: NDArray[np.float64]


def _coarsen(volume: CtVolume) -> _Coarse:
    z_mm, y_mm, x_mm = volume.grid.spacing_zyx_mm
    factor_z = max(1, round(COARSE_STEP_MM / z_mm))
    factor_y, factor_x = (max(1, round(COARSE_PIXEL_MM / mm)) for mm in (y_mm, x_mm))
    some = volume.hu_zyx[::factor_z]
    rows, columns = some.shape[1] // factor_y, some.shape[2] // factor_x
    blocks = some[:, : rows * factor_y, : columns * factor_x].reshape(
        len(some), rows, factor_y, columns, factor_x
    )
    starts = np.arange(0, len(volume.hu_zyx), factor_z)
    extents_mm = np.add.reduceat(volume.grid.slice_extents_mm, starts)
    pixel_mm_yx = (y_mm * factor_y, x_mm * factor_x)
    return _Coarse(
        hu_zyx=blocks.mean(axis=(2, 4), dtype=np.float32),
        factor_z=factor_z,
        factor_yx=(factor_y, factor_x),
        pixel_mm_yx=pixel_mm_yx,
        voxel_ml_z=extents_mm * float(np.prod(pixel_mm_yx)) / 1000,
    )


#: A pixel and its eight neighbours in the slice.
_SQUARE = np.ones((1, 3, 3), dtype=bool)

#: Up and down, each straight and along both diagonals.
_DIRECTIONS = [(reverse, slant) for reverse in (False, True) for slant in (-1, 0, 1)]


def _bone_beside(bone_zyx: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return in how many of left and right there is bone."""
    left = np.maximum.accumulate(bone_zyx, axis=2)
    right = np.maximum.accumulate(bone_zyx[:, :, ::-1], axis=2)[:, :, ::-1]
    return np.add(left, right, dtype=np.uint8)


def _bone_ahead(bone_zyx: NDArray[np.bool_], *, reverse: bool, slant: int) -> NDArray[np.uint8]:
    """Return where there is bone up (or down) a column or a diagonal."""
    step = -1 if reverse else 1
    source = bone_zyx[:, ::step]
    found = np.zeros(source.shape, dtype=np.uint8)
    seen = np.zeros((source.shape[0], source.shape[2]), dtype=bool)
    for row in range(source.shape[1]):
        seen = _shift(seen, slant) | source[:, row]
        found[:, row] = seen
    return found[:, ::step]


def _shift(seen_zx: NDArray[np.bool_], by: int) -> NDArray[np.bool_]:
    padded = np.pad(seen_zx, ((0, 0), (1, 1)))
    return padded[:, 1 - by : padded.shape[1] - 1 - by]


def _bright_ml(volume: CtVolume, coarse: _Coarse, inside: NDArray[np.bool_]) -> float:
    from scipy import ndimage

    iterations = max(1, round(MARGIN_TO_BONE_MM / max(coarse.pixel_mm_yx)))
    filled = np.stack([ndimage.binary_fill_holes(inside_yx) for inside_yx in inside])
    deep = ndimage.binary_erosion(filled, _SQUARE, iterations=iterations)
    bone = coarse.hu_zyx > BONE_ABOVE_HU
    deep &= ~ndimage.binary_dilation(bone, _SQUARE, iterations=iterations)
    factor_y, factor_x = coarse.factor_yx
    deep_fine = deep.repeat(factor_y, axis=1).repeat(factor_x, axis=2)
    _, rows, columns = deep_fine.shape
    hu_zyx = volume.hu_zyx[:: coarse.factor_z, :rows, :columns]
    bright = _between(hu_zyx, CONTRAST_HU) & deep_fine
    return float(bright.sum(axis=(1, 2)) @ coarse.voxel_ml_z) / (factor_y * factor_x)


def _between(
    hu_zyx: NDArray[np.int16] | NDArray[np.float32], limits: tuple[int, int]
) -> NDArray[np.bool_]:
    return np.asarray((hu_zyx >= limits[0]) & (hu_zyx < limits[1]))
