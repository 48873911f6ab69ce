"""Putting a planned hematoma into a built head."""

from dataclasses import replace

import numpy as np

from training.phantom.brain import Brain
from training.phantom.fields import Array, Point, ellipsoid, inside, smooth_noise
from training.phantom.growth import Growth
from training.phantom.head_grid import ORIGIN_ZYX_MM, Box, HeadGrid, head_axes_mm
from training.phantom.hematoma import Coordinates, ball_radius_mm, shape_hematoma
from training.phantom.lesion_plan import LesionPlan, Site
from training.phantom.scene import Head


def bleed_into(
    rng: np.random.Generator,
    grid: HeadGrid,
    brain: Brain,
    extra_axial: Array,
    plan: LesionPlan | None,
    growth: Growth | None,
    *,
    grain_hu: float = 0.0,
    room_ml: float = 0.0,
) -> Head:
    """Return the head with its hematoma, or as it is if none is planned.

    `grain_hu` is the standard deviation of noise in the anatomy, which the blood then shares.
    Where `room_ml` is at least what the hematoma can grow to, the first scan is the same
    whatever becomes of it: fields are drawn on a box of that size.
    """
    nothing = np.zeros((1, 1, 1), dtype=np.float32)
    head = Head(
        hu_zyx=brain.hu_zyx,
        depth_mm=brain.depth_mm,
        ventricle=brain.ventricle,
        extra_axial=extra_axial,
        plan=None,
        center_mm=(0.0, 0.0, 0.0),
        shape=None,
        box=(slice(0, 1), slice(0, 1), slice(0, 1)),
        allowed=nothing,
        ventricle_fill=nothing,
    )
    if plan is None or growth is None:
        return head
    center = grid.to_head_mm(plan.center)
    reach = 2.2 * ball_radius_mm(max(plan.volume_ml, growth.follow_up_ml, room_ml)) + 15
    box = _box_around(center, reach, grid.shape_zyx)
    coordinates = _head_coordinates(box)
    allowed = _allowed(grid, brain, box, plan)
    shape = shape_hematoma(
        rng, coordinates, plan, center=center, follow_up_ml=growth.follow_up_ml, allowed=allowed
    )
    if grain_hu > 0:
        grain = rng.standard_normal(allowed.shape, dtype=np.float32) * np.float32(grain_hu)
        shape = replace(shape, blood_hu=shape.blood_hu + grain)
    return replace(
        head,
        plan=plan,
        center_mm=center,
        shape=shape,
        box=box,
        allowed=allowed,
        ventricle_fill=_ventricle_fill(rng, grid, plan) if plan.reaches_ventricle else nothing,
    )


def _box_around(center: Point, reach_mm: float, shape_zyx: tuple[int, int, int]) -> Box:
    slices = []
    for axis in range(3):
        middle = center[2 - axis] - ORIGIN_ZYX_MM[axis]
        low = int(np.clip(np.floor(middle - reach_mm), 0, shape_zyx[axis] - 2))
        high = int(np.clip(np.ceil(middle + reach_mm), low + 2, shape_zyx[axis]))
        slices.append(slice(low, high))
    return (slices[0], slices[1], slices[2])


def _head_coordinates(box: Box) -> Coordinates:
    z, y, x = (axis[side] for axis, side in zip(head_axes_mm(), box, strict=True))
    shape = (z.size, y.size, x.size)
    return (
        np.broadcast_to(x[None, None, :], shape),
        np.broadcast_to(y[None, :, None], shape),
        np.broadcast_to(z[:, None, None], shape),
    )


def _allowed(grid: HeadGrid, brain: Brain, box: Box, plan: LesionPlan) -> Array:
    """Return where blood may spread: brain of the same compartment, not through falx or tent."""
    x = grid.x[box]
    share = inside(1.2 - brain.depth_mm[box])
    below = brain.infratentorial[box]
    if plan.site in (Site.CEREBELLUM, Site.BRAIN_STEM):
        return np.asarray(share * below, dtype=np.float32)
    own_side = inside(np.float32(-1.0) - plan.side * x, 1.5)
    return np.asarray(share * (1 - below) * own_side, dtype=np.float32)


def _ventricle_fill(rng: np.random.Generator, grid: HeadGrid, plan: LesionPlan) -> Array:
    """Return how much of the fluid is blood: near the rupture, and sunk to the back."""
    x, y, z = grid.x, grid.y, grid.z
    reach = 14 + 75 * plan.ventricle_fill
    ventricle_point = (plan.side * 10.0, plan.center[1], max(plan.center[2], 6.0))
    near = ellipsoid(x, y, z, center=ventricle_point, radii_mm=(reach, reach, reach))
    near += np.float32(7) * smooth_noise(rng, grid.shape_zyx, 24.0)
    level = 62 - 30 * plan.ventricle_fill
    sunk = np.where(y > level, -4.0, 4.0).astype(np.float32)
    return inside(np.minimum(near, sunk), 6.0)
