"""Blood drawn into a patch: bleeds to find, and blood elsewhere that is not to be found."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage  # type: ignore[import-untyped] # scipy ships no types

from training.cohort.case import HALF_COVERED, IGNORED

_BONE_HU = 95.0
_FLUID_HU = (-10.0, 18.0)
_TISSUE_HU = (15.0, 45.0)

#: Voxels of room without which nothing is drawn, and of brain without which a slice has none.
_LEAST_ROOM = 500
_LEAST_BRAIN = 2000

#: Oedema darkens nothing that is darker already.
_LEAST_OEDEMA_HU = 5.0

#: Radius of inserted bleeds: 0.2 to 58 mL as a ball.
_RADIUS_MM = (3.5, 24.0)

#: Blood outside the brain begins at most so far from the bone, in pixels.
_EXTRA_AXIAL_REACH_PX = 20


def brain_interior(
    patch_zyx: NDArray[np.float32], *, margin_px: float = 4.0
) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Return what lies inside the closed skull, and the distance to its bone in pixels.

    Worked out on every second pixel for speed. Both have the patch's shape (Z, Y, X); slices
    without a closed ring of bone have no interior.
    """
    coarse = patch_zyx[:, ::2, ::2]
    inside = np.zeros(patch_zyx.shape, dtype=bool)
    distance = np.zeros(patch_zyx.shape, dtype=np.float32)
    for index, plane in enumerate(coarse):
        bone = ndimage.binary_closing(plane > _BONE_HU, iterations=2)
        filled = ndimage.binary_opening(ndimage.binary_fill_holes(bone) & ~bone, iterations=6)
        if np.count_nonzero(filled) < _LEAST_BRAIN:
            continue
        reach = 2 * ndimage.distance_transform_edt(~bone)
        full = (patch_zyx.shape[1], patch_zyx.shape[2])
        distance[index] = _enlarge(reach.astype(np.float32), full)
        inside[index] = _enlarge(filled, full) & (distance[index] > margin_px)
    return inside, distance


def insert_bleed(
    patch_zyx: NDArray[np.float32],
    label_zyx: NDArray[np.uint8],
    interior: NDArray[np.bool_],
    rng: np.random.Generator,
    *,
    spacing_zyx_mm: tuple[float, float, float],
    radius_mm: tuple[float, float] = _RADIUS_MM,
) -> None:
    """Draw one irregular bleed with oedema into the brain, in place, and label it.

    Its radius is drawn between two, small ones as often as large ones on a scale of logarithms.
    Nothing happens where no brain tissue is left to draw in.
    """
    tissue = (
        interior & (label_zyx == 0) & (patch_zyx > _TISSUE_HU[0]) & (patch_zyx < _TISSUE_HU[1])
    )
    places = np.flatnonzero(tissue)
    if places.size < _LEAST_ROOM:
        return
    centre = np.array(np.unravel_index(rng.choice(places), patch_zyx.shape))
    radius = float(np.exp(rng.uniform(*np.log(radius_mm))))
    shape = _irregular_distance(patch_zyx.shape, centre, radius, rng, spacing_zyx_mm)
    allowed = ndimage.gaussian_filter(interior.astype(np.float32), (0, 1.5, 1.5))
    alpha = np.clip(0.5 - shape / rng.uniform(0.8, 2.0), 0, 1) * allowed
    blood = rng.uniform(50, 78) + _grain(patch_zyx.shape, rng) * rng.uniform(1, 6)
    fine = patch_zyx - ndimage.uniform_filter(patch_zyx, (0, 7, 7))
    oedema_mm = rng.uniform(0, 8)
    ring = np.clip(1 - np.maximum(shape, 0) / max(oedema_mm, 0.5), 0, 1) * interior
    patch_zyx -= (rng.uniform(2, 12) * ring * (patch_zyx > _LEAST_OEDEMA_HU)).astype(np.float32)
    patch_zyx += (alpha * (blood + 0.8 * fine - patch_zyx)).astype(np.float32)
    drawn = (alpha >= HALF_COVERED) & (label_zyx != IGNORED)
    label_zyx[drawn] = 1


