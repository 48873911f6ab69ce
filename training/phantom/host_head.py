"""A host's anatomy on the head grid, ready to bleed."""

import numpy as np
from scipy import ndimage  # type: ignore[import-untyped] # scipy ships no types

from training.phantom.brain import Brain, below_tentorium
from training.phantom.fields import Array, blend, happens, inside, sigmoid, smooth_noise
from training.phantom.head_grid import HeadGrid
from training.phantom.host import Host
from training.phantom.skull import build_skull
from training.phantom.traits import HeadTraits

#: Smoothed density below which a deep voxel counts as ventricle: half way from fluid to brain.
_VENTRICLE_HU = 17.0


def host_brain(rng: np.random.Generator, grid: HeadGrid, traits: HeadTraits, host: Host) -> Brain:
    """Return the host's head on the grid, mirrored at random.

    A host without skull gets a simulated one.
    """
    mirrored = happens(rng, 0.5)
    hu, depth = host.sample((grid.x, grid.y, grid.z), mirrored=mirrored)
    if not host.has_skull:
        hu, depth = _in_simulated_skull(rng, grid, traits, hu, depth)
    smooth = ndimage.gaussian_filter(hu, 1.6)
    near_middle = inside(
        np.maximum(np.abs(grid.x) - 40, np.maximum(np.abs(grid.y - 18) - 58, np.abs(grid.z) - 36)),
        4.0,
    )
    ventricle = sigmoid((_VENTRICLE_HU - smooth) / 2) * inside(16 - depth, 4.0) * near_middle
    return Brain(
        hu_zyx=hu,
        depth_mm=depth,
        ventricle=np.asarray(ventricle, dtype=np.float32),
        infratentorial=below_tentorium(grid.x, grid.y, grid.z),
        fluid_mm=np.asarray((smooth - _VENTRICLE_HU) / 6, dtype=np.float32),
    )


def grain_hu(brain: Brain) -> float:
    """Return the standard deviation of the noise that the host brings along."""
    box = tuple(slice(length // 3, 2 * length // 3) for length in brain.hu_zyx.shape)
    core = brain.hu_zyx[box]
    residual = core - ndimage.gaussian_filter(core, 1.5)
    within = residual[brain.depth_mm[box] > 5]  # noqa: PLR2004 - clear of bone
    # 1.4826 times the median deviation estimates a normal standard deviation.
    return float(1.4826 * np.median(np.abs(within))) if within.size else 0.0


def _in_simulated_skull(
    rng: np.random.Generator, grid: HeadGrid, traits: HeadTraits, hu: Array, depth: Array
) -> tuple[Array, Array]:
    skull = build_skull(rng, grid, traits)
    # An average brain has lost its grain: give some back.
    tissue = hu + traits.white_hu - 30 + 1.2 * smooth_noise(rng, hu.shape, 7.0)
    share = inside(1.5 - depth, 1.5) * inside(1.0 - skull.depth_mm)
    blend(skull.hu_zyx, share, np.asarray(tissue, dtype=np.float32))
    return skull.hu_zyx, skull.depth_mm
