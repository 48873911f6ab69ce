"""The brain in its cavity: grey and white matter, ventricles, cisterns, dura and vessels."""

from dataclasses import dataclass

import numpy as np

from training.phantom.cortex import CORTEX_MM, callosum_gap, fissure_distance, fluid_distance
from training.phantom.fields import (
    Array,
    Point,
    blend,
    ellipsoid,
    inside,
    sigmoid,
    smooth_noise,
    tube,
)
from training.phantom.head_grid import Box, HeadGrid
from training.phantom.traits import HeadTraits
from training.phantom.ventricles import (
    basal_cisterns,
    brain_stem,
    lateral_ventricle,
    midline_ventricles,
)

#: Half the extent of the brain in template mm, with a reserve for the warp.
BRAIN_LOW: Point = (-74, -78, -70)
BRAIN_HIGH: Point = (74, 110, 82)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Brain:
    """What fills the cavity, on the head grid.

    Attributes
    ----------
    hu_zyx : ndarray of float32, shape (Z, Y, X)
        Hounsfield units of the whole head.
    depth_mm : ndarray of float32, shape (Z, Y, X)
        Depth below the inner table, negative outside the cavity.
    ventricle : ndarray of float32, shape (Z, Y, X)
        Share of each voxel that is ventricle.
    infratentorial : ndarray of float32, shape (Z, Y, X)
        Share of each voxel that lies below the tentorium.
    fluid_mm : ndarray of float32, shape (Z, Y, X)
        Signed distance to sulci and cisterns, negative in fluid.
    """

    hu_zyx: Array
    depth_mm: Array
    ventricle: Array
    infratentorial: Array
    fluid_mm: Array


def build_brain(
    rng: np.random.Generator, grid: HeadGrid, traits: HeadTraits, *, hu_zyx: Array, depth_mm: Array
) -> Brain:
    """Return the head with its brain; `hu_zyx` holds skull and scalp and is filled in place."""
    box = grid.box(BRAIN_LOW, BRAIN_HIGH)
    x, y, z = grid.at(box)
    depth = depth_mm[box]
    fluid = fluid_distance(rng, grid, depth_mm, traits)
    below = below_tentorium(x, y, z)
    cerebral_fluid = np.minimum(fluid[box], fissure_distance(x, y, z, atrophy=traits.atrophy))
    tissue = _cerebrum(rng, (x, y, z), cerebral_fluid, traits)
    base = grid.part_of(box, (-48, -28, -32), (48, 58, 10))
    cistern = cerebral_fluid
    cistern[base] = np.minimum(
        cistern[base], basal_cisterns(x[base], y[base], z[base], atrophy=traits.atrophy)
    )
    blend(tissue, inside(cistern, 1.2), traits.fluid_hu)
    hind = grid.part_of(box, (-66, -6, -72), (66, 106, 16))
    hind_hu, hind_fluid = _hindbrain(rng, (x[hind], y[hind], z[hind]), depth[hind], traits)
    blend(tissue[hind], below[hind], hind_hu)
    ventricle = inside(_ventricles(rng, grid, box, traits), 1.2)
    blend(tissue, ventricle, traits.fluid_hu)
    _add_dura(rng, (x, y, z), tissue, depth)
    _add_vessels(rng, grid, box, tissue)
    blend(hu_zyx[box], inside(-depth), tissue)
    cistern[hind] = np.where(below[hind].round() > 0, hind_fluid, cistern[hind])
    fluid[box] = cistern
    return Brain(
        hu_zyx=hu_zyx,
        depth_mm=depth_mm,
        ventricle=_placed(ventricle * inside(-depth), grid, box),
        infratentorial=_placed(below, grid, box),
        fluid_mm=fluid,
    )


def _placed(part: Array, grid: HeadGrid, box: Box) -> Array:
    whole = np.zeros(grid.shape_zyx, dtype=np.float32)
    whole[box] = part
    return whole


def tentorium_height_mm(x: Array, y: Array) -> Array:
    """Return the height of the tentorium (template z): a tent falling to the sides."""
    tent = 5 - 12 * np.clip((y - 42) / 45, 0, 1) - 20 * (np.abs(x) / 55) ** 1.2
    return np.asarray(tent - 0.3 * np.maximum(44 - y, 0), dtype=np.float32)


