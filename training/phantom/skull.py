"""Skull, scalp, face and the cavity that holds the brain."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage  # type: ignore[import-untyped] # scipy ships no types

from training.phantom.fields import (
    Array,
    blend,
    double,
    ellipsoid,
    inside,
    sigmoid,
    smooth_noise,
    tube,
)
from training.phantom.head_grid import HeadGrid
from training.phantom.traits import HeadTraits

AIR_HU, FAT_HU, MUSCLE_HU, SKIN_HU = -1000.0, -85.0, 52.0, 35.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Skull:
    """All of the head but the brain.

    Attributes
    ----------
    hu_zyx : ndarray of float32, shape (Z, Y, X)
        Hounsfield units on the head grid; the cavity is filled with fluid.
    depth_mm : ndarray of float32, shape (Z, Y, X)
        Depth below the inner table: positive in the cavity, negative outside.
    """

    hu_zyx: Array
    depth_mm: Array


def build_skull(rng: np.random.Generator, grid: HeadGrid, traits: HeadTraits) -> Skull:
    """Return skull, scalp and face around an empty cavity."""
    thin = grid.thinned()
    cavity = is_cavity(thin.x, thin.y, thin.z)
    depth_thin = _signed_depth(cavity, thin.step_mm)
    head = (depth_thin > -(_wall_mm(rng, thin, traits) + _scalp_mm(thin, traits))) | _face(thin)
    skin_thin = _signed_depth(head, thin.step_mm)
    depth = double(depth_thin, grid.shape_zyx)
    skin = double(skin_thin, grid.shape_zyx)
    hu = _soft_parts(rng, grid, skin)
    _add_face(rng, grid, hu, skin)
    _add_vault(rng, grid, hu, depth, traits)
    _add_ears(rng, grid, hu)
    blend(hu, inside(-depth), traits.fluid_hu)
    return Skull(hu_zyx=hu, depth_mm=depth)


def is_cavity(x: Array, y: Array, z: Array) -> NDArray[np.bool_]:
    """Return whether template points lie inside the inner table of the skull."""
    x = np.abs(x)
    half_width = 68.5 * (1 + 0.085 * np.tanh((y - 10) / 40))
    height = np.where(z - 2 > 0, 76.0, 66.0)
    dome = (x / half_width) ** 2.35
    dome += (np.abs(y - 16) / 88.0) ** 2.2
    dome += (np.abs(z - 2) / height) ** 2.2
    return np.asarray((dome < 1) & (z > base_height_mm(x, y)))


def base_height_mm(x: Array, y: Array) -> Array:
    """Return the height of the skull base (template z) at template x, y.

    Three steps: the anterior fossa over the orbits, the middle fossa that holds the temporal
    lobes with the sella between, and the posterior fossa behind the petrous ridges.
    """
    width = np.abs(x)
    petrous = 12 + 0.36 * width
    anterior = sigmoid((-23 - 0.005 * (width - 32) ** 2 - y) / 2.5)
    posterior = sigmoid((y - petrous) / np.where(width - 14 < 0, 5.0, 2.5))
    front = -20 + 0.05 * (width - 25) - 5 * np.exp(-((width / 8) ** 2))
    middle = -23 - 19 * sigmoid((width - 17) / 2.5)
    ridge = 11 * np.exp(-(((y - petrous) / 6) ** 2)) * sigmoid((width - 10) / 3)
    back = (1 - posterior) * middle + posterior * -62 + ridge * sigmoid((58 - width) / 3)
    return np.asarray(anterior * front + (1 - anterior) * back, dtype=np.float32)


def _signed_depth(mask: NDArray[np.bool_], step_mm: int) -> Array:
    within = ndimage.distance_transform_edt(mask)
    without = ndimage.distance_transform_edt(~mask)
    signed = np.where(mask, within - 0.5, 0.5 - without).astype(np.float32) * np.float32(step_mm)
    return np.asarray(ndimage.gaussian_filter(signed, 1.0), dtype=np.float32)


def _wall_mm(rng: np.random.Generator, grid: HeadGrid, traits: HeadTraits) -> Array:
    """Return the thickness of the skull, thin at the temples."""
    x, y, z = grid.x, grid.y, grid.z
    temple = np.exp(-(((z + 12) / 26) ** 2) - ((y - 0) / 50) ** 2) * sigmoid((np.abs(x) - 45) / 4)
    uneven = 1 + 0.12 * smooth_noise(rng, grid.shape_zyx, 40.0 / grid.step_mm)
    return np.asarray(traits.skull_mm * (1 - 0.45 * temple) * uneven, dtype=np.float32)


def _scalp_mm(grid: HeadGrid, traits: HeadTraits) -> Array:
    """Return the thickness of the scalp, with the temporal muscle and the neck."""
    x, y, z = grid.x, grid.y, grid.z
    temple = np.exp(-(((z + 22) / 28) ** 2) - ((y + 12) / 34) ** 2) * sigmoid((np.abs(x) - 40) / 5)
    nape = sigmoid((-28 - z) / 6) * sigmoid((y - 40) / 8)
    return np.asarray(traits.scalp_mm + 9 * temple + 12 * nape, dtype=np.float32)


def _face(grid: HeadGrid) -> NDArray[np.bool_]:
    """Return the voxels of face, cheeks and neck."""
    x, y, z = grid.x, grid.y, grid.z
    face = ellipsoid(x, y, z, center=(0, -28, -52), radii_mm=(66, 62, 46), exponent=2.3)
    nose = ellipsoid(x, y, z, center=(0, -88, -58), radii_mm=(13, 16, 20))
    neck = ellipsoid(x, y, z, center=(0, 32, -80), radii_mm=(66, 62, 45), exponent=2.4)
    return np.asarray((face < 0) | (nose < 0) | (neck < 0))


def _soft_parts(rng: np.random.Generator, grid: HeadGrid, skin_depth: Array) -> Array:
    """Return skin, fat and muscle, air outside."""
    x, y, z = grid.x, grid.y, grid.z
    muscle = sigmoid((-20 - z) / 7) * sigmoid((skin_depth - 6) / 1.0)
    temple = np.exp(-(((z + 20) / 26) ** 2) - ((y + 12) / 36) ** 2) * sigmoid((np.abs(x) - 40) / 5)
    muscle = np.maximum(muscle, sigmoid((temple - 0.4) * 14) * sigmoid((skin_depth - 5) / 0.8))
    muscle *= sigmoid((smooth_noise(rng, grid.shape_zyx, 17.0) + 1.1) * 5)
    hu = np.full(grid.shape_zyx, AIR_HU, dtype=np.float32)
    tissue = FAT_HU + muscle * (MUSCLE_HU - FAT_HU)
    blend(tissue, inside(skin_depth - 2.0), SKIN_HU)
    blend(hu, inside(-skin_depth), tissue)
    return hu


def _add_vault(
    rng: np.random.Generator, grid: HeadGrid, hu: Array, depth: Array, traits: HeadTraits
) -> None:
    """Add the bone around the cavity: two tables and the diploe between, thick at the base."""
    wall = double(_wall_mm(rng, grid.thinned(), traits), grid.shape_zyx)
    base = sigmoid((-14 - grid.z) / 3) * sigmoid((60 - grid.y) / 6)
    wall += base * (2.5 + 2.5 * smooth_noise(rng, grid.shape_zyx, 22.0))
    roof = sigmoid((-15 - grid.z) / 2) * sigmoid((-28 - grid.y) / 3)
    wall = np.asarray(np.maximum(wall * (1 - roof) + 2.2 * roof, 1.5), dtype=np.float32)
    middle = depth / wall  # -1 at the outer table, 0 at the inner
    marrow = 420 + 170 * smooth_noise(rng, grid.shape_zyx, 7.0)
    table = np.abs(middle + 0.5) * 2
    bone = marrow + (1250 - marrow) * sigmoid((table - 0.52) * 12)
    blend(hu, inside(np.maximum(depth, -depth - wall)), np.asarray(bone, dtype=np.float32))
    _add_petrous(rng, grid, hu, depth)


def _add_petrous(rng: np.random.Generator, grid: HeadGrid, hu: Array, depth: Array) -> None:
    """Add the petrous pyramids, the mastoids with their cells, and the clivus."""
    for side in (-1, 1):
        box = grid.box(
            (side * 78 if side < 0 else 4, 0, -68), (side * 78 if side > 0 else -4, 55, -18)
        )
        x, y, z = grid.at(box)
        outside = inside(depth[box])
        pyramid = tube(
            x,
            y,
            z,
            path=((side * 11, 12, -36), (side * 34, 22, -37), (side * 56, 30, -40)),
            radii_mm=[6.5, 8.5, 11.0],
        )
        dense = 1250 + 330 * smooth_noise(rng, x.shape, 6.0)
        blend(hu[box], inside(pyramid) * outside, np.asarray(dense, dtype=np.float32))
        mastoid = ellipsoid(x, y, z, center=(side * 55, 34, -48), radii_mm=(12, 14, 18))
        cells = sigmoid(4 * (smooth_noise(rng, x.shape, 5.5) - 0.1 + 0.12 * mastoid))
        honeycomb = np.asarray(800 - 1500 * cells, dtype=np.float32)
        blend(hu[box], inside(mastoid) * outside, honeycomb)
        canal = tube(x, y, z, path=((side * 48, 22, -38), (side * 78, 20, -41)), radii_mm=[3, 3.5])
        blend(hu[box], inside(canal) * outside, AIR_HU)
    box = grid.box((-16, -6, -68), (16, 24, -22))
    x, y, z = grid.at(box)
    clivus = tube(x, y, z, path=((0, 2, -28), (0, 16, -62)), radii_mm=[9, 8])
    spongy = np.asarray(420 + 150 * smooth_noise(rng, x.shape, 6.0), dtype=np.float32)
    blend(hu[box], inside(clivus) * inside(depth[box]), spongy)


def _add_face(rng: np.random.Generator, grid: HeadGrid, hu: Array, skin_depth: Array) -> None:
    """Add facial bone, air sinuses and orbits."""
    box = grid.box((-72, -95, -76), (72, 6, 12))
    x, y, z = grid.at(box)
    part, width = hu[box], np.abs(x)
    deep = inside(10 - skin_depth[box], 3.0)
    frame = ellipsoid(x, y, z, center=(0, -34, -46), radii_mm=(50, 46, 34), exponent=2.4)
    patchy = sigmoid((smooth_noise(rng, x.shape, 16.0) - 0.7) * 6) * inside(frame) * deep
    blend(part, np.asarray(patchy, dtype=np.float32), 550.0)
    arch = tube(
        width,
        y,
        z,
        path=((44, -62, -44), (62, -40, -46), (66, -8, -44), (60, 6, -42)),
        radii_mm=[4.5, 3.0, 2.5, 3.5],
    )
    blend(part, inside(arch), 900.0)
    ethmoid = ellipsoid(x, y, z, center=(0, -48, -38), radii_mm=(13, 26, 15), exponent=4)
    walls = np.abs(smooth_noise(rng, x.shape, 11.0)) * 2.4
    cells = np.asarray(-950 + 1150 * np.exp(-(walls**2) * 4), dtype=np.float32)
    blend(part, inside(ethmoid), cells)
    air = np.minimum(
        ellipsoid(width, y, z, center=(7.5, -14, -36), radii_mm=(7, 9, 9)),
        ellipsoid(width, y, z, center=(29, -54, -64), radii_mm=(14, 15, 15)),
    )
    frontal = rng.uniform(-0.35, 0.9, 2)
    for side, excess in zip((-1, 1), frontal, strict=True):
        if excess > 0:
            size = excess + 0.35
            lobe = ellipsoid(
                x,
                y,
                z,
                center=(side * 11, -76, -12 + 4 * size),
                radii_mm=(11 * size, 2.6, 13 * size),
            )
            air = np.minimum(air, lobe)
    blend(part, inside(air - 2.0), 750.0)
    blend(part, inside(air), AIR_HU)
    _add_orbits(grid, hu)


def _add_orbits(grid: HeadGrid, hu: Array) -> None:
    for side in (-1, 1):
        low, high = sorted((side * 8, side * 58))
        box = grid.box((low, -90, -62), (high, -8, -10))
        x, y, z = grid.at(box)
        part = hu[box]
        apex, eye = (side * 13, -20, -27), (side * 33, -68, -37)
        cone = tube(x, y, z, path=(apex, (side * 30, -52, -36), eye), radii_mm=[4, 15, 17])
        inner = inside(cone)
        blend(part, inside(cone - 2.0) * sigmoid(y + 70), 800.0)
        blend(part, inner * sigmoid(y + 84), FAT_HU)
        for dx, dz in ((13, 0), (-13, 0), (0, 12), (0, -12)):
            end = (side * 31 + dx, -64, -37 + dz)
            middle = (side * 25 + dx * 0.8, -46, -34 + dz * 0.8)
            muscle = tube(x, y, z, path=(apex, middle, end), radii_mm=[1.5, 2.4, 1.5])
            blend(part, inside(muscle), 50.0)
        nerve = tube(x, y, z, path=(apex, (side * 31, -56, -37)), radii_mm=[2.3, 2.3])
        blend(part, inside(nerve), 35.0)
        globe = ellipsoid(x, y, z, center=eye, radii_mm=(12, 12, 12))
        blend(part, inside(globe - 0.8), 55.0)
        blend(part, inside(globe + 0.8), 11.0)
        lens = ellipsoid(x, y, z, center=(side * 33, -76, -37), radii_mm=(4.5, 2.2, 4.5))
        blend(part, inside(lens), 75.0)


def _add_ears(rng: np.random.Generator, grid: HeadGrid, hu: Array) -> None:
    for side in (-1, 1):
        low, high = sorted((side * 66, side * 98))
        box = grid.box((low, 5, -68), (high, 60, -8))
        x, y, z = grid.at(box)
        lean = (y - 24) * 0.5 * side
        shell = ellipsoid(x - lean, y, z, center=(side * 80, 28, -36), radii_mm=(2.6, 15, 26))
        folds = inside(shell + 1.5 * smooth_noise(rng, x.shape, 10.0))
        part = hu[box]
        part[...] = np.maximum(part, AIR_HU + (20.0 - AIR_HU) * folds)