def insert_extra_axial(
    patch_zyx: NDArray[np.float32],
    interior: NDArray[np.bool_],
    distance_px: NDArray[np.float32],
    rng: np.random.Generator,
) -> None:
    """Draw a crescent of blood along the skull, in place; it is no intracerebral hematoma."""
    places = np.flatnonzero(interior & (distance_px < _EXTRA_AXIAL_REACH_PX))
    if places.size < _LEAST_ROOM:
        return
    centre = np.array(np.unravel_index(rng.choice(places), patch_zyx.shape))
    z, y, x = np.ogrid[tuple(slice(0, size) for size in patch_zyx.shape)]
    reach_px = rng.uniform(40, 160)
    far = ((y - centre[1]) ** 2 + (x - centre[2]) ** 2) / reach_px**2
    far = far + ((z - centre[0]) * 10 / reach_px) ** 2
    thickness = rng.uniform(6, 30) * np.clip(1 - far, 0, 1)
    near_bone = (distance_px > 0) & (patch_zyx < _BONE_HU) & (patch_zyx > _FLUID_HU[0])
    alpha = np.clip((thickness - distance_px) / 3, 0, 1) * near_bone
    blood = rng.uniform(45, 75) + _grain(patch_zyx.shape, rng) * 3
    patch_zyx += (alpha * (blood - patch_zyx)).astype(np.float32)


def insert_ventricular(
    patch_zyx: NDArray[np.float32], interior: NDArray[np.bool_], rng: np.random.Generator
) -> None:
    """Fill part of the fluid spaces with blood, in place; it is no intracerebral hematoma."""
    smooth = ndimage.uniform_filter(patch_zyx, (0, 5, 5))
    fluid = interior & (smooth < _FLUID_HU[1]) & (smooth > _FLUID_HU[0])
    share = _grain(patch_zyx.shape, rng, sigma=12.0) + rng.uniform(-0.5, 0.8)
    alpha = ndimage.gaussian_filter((fluid & (share > 0)).astype(np.float32), (0, 1, 1))
    patch_zyx += (alpha * (rng.uniform(45, 75) - patch_zyx)).astype(np.float32)


def _irregular_distance(
    shape: tuple[int, ...],
    centre: NDArray[np.int_],
    radius_mm: float,
    rng: np.random.Generator,
    spacing: tuple[float, float, float],
) -> NDArray[np.float32]:
    """Return a signed distance, in mm and negative inside, to a lobed ellipsoid."""
    stretch = rng.uniform(0.65, 1.4, size=3)
    turn = rng.uniform(0, np.pi)
    z, y, x = np.ogrid[tuple(slice(0, size) for size in shape)]
    dz = (z - centre[0]) * spacing[0] / stretch[0]
    dy, dx = (y - centre[1]) * spacing[1], (x - centre[2]) * spacing[2]
    u = (np.cos(turn) * dy + np.sin(turn) * dx) / stretch[1]
    v = (-np.sin(turn) * dy + np.cos(turn) * dx) / stretch[2]
    radius = np.sqrt(u * u + v * v + dz * dz)
    coarse = _grain(shape, rng, sigma=max(4.0, radius_mm * 0.8))
    fine = _grain(shape, rng, sigma=3.0)
    lobed = radius + radius_mm * (0.22 * coarse + 0.06 * fine) * rng.uniform(0.3, 1.3)
    return np.asarray(lobed - radius_mm, dtype=np.float32)


def _grain(
    shape: tuple[int, ...], rng: np.random.Generator, *, sigma: float = 4.0
) -> NDArray[np.float32]:
    """Return a smooth random field of unit variance; drawn coarse and enlarged for speed."""
    step = max(1, round(sigma / 2))
    size = (shape[0], shape[1] // step + 2, shape[2] // step + 2)
    field = rng.standard_normal(size, dtype=np.float32)
    field = ndimage.gaussian_filter(field, (0.7, sigma / step, sigma / step))
    field /= max(float(field.std()), 1e-6)
    return np.stack([_enlarge(plane, (shape[1], shape[2])) for plane in field])


def _enlarge(plane: NDArray[np.generic], shape_yx: tuple[int, int]) -> NDArray[np.generic]:
    """Return a plane enlarged to a shape, linear for numbers, nearest for masks."""
    rows = np.linspace(0, plane.shape[0] - 1, shape_yx[0])
    columns = np.linspace(0, plane.shape[1] - 1, shape_yx[1])
    if plane.dtype == np.bool_:
        return np.asarray(plane[np.ix_(np.rint(rows).astype(int), np.rint(columns).astype(int))])
    values = np.asarray(plane, dtype=np.float32)
    y, x = rows.astype(int), columns.astype(int)
    y1, x1 = np.minimum(y + 1, plane.shape[0] - 1), np.minimum(x + 1, plane.shape[1] - 1)
    fy, fx = (rows - y).astype(np.float32)[:, None], (columns - x).astype(np.float32)[None]
    top = values[np.ix_(y, x)] * (1 - fx) + values[np.ix_(y, x1)] * fx
    low = values[np.ix_(y1, x)] * (1 - fx) + values[np.ix_(y1, x1)] * fx
    return np.asarray(top * (1 - fy) + low * fy)
