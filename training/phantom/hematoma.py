"""The shape and the inside of a hematoma, as fields on a box of the head grid."""

from dataclasses import dataclass

import numpy as np

from training.phantom.fields import Array, Point, ellipsoid, inside, sigmoid, smooth_noise
from training.phantom.lesion_plan import LesionPlan

#: Clot that is no longer fresh enough to stand out from grey matter by much.
FAINTEST_CLOT_HU = 44.0

#: A voxel may bleed where at least this share of it is allowed to.
HALF = 0.5

Coordinates = tuple[Array, Array, Array]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HematomaShape:
    """Fields of one hematoma on a box of 1 mm voxels, for both scans.

    Attributes
    ----------
    baseline_mm, follow_up_mm : ndarray of float32, shape (Z, Y, X)
        Rough signed distance to the surface at each scan, negative inside.
    blood_hu : ndarray of float32, shape (Z, Y, X)
        Density of the clot.
    edema_mm : ndarray of float32, shape (Z, Y, X)
        Local thickness of the oedema around the surface.
    radius_mm : float
        Radius of a ball of the baseline volume.
    follow_up_radius_mm : float
        The same at the second scan.
    """

    baseline_mm: Array
    follow_up_mm: Array
    blood_hu: Array
    edema_mm: Array
    radius_mm: float
    follow_up_radius_mm: float


def ball_radius_mm(volume_ml: float) -> float:
    """Return the radius of a ball of given volume."""
    return float((3000 * volume_ml / (4 * np.pi)) ** (1 / 3))


def shape_hematoma(
    rng: np.random.Generator,
    coordinates: Coordinates,
    plan: LesionPlan,
    *,
    center: Point,
    follow_up_ml: float,
    allowed: Array,
    voxel_ml: float = 0.001,
) -> HematomaShape:
    """Return a hematoma that fills its planned volume within the allowed space.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    coordinates : tuple of ndarray
        x, y, z of the voxels in mm, each of shape (Z, Y, X), on a 1 mm grid.
    plan : LesionPlan
        What to shape.
    center : Point
        Bleeding point in the frame of `coordinates`.
    follow_up_ml : float
        Volume at the second scan.
    allowed : ndarray of float32, shape (Z, Y, X)
        Share of each voxel into which blood may spread.
    voxel_ml : float
        Volume of one voxel.
    """
    radius = ball_radius_mm(plan.volume_ml)
    outline = _outline(rng, coordinates, plan, center, radius)
    later = outline + _uneven_growth(rng, coordinates, center, radius)
    baseline = _fitted(outline, allowed, plan.volume_ml / voxel_ml)
    follow_up = _fitted(np.asarray(later), allowed, follow_up_ml / voxel_ml)
    depth = -baseline
    return HematomaShape(
        baseline_mm=baseline,
        follow_up_mm=follow_up,
        blood_hu=_density(rng, coordinates, plan, center=center, radius=radius, depth=depth),
        edema_mm=np.asarray(
            plan.edema_mm * (1 + 0.45 * smooth_noise(rng, outline.shape, 14.0)), dtype=np.float32
        ),
        radius_mm=radius,
        follow_up_radius_mm=ball_radius_mm(follow_up_ml),
    )


def _outline(
    rng: np.random.Generator,
    coordinates: Coordinates,
    plan: LesionPlan,
    center: Point,
    radius: float,
) -> Array:
    """Return lumps deformed by noise, as a distance in mm whose zero is not yet fitted."""
    x, y, z = _turned(coordinates, center, plan.yaw_deg)
    lump_radius = radius * plan.lobes**-0.22
    nearest: Array | None = None
    for lobe in range(plan.lobes):
        offset = rng.normal(0, 0.55, 3) * radius * np.asarray(plan.elongation) * (lobe > 0)
        size = lump_radius * (1.0 if lobe == 0 else rng.uniform(0.55, 0.9))
        lump = ellipsoid(
            x, y, z,
            center=(float(offset[0]), float(offset[1]), float(offset[2])),
            radii_mm=(
                size * plan.elongation[0], size * plan.elongation[1], size * plan.elongation[2],
            ),
        )  # fmt: skip
        nearest = lump if nearest is None else _smooth_minimum(nearest, lump, 0.12 * radius)
    if nearest is None:
        raise ValueError(f"A hematoma has at least one lobe, got {plan.lobes}")
    amplitude = plan.signs.irregularity * radius
    coarse = max(0.95 * radius, 6.0)
    nearest += np.float32(amplitude * 0.8) * smooth_noise(rng, x.shape, coarse)
    nearest += np.float32(amplitude * 0.35) * smooth_noise(rng, x.shape, max(0.4 * radius, 4.0))
    if plan.signs.satellite:
        nearest = np.minimum(nearest, _satellites(rng, (x, y, z), plan, radius))
    return np.asarray(nearest, dtype=np.float32)


def _turned(coordinates: Coordinates, center: Point, yaw_deg: float) -> Coordinates:
    x, y, z = (axis - np.float32(c) for axis, c in zip(coordinates, center, strict=True))
    cosine, sine = np.float32(np.cos(np.radians(yaw_deg))), np.float32(np.sin(np.radians(yaw_deg)))
    return cosine * x + sine * y, cosine * y - sine * x, z


