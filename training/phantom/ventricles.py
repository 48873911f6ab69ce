"""The ventricles and the cisterns around the brain stem."""

import numpy as np

from training.phantom.fields import Array, ellipsoid, tube

_LATERAL_PATH = (
    (9.5, -31, 1), (9.5, -20, 9), (7.0, -4, 15), (12, 12, 23), (19, 28, 22), (25, 42, 11),
    (23, 62, 5),
)  # fmt: skip
_LATERAL_RADII_MM = (2.5, 4.6, 4.0, 4.2, 5.0, 7.0, 2.2)
_TEMPORAL_PATH = ((25, 42, 11), (33, 26, -8), (32, 8, -18), (28, -2, -21))
_TEMPORAL_RADII_MM = (6.0, 2.6, 2.0, 1.4)


def lateral_ventricle(
    x: Array, y: Array, z: Array, *, side: int, scale: float, horn_scale: float
) -> Array:
    """Return the signed distance to one lateral ventricle, in template mm.

    Parameters
    ----------
    x, y, z : ndarray of float32
        Template coordinates.
    side : int
        1 for the patient's left, -1 for the right.
    scale : float
        Factor on every radius.
    horn_scale : float
        Further factor on the radius of the occipital horn, which varies most.
    """
    own = x * np.float32(side)
    radii = [radius * scale for radius in _LATERAL_RADII_MM]
    radii[-1] *= horn_scale
    # The body widens to lateral, not into the septum: shift the path with the radius.
    spread = 2.2 * (scale - 1)
    path = tuple((px + spread, py, pz) for px, py, pz in _LATERAL_PATH)
    body = tube(own, y, z, path=path, radii_mm=radii)
    temporal_path = tuple((px + spread, py, pz) for px, py, pz in _TEMPORAL_PATH)
    temporal = tube(
        own, y, z, path=temporal_path, radii_mm=[radius * scale for radius in _TEMPORAL_RADII_MM]
    )
    # The septum keeps the two sides apart.
    return np.asarray(np.maximum(np.minimum(body, temporal), 0.9 - own), dtype=np.float32)


def midline_ventricles(x: Array, y: Array, z: Array, *, scale: float) -> Array:
    """Return the signed distance to third ventricle, aqueduct and fourth ventricle."""
    third = ellipsoid(
        x, y, z, center=(0, 13, 0), radii_mm=(2.4 * scale**1.4, 15, 12), exponent=2.5
    )
    aqueduct = tube(x, y, z, path=((0, 29, -4), (0, 36, -16), (0, 42, -26)), radii_mm=[0.9] * 3)
    fourth = ellipsoid(
        x, y, z, center=(0, 45, -34), radii_mm=(6.5 * scale**0.5, 5.0 * scale**0.5, 11)
    )
    return np.minimum(np.minimum(third, aqueduct), fourth)


def brain_stem(x: Array, y: Array, z: Array) -> Array:
    """Return the signed distance to midbrain, pons and medulla."""
    midbrain = tube(x, y, z, path=((0, 22, -8), (0, 25, -20)), radii_mm=[14.5, 14.0])
    peduncles = tube(np.abs(x), y, z, path=((12, 10, -8), (8, 16, -20)), radii_mm=[6.0, 7.0])
    pons = ellipsoid(x, y, z, center=(0, 27, -33), radii_mm=(18, 14, 15))
    medulla = tube(x, y, z, path=((0, 34, -46), (0, 40, -80)), radii_mm=[9.5, 6.5])
    return np.minimum(np.minimum(midbrain, peduncles), np.minimum(pons, medulla))


def basal_cisterns(x: Array, y: Array, z: Array, *, atrophy: float) -> Array:
    """Return the signed distance to the cisterns above the tentorium."""
    width = np.abs(x)
    wide = 1 + 0.5 * atrophy
    suprasellar = ellipsoid(
        x, y, z, center=(0, -3, -19), radii_mm=(15 * wide**0.5, 13, 7), exponent=1.6
    )
    stem = tube(
        width, y, z, path=((8, -8, -19), (26, -10, -15), (37, -8, -9)), radii_mm=[2.2 * wide] * 3
    )
    around = np.maximum(np.abs(brain_stem(x, y, z) - 1.2 * wide) - 1.2 * wide, np.abs(z + 13) - 8)
    colliculi = ellipsoid(x, y, z, center=(0, 41, -5), radii_mm=(11, 4.0 * wide, 7), exponent=1.8)
    nearest = np.minimum(np.minimum(suprasellar, stem), np.minimum(around, colliculi))
    return np.asarray(nearest, dtype=np.float32)
