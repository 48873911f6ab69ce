"""Whether a finding lies inside the skull: what bone encloses it, and how closely."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.segmentation.components import ALL_NEIGHBOURS
from pipeline.volume import CtVolume, HematomaMask, occupied_box

#: Denser than clotted blood; HU. Below 100, where window-clipped pictures end.
_BONE_HU = 95.0

#: Less dense than any fluid; HU. Fat and air lie outside the skull, not inside it.
_FAT_HU = -15.0

#: A ray has met bone, or fat, after so many mm of it; less is noise, calcium or an edge.
_LEAST_MM = 3.0

_RAYS = 24
_STEP_MM = 1.0
_REACH_MM = 180.0

#: Voxels of a part from which rays are sent.
_SAMPLES = 64

#: Share of rays that must meet bone before fat or air. True bleeds of the training patients had
#: 0.92 and more, muscles of neck and tongue 0.84 and less.
LEAST_SHARE = 0.86

#: Mean way to the bone that a finding must have. True bleeds of the training patients had 32 mm
#: and more; slices that graze the vertex or the foramen magnum show less, and their partial
#: volume of bone looks like blood.
LEAST_DISTANCE_MM = 28.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Enclosure:
    """What in-plane rays from a finding meet.

    Attributes
    ----------
    share : float
        Share of rays that meet bone before fat or air, in [0, 1].
    distance_mm : float
        Mean way of those rays to the bone, 0 if there is none.
    """

    share: float
    distance_mm: float

    @property
    def is_intracranial(self) -> bool:
        """Whether bone encloses the finding, and not too closely."""
        return self.share >= LEAST_SHARE and self.distance_mm >= LEAST_DISTANCE_MM


def measure_enclosure(volume: CtVolume, voxels_zyx: NDArray[np.intp]) -> Enclosure:
    """Return what rays within the slices meet that start from some voxels.

    Parameters
    ----------
    volume : CtVolume
        The scan.
    voxels_zyx : ndarray of int, shape (N, 3)
        Indices of voxels; at most `_SAMPLES` of them, evenly chosen, are used.
    """
    hu, inside = _along_rays(volume, _evenly_chosen(voxels_zyx))
    bone = _first_stretch((hu > _BONE_HU) & inside)
    leaving = _first_stretch((hu < _FAT_HU) | ~inside)
    met = bone < leaving
    distance = float(bone[met].mean() * _STEP_MM) if met.any() else 0.0
    return Enclosure(share=float(met.mean()), distance_mm=distance)


def keep_intracranial_components(mask: HematomaMask, volume: CtVolume) -> HematomaMask:
    """Return the mask without connected parts that do not lie inside the skull.

    A network that takes a bright neck muscle or partial volume of the vault for a clot is
    overruled by anatomy here.
    """
    from scipy import ndimage  # type: ignore[import-untyped] # scipy ships no types

    around = occupied_box(mask.voxels_zyx)
    if around is None:
        return mask
    labels, count = ndimage.label(mask.voxels_zyx[around], structure=ALL_NEIGHBOURS)
    keep = np.zeros(count + 1, dtype=bool)
    for part, box in enumerate(ndimage.find_objects(labels), start=1):
        corner = [side.start + whole.start for side, whole in zip(box, around, strict=True)]
        voxels = np.argwhere(labels[box] == part) + corner
        keep[part] = measure_enclosure(volume, voxels).is_intracranial
    inside = np.zeros_like(mask.voxels_zyx)
    inside[around] = keep[labels]
    return HematomaMask(voxels_zyx=inside, grid=mask.grid)


def _evenly_chosen(voxels_zyx: NDArray[np.intp]) -> NDArray[np.intp]:
    return voxels_zyx[:: max(1, len(voxels_zyx) // _SAMPLES)][:_SAMPLES]


def _along_rays(
    volume: CtVolume, voxels_zyx: NDArray[np.intp]
) -> tuple[NDArray[np.int16], NDArray[np.bool_]]:
    """Return HU along the rays and whether they are still in the picture, (N, rays, steps)."""
    angles = np.arange(_RAYS) * 2 * np.pi / _RAYS
    distances = np.arange(_STEP_MM, _REACH_MM, _STEP_MM)
    spacing_y, spacing_x = volume.grid.pixel_spacing_yx_mm
    _, rows, columns = volume.grid.shape_zyx
    z, y, x = (voxels_zyx[:, axis, None, None] for axis in range(3))
    ys = np.rint(y + np.sin(angles)[None, :, None] * distances / spacing_y).astype(np.intp)
    xs = np.rint(x + np.cos(angles)[None, :, None] * distances / spacing_x).astype(np.intp)
    inside = (ys >= 0) & (ys < rows) & (xs >= 0) & (xs < columns)
    return volume.hu_zyx[z, np.clip(ys, 0, rows - 1), np.clip(xs, 0, columns - 1)], inside


def _first_stretch(there: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the step at which something begins to last, infinity if it never does."""
    length = round(_LEAST_MM / _STEP_MM)
    runs = np.cumsum(there, axis=2)
    lasting = np.asarray((runs[:, :, length:] - runs[:, :, :-length]) >= length)
    return np.where(lasting.any(axis=2), lasting.argmax(axis=2) + 1.0, np.inf)
