"""The millimetre grid on which a head is built, with its template coordinates.

Template coordinates are LPS millimetres whose origin is the anterior commissure and whose
size is that of the MNI template (x to the left, y to posterior, z to superior); a structure
known at MNI (x, y, z) lies here at (-x, -y, z), mirrored freely between the sides.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.phantom.fields import Array, Point, smooth_noise

#: First voxel (z, y, x) of the grid in head millimetres, and its shape at 1 mm.
ORIGIN_ZYX_MM = (-76, -100, -94)
SHAPE_ZYX = (175, 223, 189)

Box = tuple[slice, slice, slice]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HeadGrid:
    """A 1 mm grid in head space, and where each voxel lies in the template.

    Attributes
    ----------
    x, y, z : ndarray of float32, shape (Z, Y, X)
        Template coordinates in mm. They carry the patient's size and asymmetry.
    scale_xyz : tuple of float
        Head millimetres for each template millimetre.
    step_mm : int
        Distance between voxels.
    """

    x: Array
    y: Array
    z: Array
    scale_xyz: Point
    step_mm: int = 1

    @property
    def shape_zyx(self) -> tuple[int, int, int]:
        """Shape of the grid."""
        z, y, x = self.x.shape
        return (z, y, x)

    def thinned(self) -> "HeadGrid":
        """Return the grid of every second voxel."""
        return HeadGrid(
            x=np.ascontiguousarray(self.x[::2, ::2, ::2]),
            y=np.ascontiguousarray(self.y[::2, ::2, ::2]),
            z=np.ascontiguousarray(self.z[::2, ::2, ::2]),
            scale_xyz=self.scale_xyz,
            step_mm=2 * self.step_mm,
        )

    def box(self, low: Point, high: Point, *, margin_mm: float = 8.0) -> Box:
        """Return the part of the grid that surely holds a box given in template millimetres."""
        slices = []
        for axis, (first, count) in enumerate(zip(ORIGIN_ZYX_MM, self.shape_zyx, strict=True)):
            scale = self.scale_xyz[2 - axis]
            begin = (low[2 - axis] * scale - margin_mm - first) / self.step_mm
            end = (high[2 - axis] * scale + margin_mm - first) / self.step_mm
            start = int(np.clip(np.floor(begin), 0, count - 1))
            slices.append(slice(start, int(np.clip(np.ceil(end), start + 1, count))))
        return (slices[0], slices[1], slices[2])

    def around(self, center: Point, reach_mm: float) -> Box:
        """Return the part of the grid within a distance of a template point."""
        low = (center[0] - reach_mm, center[1] - reach_mm, center[2] - reach_mm)
        high = (center[0] + reach_mm, center[1] + reach_mm, center[2] + reach_mm)
        return self.box(low, high)

    def part_of(self, box: Box, low: Point, high: Point) -> Box:
        """Return where within a box a smaller one lies, given in template millimetres."""
        inner = self.box(low, high)
        part = [
            slice(max(i.start - o.start, 0), max(min(i.stop, o.stop) - o.start, 1))
            for i, o in zip(inner, box, strict=True)
        ]
        return (part[0], part[1], part[2])

    def at(self, box: Box) -> tuple[Array, Array, Array]:
        """Return the template coordinates x, y, z of the voxels in a box."""
        return self.x[box], self.y[box], self.z[box]

    def to_head_mm(self, point: Point) -> Point:
        """Return where a template point lies in head space, the asymmetry left aside."""
        return (
            point[0] * self.scale_xyz[0],
            point[1] * self.scale_xyz[1],
            point[2] * self.scale_xyz[2],
        )


def head_axes_mm() -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Return the z, y and x coordinates of the head grid in head millimetres."""
    z, y, x = (
        np.arange(first, first + count, dtype=np.float32)
        for first, count in zip(ORIGIN_ZYX_MM, SHAPE_ZYX, strict=True)
    )
    return z, y, x


def draw_grid(rng: np.random.Generator, scale_xyz: Point) -> HeadGrid:
    """Return the grid of a head of given size, warped at random by a few millimetres."""
    axes = np.meshgrid(*head_axes_mm(), indexing="ij", copy=False)
    warped = [
        axis / np.float32(scale)
        + np.float32(rng.uniform(0.8, 1.8)) * smooth_noise(rng, SHAPE_ZYX, 110.0)
        for axis, scale in zip(axes, scale_xyz[::-1], strict=True)
    ]
    return HeadGrid(x=warped[2], y=warped[1], z=warped[0], scale_xyz=scale_xyz)
