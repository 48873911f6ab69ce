"""The brain within a head scan, cut out by morphology: no skull, no scalp, no head rest."""

import math

import numpy as np
from numpy.typing import NDArray

from pipeline.volume import Vector

#: From cerebrospinal fluid to fresh clot, with the noise of a smoothed scan to either side; HU.
_SOFT_LOW_HU, _SOFT_HIGH_HU = -5.0, 100.0

#: What everything is clipped to first. The thresholds lie half way between these and brain
#: (30 HU), so that smoothing leaves the surface to bone and to air where it is.
_CLIP_HU = (-40.0, 170.0)

#: Smoothing before the thresholds, so that noise does not perforate the brain; mm.
_SMOOTHING_MM = 1.0

#: Half the width of passages that are closed: orbits, foramina, sutures. The same 3.5 mm that
#: part a head's soft tissue from the brain in the simulated heads' real hosts. On coarse grids it
#: is somewhat more than a voxel: what is narrower has no inside there.
_NECK_MM, _NECK_VOXELS = 3.5, 1.15

#: Denser than air, foam and blankets; HU.
_SOLID_HU = -200.0

#: Half the thickness of plates and rests that are opened away; mm.
_PLATE_MM = 5.0

#: Gaps at the brain's surface (sulci, calcified vessels) up to twice this are closed; mm.
_CLOSING_MM = 2.0


def extract_brain(hu_zyx: NDArray[np.number], spacing_zyx_mm: Vector) -> NDArray[np.bool_]:
    """Return the brain with its ventricles and what has bled into them.

    The largest connected soft part that is nowhere narrower than a foramen, grown back to its
    surface and filled. Parts outside the skull, coils and head rests are thinner or smaller;
    bone is no soft part. Nothing is found in a scan without soft tissue.

    Parameters
    ----------
    hu_zyx : ndarray, shape (Z, Y, X)
        Hounsfield units.
    spacing_zyx_mm : Vector
        Voxel size.

    Returns
    -------
    ndarray of bool, shape (Z, Y, X)
    """
    from scipy import ndimage  # type: ignore[import-untyped] # scipy ships no types

    sigma = [_SMOOTHING_MM / step for step in spacing_zyx_mm]
    clipped = np.clip(np.asarray(hu_zyx, dtype=np.float32), *_CLIP_HU)
    smooth = ndimage.gaussian_filter(clipped, sigma)
    soft = (smooth > _SOFT_LOW_HU) & (smooth < _SOFT_HIGH_HU)
    neck_mm = max(_NECK_MM, _NECK_VOXELS * max(spacing_zyx_mm))
    brain = _largest_wide(soft, neck_mm, spacing_zyx_mm)
    return _filled(_closed(brain, spacing_zyx_mm)) if brain.any() else brain


def extract_head(hu_zyx: NDArray[np.number], spacing_zyx_mm: Vector) -> NDArray[np.bool_]:
    """Return the head with its skin: the largest solid thing, without coil, table or head rest.

    What is thinner than a table's plate is opened away first; air cells and sinuses are filled
    in, slice by slice.

    Parameters
    ----------
    hu_zyx : ndarray, shape (Z, Y, X)
        Hounsfield units.
    spacing_zyx_mm : Vector
        Voxel size.

    Returns
    -------
    ndarray of bool, shape (Z, Y, X)
    """
    solid = np.asarray(hu_zyx) > _SOLID_HU
    return _filled(_largest_wide(solid, _PLATE_MM, spacing_zyx_mm))


def _largest_wide(
    mask: NDArray[np.bool_], radius_mm: float, spacing_zyx_mm: Vector
) -> NDArray[np.bool_]:
    """Return the largest part that a ball of the radius fits into, grown back to its surface.

    An opening by distances; nothing where the ball fits nowhere.
    """
    from scipy import ndimage

    # What lies beyond the scan is unknown, not air or bone: the head may be cut off at the last
    # slice.
    framed = np.pad(mask, ((1, 1), (0, 0), (0, 0)), mode="edge")
    depth_mm = ndimage.distance_transform_edt(framed, sampling=spacing_zyx_mm)[1:-1]
    core = _largest(depth_mm > radius_mm)
    if not core.any():
        return core
    reach_mm = ndimage.distance_transform_edt(~core, sampling=spacing_zyx_mm)
    # A voxel more than the radius: distances count from centre to centre.
    return _largest(mask & (reach_mm <= radius_mm + max(spacing_zyx_mm[1:])))


def _largest(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the largest part of a mask whose voxels touch by their faces."""
    from scipy import ndimage

    labels, count = ndimage.label(mask)
    if not count:
        return np.zeros_like(mask)
    return np.asarray(labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:])))


def _closed(mask: NDArray[np.bool_], spacing_zyx_mm: Vector) -> NDArray[np.bool_]:
    """Return the morphological closing by a ball, computed by distances."""
    from scipy import ndimage

    margin = [math.ceil(_CLOSING_MM / step) + 1 for step in spacing_zyx_mm]
    framed = np.pad(mask, [(width, width) for width in margin])
    wide = ndimage.distance_transform_edt(~framed, sampling=spacing_zyx_mm) <= _CLOSING_MM
    closed = ndimage.distance_transform_edt(wide, sampling=spacing_zyx_mm) > _CLOSING_MM
    inner = tuple(slice(width, -width) for width in margin)
    return np.asarray(closed[inner] | mask)


def _filled(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the mask with the holes of its slices filled, as the falx and choroid leave."""
    from scipy import ndimage

    return np.stack([ndimage.binary_fill_holes(plane) for plane in mask])
