"""Signs that somebody operated between two scans: air, a drain or metal, and missing bone.

All three are looked for where both scans lie on one grid (`AlignedScans`), so that what the
patient had before (calcifications, clips, an old craniotomy) is no sign:

- **new air**: below -200 HU in the follow-up, 3 mm or more inside the baseline's brain, where the
  baseline shows none within 3 mm; at least 0.5 mL together;
- **new dense object**: above 120 HU in the follow-up, 4 mm or more inside the baseline's brain,
  where the baseline shows nothing of the kind within 6 mm; one connected piece of at least 0.1 mL
  and 12 mm length: a catheter, of which coarse slices show a row of dots that touch, or a clip.
  Fresh blood stays below 100 HU; contrast agent in vessels, calcifications that have moved and
  skull base that only one of two scans cuts are found, too, which is why a sign alone is no
  surgery;
- **missing bone**: bone of the baseline's vault (above 300 HU, within 15 mm of the brain, in the
  upper two thirds of its height) that has no bone within 3 mm in the follow-up; one connected
  piece of at least 0.15 mL. A burr hole of 14 mm leaves so much of its middle; on follow-ups of
  nine heads that nobody operated upon 0.06 mL were found at most.

The margins are those by which a registration may be off. The limits follow from the size of what
surgeons make and leave; they were tried on simulated pairs alone (docs/follow_up.md).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.follow_up.alignment import AlignedScans
from pipeline.growth.brain import extract_brain
from pipeline.volume import Vector

_AIR_HU, _AIR_DEPTH_MM, _AIR_APART_MM, LEAST_AIR_ML = -200.0, 3.0, 3.0, 0.5
_DENSE_HU, _DENSE_DEPTH_MM, _DENSE_APART_MM = 120.0, 4.0, 6.0
LEAST_DENSE_ML, LEAST_DENSE_LENGTH_MM = 0.1, 12.0
_BONE_HU, _VAULT_MM, _BONE_APART_MM, LEAST_BONE_ML = 300.0, 15.0, 3.0, 0.15

#: Part of the brain's height, from above, in which bone is vault and no jaw or face.
_VAULT_PART = 2 / 3


@dataclass(frozen=True, slots=True, kw_only=True)
class SurgerySigns:
    """What is new in the follow-up and was made by a surgeon.

    Attributes
    ----------
    new_air_ml : float
        Air inside the brain's outline.
    new_dense_ml : float
        The largest dense piece in the brain that is long enough; 0 if there is none.
    missing_bone_ml : float
        The largest piece of the vault that is gone.
    """

    new_air_ml: float
    new_dense_ml: float
    missing_bone_ml: float

    @property
    def are_there(self) -> bool:
        """Whether any of them is as large as a surgeon makes it."""
        return (
            self.new_air_ml >= LEAST_AIR_ML
            or self.new_dense_ml >= LEAST_DENSE_ML
            or self.missing_bone_ml >= LEAST_BONE_ML
        )


def surgery_signs(scans: AlignedScans) -> SurgerySigns:
    """Return what is new in the follow-up and was made by a surgeon."""
    spacing = scans.grid.spacing_zyx_mm
    voxel_ml = float(np.prod(spacing)) / 1000
    before, after = scans.baseline_hu_zyx, scans.follow_up_hu_zyx
    brain = extract_brain(before, spacing)
    if not brain.any():
        return SurgerySigns(new_air_ml=0.0, new_dense_ml=0.0, missing_bone_ml=0.0)
    depth_mm = _distance_mm(brain, spacing)
    seen = brain & scans.scanned_zyx
    air = seen & (after < _AIR_HU) & (depth_mm >= _AIR_DEPTH_MM)
    air &= ~_near(before < _AIR_HU, _AIR_APART_MM, spacing)
    dense = seen & (after > _DENSE_HU) & (depth_mm >= _DENSE_DEPTH_MM)
    dense &= ~_near(before > _DENSE_HU, _DENSE_APART_MM, spacing)
    gone = _vault(before > _BONE_HU, brain, spacing) & scans.scanned_zyx
    gone &= ~_near(after > _BONE_HU, _BONE_APART_MM, spacing)
    return SurgerySigns(
        new_air_ml=float(np.count_nonzero(air)) * voxel_ml,
        new_dense_ml=_largest_piece_ml(dense, spacing, least_length_mm=LEAST_DENSE_LENGTH_MM),
        missing_bone_ml=_largest_piece_ml(gone, spacing),
    )


def _vault(
    bone: NDArray[np.bool_], brain: NDArray[np.bool_], spacing_zyx_mm: Vector
) -> NDArray[np.bool_]:
    """Return the bone around the upper part of the brain."""
    heights = np.flatnonzero(brain.any(axis=(1, 2)))
    lowest = heights[-1] - round((heights[-1] - heights[0]) * _VAULT_PART)
    vault = bone & _near(brain, _VAULT_MM, spacing_zyx_mm)
    vault[:lowest] = False
    return vault


def _near(mask: NDArray[np.bool_], reach_mm: float, spacing_zyx_mm: Vector) -> NDArray[np.bool_]:
    """Return everything within a distance of a mask."""
    if not mask.any():
        return np.zeros_like(mask)
    return np.asarray(_distance_mm(~mask, spacing_zyx_mm) <= reach_mm)


def _distance_mm(mask: NDArray[np.bool_], spacing_zyx_mm: Vector) -> NDArray[np.float64]:
    """Return how far each voxel of a mask is from what lies outside it."""
    from scipy import ndimage  # type: ignore[import-untyped] # scipy ships no types

    return np.asarray(ndimage.distance_transform_edt(mask, sampling=spacing_zyx_mm))


def _largest_piece_ml(
    mask: NDArray[np.bool_], spacing_zyx_mm: Vector, *, least_length_mm: float = 0.0
) -> float:
    """Return the volume of the largest connected piece that is long enough.

    Its length is the diagonal of its box, from voxel centre to voxel centre.
    """
    from scipy import ndimage

    labels, count = ndimage.label(mask, np.ones((3, 3, 3), dtype=bool))
    if not count:
        return 0.0
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    long_enough = [
        int(sizes[number])
        for number, box in enumerate(ndimage.find_objects(labels), start=1)
        if np.linalg.norm([_extent(side) for side in box] * np.array(spacing_zyx_mm))
        >= least_length_mm
    ]
    return max(long_enough, default=0) * float(np.prod(spacing_zyx_mm)) / 1000


def _extent(side: slice) -> int:
    return int(side.stop - side.start - 1)