def below_tentorium(x: Array, y: Array, z: Array) -> Array:
    """Return the share of each voxel that lies below the tentorium."""
    width = np.abs(x)
    petrous = 10 + 0.36 * width
    below = inside(z - tentorium_height_mm(x, y), 1.5) * sigmoid((y - petrous) / 0.8)
    # The midbrain passes the notch; in front of the pons the fossa reaches the clivus.
    notch = inside(np.maximum(width - 22, z + 22), 2.0) * sigmoid((y - 4) / 1.0)
    return np.maximum(
        below * (1 - inside(np.maximum(width - 15, y - 38), 1.5) * inside(-22 - z)), notch
    )


def _cerebrum(
    rng: np.random.Generator, xyz: tuple[Array, Array, Array], fluid: Array, traits: HeadTraits
) -> Array:
    """Return cortex, white matter and deep nuclei, in HU."""
    x, y, z = xyz
    gray, white = traits.gray_hu, traits.white_hu
    ribbon = inside(fluid - CORTEX_MM - 0.9 * smooth_noise(rng, x.shape, 14.0), 2.6)
    hu = white + ribbon * np.float32(gray - white)
    hu += np.float32(0.8) * smooth_noise(rng, x.shape, 30.0)
    hu += np.float32(0.7) * smooth_noise(rng, x.shape, 8.0)
    pale = np.exp(-((np.minimum(_rough_ventricle_gap(x, y, z), 30.0) / 5) ** 2))
    leukoaraiosis = max(0.0, rng.normal(1.0 + 6.0 * traits.atrophy, 2.0))
    hu -= np.asarray(pale * leukoaraiosis, dtype=np.float32)
    width = np.abs(x)
    nuclei: list[tuple[Array, float]] = [
        (
            ellipsoid(width, y + 0.45 * (width - 26), z, center=(26, -2, 2), radii_mm=(5, 16, 11)),
            0.0,
        ),
        (
            ellipsoid(width, y + 0.4 * (width - 19), z, center=(19.5, 2, 0), radii_mm=(4.2, 9, 6)),
            -0.5,
        ),
        (ellipsoid(width, y, z, center=(14, -14, 6), radii_mm=(5, 9, 9)), 0.3),
        (tube(width, y, z, path=((15, -8, 14), (20, 12, 23)), radii_mm=[3.5, 2.2]), 0.0),
        (
            ellipsoid(width, y - 0.3 * (width - 11), z, center=(11, 17, 6), radii_mm=(8.5, 14, 9)),
            -1.5,
        ),
    ]
    for nucleus, offset in nuclei:
        blend(hu, inside(nucleus, 2.0), gray + offset)
    capsule = (
        inside(np.abs(width - 34.5) - 0.9)
        * inside(np.abs(y) - 18, 4.0)
        * inside(np.abs(z - 2) - 12, 4.0)
    )
    blend(hu, capsule * 0.7, white)
    return hu


def _rough_ventricle_gap(x: Array, y: Array, z: Array) -> Array:
    gap = ellipsoid(np.abs(x), y, z, center=(13, 8, 14), radii_mm=(9, 44, 13))
    return np.maximum(gap, 0)


def _hindbrain(
    rng: np.random.Generator, xyz: tuple[Array, Array, Array], depth: Array, traits: HeadTraits
) -> tuple[Array, Array]:
    """Return cerebellum, brain stem and the cisterns around, in HU, and distance to fluid."""
    x, y, z = xyz
    width = np.abs(x)
    stem = brain_stem(x, y, z)
    hemisphere = ellipsoid(width, y, z, center=(23, 58, -30), radii_mm=(34, 37, 32), exponent=2.6)
    vermis = ellipsoid(x, y, z, center=(0, 57, -18), radii_mm=(12, 22, 28))
    peduncle = tube(width, y, z, path=((11, 32, -34), (22, 46, -37)), radii_mm=[7.5, 8.5])
    cerebellum = np.minimum(np.minimum(hemisphere, vermis), peduncle)
    rim = 1.0 + 1.5 * traits.atrophy
    tent_gap = z - tentorium_height_mm(x, y) + 1.0 + 1.2 * traits.atrophy
    cerebellum = np.maximum(cerebellum, np.maximum(rim - depth, tent_gap))
    fluid = -np.minimum(cerebellum, stem)
    # Folia: thin shells around the core, seen as a faint grain.
    core = ellipsoid(width, y, z, center=(18, 50, -34), radii_mm=(14, 14, 9))
    shells = np.sin(1.25 * core + 2.2 * smooth_noise(rng, x.shape, 22.0))
    folia = traits.gray_hu - 1.0 - (1.5 + 3.0 * traits.atrophy) * np.maximum(shells, 0) ** 2
    hu = np.asarray(folia, dtype=np.float32)
    hu += np.float32(0.8) * smooth_noise(rng, x.shape, 14.0)
    blend(hu, inside(core, 3.0), traits.white_hu + 2.0)
    blend(hu, inside(np.minimum(stem, peduncle), 2.0), traits.white_hu + 3.0)
    blend(hu, inside(fluid, 1.2), traits.fluid_hu + 1.0)
    return hu, fluid


