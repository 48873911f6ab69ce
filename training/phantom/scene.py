"""The head at the moment of a scan: anatomy pushed aside, hematoma and oedema in place."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.phantom.fields import Array, Point, blend, inside, sample, upsample
from training.phantom.head_grid import ORIGIN_ZYX_MM, Box
from training.phantom.hematoma import HematomaShape
from training.phantom.labels import Label
from training.phantom.lesion_plan import LesionPlan
from training.phantom.scanner import Lattice, Protocol, to_slices
from training.phantom.skull import AIR_HU

#: Share of the hematoma's volume that displaces brain; the rest dissects or destroys it.
DISPLACING_SHARE = 0.8

#: A voxel belongs to what fills at least this share of it.
HALF = 0.5

#: Every n-th point of the lattice at which displacement is computed.
_COARSE_STEP = 8


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Head:
    """A patient's head before the bleeding, and the bleeding's fields.

    Attributes
    ----------
    hu_zyx, depth_mm, ventricle, extra_axial : ndarray of float32, shape (Z, Y, X)
        Density, depth below the skull, shares of ventricle and of blood outside the brain, on
        the head grid.
    plan : LesionPlan or None
        The hematoma; None where the patient has none.
    center_mm : Point
        Its centre (x, y, z) in head mm.
    shape : HematomaShape or None
        Its fields on `box`.
    box : Box
        Part of the head grid that holds hematoma and oedema.
    allowed : ndarray of float32
        Share of each voxel in `box` into which blood may spread.
    ventricle_fill : ndarray of float32, shape (Z, Y, X)
        Share of the fluid in each ventricle voxel that blood replaces.
    """

    hu_zyx: Array
    depth_mm: Array
    ventricle: Array
    extra_axial: Array
    plan: LesionPlan | None
    center_mm: Point
    shape: HematomaShape | None
    box: Box
    allowed: Array
    ventricle_fill: Array


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Exposure:
    """One scan before kernel and noise.

    Attributes
    ----------
    hu_zyx : ndarray of float32, shape (Z, 512, 512)
        Hounsfield units.
    labels_zyx : ndarray of uint8, shape (Z, 512, 512)
        Codes of `Label`.
    """

    hu_zyx: Array
    labels_zyx: NDArray[np.uint8]


def expose(head: Head, lattice: Lattice, protocol: Protocol, *, is_follow_up: bool) -> Exposure:
    """Return the slices of a head and what each voxel is."""
    points = _indices(lattice)
    pulled = _displaced(head, points, is_follow_up=is_follow_up)
    hu = sample(head.hu_zyx, pulled, AIR_HU)
    shares: dict[Label, Array] = {}
    if head.extra_axial.any():
        shares[Label.EXTRA_AXIAL] = _sample_where_any(head.extra_axial, pulled)
    if head.shape is not None and head.plan is not None:
        _bleed(head, points, pulled, hu, shares, is_follow_up=is_follow_up)
    picture = to_slices(hu, lattice, protocol, outside=AIR_HU)
    return Exposure(hu_zyx=picture, labels_zyx=_labels(shares, lattice, protocol, picture.shape))


def _indices(lattice: Lattice) -> Array:
    """Return the head grid's indices of the lattice's points, shape (3, planes, rows, columns).

    What a tilted scan sees below the grid continues the lowest plane: the neck goes on.
    """
    points = np.stack(
        [
            axis - np.float32(first)
            for axis, first in zip((lattice.z, lattice.y, lattice.x), ORIGIN_ZYX_MM, strict=True)
        ]
    )
    np.maximum(points[0], 0, out=points[0])
    return points


def _sample_where_any(values: Array, points: Array) -> Array:
    """Return the samples of a field that is zero but in a part of the head."""
    slices = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        used = np.flatnonzero(values.any(axis=others))
        slices.append(slice(int(used[0]), int(used[-1]) + 1) if used.size else slice(0, 1))
    part = _part_of_lattice(points, (slices[0], slices[1], slices[2]))
    return _placed(sample(values, points[:, *part], 0.0), part, points.shape[1:])


def _displaced(head: Head, points: Array, *, is_follow_up: bool) -> Array:
    """Return where the tissue now at each point was before the hematoma pushed it.

    A ball that opens in incompressible tissue moves what was at radius s to
    (s^3 + R^3)^(1/3). The movement fades towards the skull, which does not yield.
    """
    if head.shape is None or head.plan is None:
        return points
    ball = head.shape.follow_up_radius_mm if is_follow_up else head.shape.radius_mm
    shape = points.shape[1:]
    picks = [np.linspace(0, n - 1, max(4, n // _COARSE_STEP)).round().astype(int) for n in shape]
    lattice = np.stack([axis[np.ix_(*picks)] for axis in points])
    center = np.array(head.center_mm[::-1], dtype=np.float32) - np.array(ORIGIN_ZYX_MM)
    away = lattice - center[:, None, None, None].astype(np.float32)
    away /= np.array(head.plan.elongation[::-1], dtype=np.float32)[:, None, None, None] ** 0.5
    radius = np.sqrt((away**2).sum(axis=0)) + np.float32(1e-3)
    before = np.maximum(radius**3 - DISPLACING_SHARE * ball**3, 0) ** (1 / 3)
    depth = sample(head.depth_mm, lattice, -20.0)
    yielding = np.clip(depth / (np.maximum(depth, 0) + 7), 0, 1)
    far = np.exp(-((radius / (3.2 * ball + 25)) ** 2))
    shift = (radius - before) / radius * yielding * far
    return np.asarray(
        points - np.stack([upsample(part * shift, shape) for part in away]), dtype=np.float32
    )


def _bleed(
    head: Head,
    points: Array,
    pulled: Array,
    hu: Array,
    shares: dict[Label, Array],
    *,
    is_follow_up: bool,
) -> None:
    """Draw oedema, intraventricular blood and hematoma into the sampled head."""
    if head.shape is None or head.plan is None:
        return
    ventricle = _ventricle_blood(head, pulled, hu, shares)
    part = _part_of_lattice(points, head.box)
    local = (
        points[:, *part] - np.array([s.start for s in head.box], np.float32)[:, None, None, None]
    )
    surface = sample(
        head.shape.follow_up_mm if is_follow_up else head.shape.baseline_mm, local, 99.0
    )
    # Where the two overlap by much, the hematoma has bulged into the ventricle and closed it.
    kept = ventricle[part] * inside(-1.5 - surface, 3.0)
    allowed = sample(head.allowed, local, 0.0) * (1 - kept)
    edema = sample(head.shape.edema_mm, local, 0.0) * (1.25 if is_follow_up else 1.0)
    tissue = inside(18 - hu[part], 8.0) * inside(hu[part] - 60, 8.0)
    watery = inside(surface - edema, 3.0) * allowed * tissue
    hu[part] -= watery * np.clip(hu[part] - 19, 0, 14)
    blood = inside(surface, head.plan.edge_mm) * allowed
    blend(hu[part], blood, sample(head.shape.blood_hu, local, head.plan.blood_hu))
    shares[Label.HEMATOMA] = _placed(inside(surface, 1.0) * allowed, part, hu.shape)
    shares[Label.EDEMA] = _placed(watery, part, hu.shape)
    for label in (Label.INTRAVENTRICULAR, Label.EXTRA_AXIAL):
        if label in shares:
            shares[label][part] *= 1 - blood


def _ventricle_blood(head: Head, pulled: Array, hu: Array, shares: dict[Label, Array]) -> Array:
    """Return the share of ventricle, after filling it with as much blood as the plan says."""
    if head.plan is None:
        return np.zeros(hu.shape, dtype=np.float32)
    ventricle = _sample_where_any(head.ventricle, pulled)
    if head.plan.reaches_ventricle:
        filled = _sample_where_any(head.ventricle * head.ventricle_fill, pulled)
        blend(hu, filled, head.plan.blood_hu - 6.0)
        shares[Label.INTRAVENTRICULAR] = filled
    return ventricle


def _part_of_lattice(points: Array, box: Box) -> Box:
    """Return the smallest part of the lattice that holds a box of the head grid."""
    held = np.ones(points.shape[1:], dtype=bool)
    for axis, side in zip(points, box, strict=True):
        held &= (axis >= side.start) & (axis <= side.stop - 1)
    slices = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        used = np.flatnonzero(held.any(axis=others))
        slices.append(slice(int(used[0]), int(used[-1]) + 1) if used.size else slice(0, 1))
    return (slices[0], slices[1], slices[2])


def _placed(part: Array, where: Box, shape: tuple[int, ...]) -> Array:
    whole = np.zeros(shape, dtype=np.float32)
    whole[where] = part
    return whole


def _labels(
    shares: dict[Label, Array], lattice: Lattice, protocol: Protocol, shape: tuple[int, ...]
) -> NDArray[np.uint8]:
    """Return the label that fills at least half of each voxel; blood goes before oedema."""
    labels = np.zeros(shape, dtype=np.uint8)
    for label in (Label.EDEMA, Label.EXTRA_AXIAL, Label.INTRAVENTRICULAR, Label.HEMATOMA):
        if label in shares:
            _mark(labels, label, shares[label], lattice, protocol)
    return labels


def _mark(
    labels: NDArray[np.uint8], label: Label, share: Array, lattice: Lattice, protocol: Protocol
) -> None:
    """Set a label where its share fills half of a voxel; works only where there is any."""
    slabs = np.flatnonzero(share.any(axis=(1, 2))) // lattice.planes_per_slice
    if not slabs.size:
        return
    part = slice(int(slabs[0]), int(slabs[-1]) + 1)
    planes = share[part.start * lattice.planes_per_slice : part.stop * lattice.planes_per_slice]
    filled = to_slices(planes, lattice, protocol, outside=0.0) >= HALF
    labels[part][filled] = label
