"""Sulci and gyri: how far each voxel of the cerebrum is from fluid."""

import numpy as np
from scipy import ndimage  # type: ignore[import-untyped] # scipy ships no types

from training.phantom.fields import Array, double, sigmoid, smooth_noise
from training.phantom.head_grid import HeadGrid
from training.phantom.traits import HeadTraits

#: Thickness of the cortical ribbon as CT shows it.
CORTEX_MM = 3.4


def fluid_distance(
    rng: np.random.Generator, grid: HeadGrid, depth_mm: Array, traits: HeadTraits
) -> Array:
    """Return the signed distance to sulci, fissures and the space around the cerebrum, in mm.

    Negative in fluid. Sulci are sheets normal to the surface: zero crossings of smooth noise
    that does not change along the radius.
    """
    thin = grid.thinned()
    atrophy = np.float32(traits.atrophy)
    reach = _surface_coordinates(thin)
    depth_thin = depth_mm[::2, ::2, ::2]
    primary = _sheets(rng, thin, reach, wavelength_mm=25.0)
    secondary = _sheets(rng, thin, reach, wavelength_mm=15.0)
    floor = 21 + 6 * smooth_noise(rng, thin.shape_zyx, 20.0)
    width = 0.12 + 1.15 * atrophy + 0.2 * smooth_noise(rng, thin.shape_zyx, 25.0)
    # A sulcus narrows with depth and closes at its floor.
    open_to = 1 - depth_thin / np.maximum(floor, 6)
    sulcus = primary - np.where(open_to > 0, width * (0.35 + open_to), open_to * 14)
    open_to = 1 - depth_thin / np.maximum(0.65 * floor, 5)
    minor = secondary - np.where(open_to > 0, width * (0.1 + 0.8 * open_to), open_to * 14)
    sulcus = np.minimum(sulcus, minor)
    sulcus = np.minimum(sulcus, _insula(rng, thin, atrophy))
    distance = double(np.asarray(sulcus, dtype=np.float32), grid.shape_zyx)
    rim = 0.4 + 2.4 * atrophy * sigmoid((20 - grid.y) / 25)
    return np.minimum(distance, depth_mm - rim)


def fissure_distance(x: Array, y: Array, z: Array, *, atrophy: float) -> Array:
    """Return the signed distance to the fissure between the hemispheres, in mm."""
    # The corpus callosum and what lies under it close the fissure.
    callosum = np.sqrt(((y - 6) / 43) ** 2 + ((z - 1) / 29) ** 2)
    below = np.maximum(callosum_gap(callosum), np.where((z + 12 < 0) & (y + 24 > 0), 9.0, -9.0))
    return np.asarray(np.maximum(np.abs(x) - (0.3 + 1.2 * atrophy), below), dtype=np.float32)


def callosum_gap(relative_radius: Array) -> Array:
    """Return the distance in mm by which a voxel lies inside the callosal ellipse."""
    return np.asarray((1.0 - relative_radius) * 34.0, dtype=np.float32)


def _surface_coordinates(grid: HeadGrid) -> tuple[Array, Array, Array]:
    """Return grid indices (z, y, x) of each voxel's projection near the brain's surface."""
    x, y, z = grid.x, (grid.y - 16), (grid.z - 4)
    radius = np.sqrt(x * x + y * y + z * z) + np.float32(1.0)
    stretch = (66 + 0.2 * (radius - 66)) / radius
    half = [length / 2 for length in grid.shape_zyx]
    return (
        np.asarray(z * stretch / grid.step_mm + half[0], dtype=np.float32),
        np.asarray(y * stretch / grid.step_mm + half[1], dtype=np.float32),
        np.asarray(x * stretch / grid.step_mm + half[2], dtype=np.float32),
    )


def _sheets(
    rng: np.random.Generator,
    grid: HeadGrid,
    reach_zyx: tuple[Array, Array, Array],
    *,
    wavelength_mm: float,
) -> Array:
    """Return the distance to the zero crossings of noise that is constant along the radius."""
    noise = smooth_noise(rng, grid.shape_zyx, wavelength_mm / grid.step_mm)
    projected = ndimage.map_coordinates(noise, reach_zyx, order=1, mode="nearest")
    slopes = np.gradient(projected, grid.step_mm)
    steepness = np.sqrt(sum(slope * slope for slope in slopes))
    return np.asarray(
        np.abs(projected) / np.maximum(steepness, 1.2 / wavelength_mm), dtype=np.float32
    )


def _insula(rng: np.random.Generator, grid: HeadGrid, atrophy: np.float32) -> Array:
    """Return the signed distance to the Sylvian fissure and the space over the insula."""
    crooked = [3.5 * smooth_noise(rng, grid.shape_zyx, 26.0 / grid.step_mm) for _ in range(3)]
    width, y, z = np.abs(grid.x) + crooked[0], grid.y + crooked[1], grid.z + crooked[2]
    rise = -9 + (np.clip(y, -18, 42) + 12) * 0.55  # the fissure climbs to posterior
    half = 0.9 + 2.0 * atrophy
    lateral = np.abs(z - rise) * 0.88 - half
    lateral = np.maximum(lateral, 37 - width)
    lateral = np.maximum(lateral, np.maximum(-22 - y, y - 42))
    cover = np.abs(width - (39 + 0.004 * (y - 2) ** 2)) - half
    cover = np.maximum(cover, np.abs(z - (rise + 5)) - 15)
    cover = np.maximum(cover, np.abs(y - 2) - 24)
    return np.asarray(np.minimum(lateral, cover), dtype=np.float32)