def _ventricles(rng: np.random.Generator, grid: HeadGrid, box: Box, traits: HeadTraits) -> Array:
    """Return the signed distance to the nearest ventricle, exact only close to one."""
    x, y, z = grid.at(box)
    scale = traits.ventricle_scale
    distance = np.full(x.shape, 9.0, dtype=np.float32)
    for side in (-1, 1):
        low, high = sorted((side * -3.0, side * 50.0))
        part = grid.part_of(box, (low, -48, -36), (high, 76, 42))
        lateral = lateral_ventricle(
            x[part],
            y[part],
            z[part],
            side=side,
            scale=scale * float(rng.normal(1.0, 0.06)),
            horn_scale=float(rng.uniform(0.4, 1.6)),
        )
        distance[part] = np.minimum(distance[part], lateral)
    part = grid.part_of(box, (-14, -8, -56), (14, 58, 18))
    midline = midline_ventricles(x[part], y[part], z[part], scale=scale)
    distance[part] = np.minimum(distance[part], midline)
    distance += np.float32(0.5) * smooth_noise(rng, x.shape, 16.0)
    return distance


def _add_dura(
    rng: np.random.Generator, xyz: tuple[Array, Array, Array], hu: Array, depth: Array
) -> None:
    """Add falx, tentorium and venous sinuses, denser than brain without any bleeding."""
    x, y, z = xyz
    width = np.abs(x)
    callosum = np.sqrt(((y - 6) / 45) ** 2 + ((z - 1) / 33) ** 2)
    reach = np.maximum(callosum_gap(callosum), tentorium_height_mm(x, y) - z)
    # In front the falx is shallow and ends above the base.
    front = np.maximum(depth - 34, np.where(y + 20 < 0, -14 - z, -9.0))
    reach = np.maximum(reach, np.where(y < 0, front, -9.0))
    falx_hu, sinus_hu = rng.normal(52, 5), rng.normal(56, 5)
    falx = inside(np.maximum(width - rng.uniform(0.45, 0.95), reach))
    blend(hu, falx, falx_hu)
    petrous = 14 + 0.36 * width
    sheet = np.abs(z - tentorium_height_mm(x, y)) * 0.9 - rng.uniform(0.4, 0.8)
    sheet = np.maximum(sheet, petrous - y)
    sheet = np.maximum(sheet, 16 + 0.25 * np.abs(y - 38) - np.where(y - 44 > 0, 90, 0) - width)
    blend(hu, inside(np.asarray(sheet, dtype=np.float32)), rng.normal(47, 4))
    lowest = np.where(y - 60 > 0, -60.0, -8.0)
    sagittal = np.maximum(width * 1.3 + depth - 7.5, lowest - z)
    blend(hu, inside(sagittal), sinus_hu)
    transverse = np.maximum(depth - 5.5, np.abs(z - tentorium_height_mm(x, y)) - 4.5)
    transverse = np.maximum(transverse, 48 - y)
    blend(hu, inside(transverse, 1.5), sinus_hu - 2)


def _add_vessels(rng: np.random.Generator, grid: HeadGrid, box: Box, hu: Array) -> None:
    """Add the arteries at the base, slightly denser than brain."""
    inner = grid.part_of(box, (-46, -14, -50), (46, 20, 2))
    x, y, z = (axis[box][inner] for axis in (grid.x, grid.y, grid.z))
    blood = rng.normal(42, 3)
    radius = rng.uniform(0.9, 1.6)
    basilar = tube(x, y, z, path=((0, 10, -18), (1.5, 11, -34), (0, 20, -48)), radii_mm=[1.6] * 3)
    blend(hu[inner], inside(basilar), blood)
    media = tube(
        np.abs(x), y, z, path=((10, -6, -18), (24, -10, -14), (38, -7, -8)), radii_mm=[radius] * 3
    )
    blend(hu[inner], inside(media), blood)