def _smooth_minimum(first: Array, second: Array, softness_mm: float) -> Array:
    gap = np.clip(0.5 + 0.5 * (second - first) / max(softness_mm, 0.5), 0, 1)
    mixed = second + (first - second) * gap
    return np.asarray(mixed - max(softness_mm, 0.5) * gap * (1 - gap), dtype=np.float32)


def _satellites(
    rng: np.random.Generator, coordinates: Coordinates, plan: LesionPlan, radius: float
) -> Array:
    """Return small bleeds separate from the main one (satellite sign: 1 to 20 mm beside it)."""
    x, y, z = coordinates
    nearest: Array | None = None
    for _ in range(int(rng.integers(1, 4))):
        direction = rng.normal(0, 1, 3) * np.array([1, 1, 0.5])
        direction /= np.linalg.norm(direction)
        size = rng.uniform(2.2, 4.5)
        reach = direction * (
            radius * np.asarray(plan.elongation) * 1.15 + size + rng.uniform(2, 6)
        )
        spot = ellipsoid(
            x, y, z, center=(float(reach[0]), float(reach[1]), float(reach[2])),
            radii_mm=(size, size * rng.uniform(0.8, 1.4), size),
        )  # fmt: skip
        nearest = spot if nearest is None else np.minimum(nearest, spot)
    if nearest is None:
        raise ValueError("No satellite was drawn")
    return nearest


def _uneven_growth(
    rng: np.random.Generator, coordinates: Coordinates, center: Point, radius: float
) -> Array:
    """Return how much less the surface moves in some directions than in others, in mm."""
    x, y, z = (axis - np.float32(c) for axis, c in zip(coordinates, center, strict=True))
    direction = rng.normal(0, 1, 3)
    direction /= np.linalg.norm(direction)
    along = (x * direction[0] + y * direction[1] + z * direction[2]) / np.float32(radius)
    return np.asarray(-0.12 * radius * np.tanh(along), dtype=np.float32)


def _fitted(outline: Array, allowed: Array, voxels: float) -> Array:
    """Return the outline shifted so that it encloses so many allowed voxels."""
    candidates = np.sort(outline[allowed > HALF])
    if candidates.size == 0:
        return outline + np.float32(1e3)
    index = int(np.clip(round(voxels), 1, candidates.size - 1))
    fitted = outline - candidates[index]
    # Noise has changed the slope; divide by it, so that values near the surface are mm again.
    slopes = np.gradient(fitted)
    steepness = np.sqrt(slopes[0] ** 2 + slopes[1] ** 2 + slopes[2] ** 2)
    return np.asarray(fitted / np.clip(steepness, 0.6, 2.5), dtype=np.float32)


def _density(
    rng: np.random.Generator,
    coordinates: Coordinates,
    plan: LesionPlan,
    *,
    center: Point,
    radius: float,
    depth: Array,
) -> Array:
    """Return the density of the clot with the signs that it shows, in HU."""
    x, y, z = _turned(coordinates, center, 0.0)
    signs = plan.signs
    hu = np.full(depth.shape, plan.blood_hu, dtype=np.float32)
    hu += np.float32(2.2) * smooth_noise(rng, depth.shape, 9.0)
    hu += np.asarray(3.0 * np.tanh((depth - 3) / 4), dtype=np.float32)  # denser core
    if signs.blend:
        angle = rng.uniform(0, 2 * np.pi)
        plane = x * np.float32(np.cos(angle)) + y * np.float32(np.sin(angle))
        plane += 0.25 * radius * smooth_noise(rng, depth.shape, max(radius, 8.0))
        hu -= np.float32(rng.uniform(19, 26)) * sigmoid(
            (plane - rng.uniform(0, 0.35) * radius) / 0.6
        )
    if signs.swirl:
        whorl = np.abs(smooth_noise(rng, depth.shape, max(0.8 * radius, 9.0)))
        hu -= np.float32(rng.uniform(13, 22)) * np.exp(-np.asarray((whorl / 0.28) ** 2))
    # The darker parts of these signs are still denser than brain.
    np.maximum(hu, FAINTEST_CLOT_HU, out=hu)
    if signs.black_hole:
        hu -= np.float32(rng.uniform(29, 36)) * _hole(rng, (x, y, z), depth, radius)
    if signs.fluid_level:
        level = sigmoid((y + rng.uniform(-0.2, 0.2) * radius) / 0.5)
        hu += np.asarray(-16 + 22 * level, dtype=np.float32)
    return np.clip(hu, 28, 92)


def _hole(
    rng: np.random.Generator, coordinates: Coordinates, depth: Array, radius: float
) -> Array:
    """Return a dark spot that lies wholly inside (black hole sign)."""
    size = float(np.clip(rng.uniform(0.22, 0.34) * radius, 2.0, 7.0))
    deep = np.flatnonzero(depth > size + 1.5)
    spot = int(rng.choice(deep)) if deep.size else int(np.argmax(depth))
    center = tuple(float(axis.ravel()[spot]) for axis in coordinates)
    x, y, z = coordinates
    hole = ellipsoid(
        x, y, z, center=(center[0], center[1], center[2]),
        radii_mm=(size, size * rng.uniform(0.8, 1.3), size * rng.uniform(0.9, 1.5)),
    )  # fmt: skip
    return inside(hole, 1.5)
