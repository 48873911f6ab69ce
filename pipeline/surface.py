"""The surface of a hematoma as a triangle mesh, and the volume inside it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import EmptyHematomaError


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TriangleMesh:
    """A closed surface of triangles.

    Attributes
    ----------
    vertices_mm : ndarray of float64, shape (N, 3)
        Positions of the corners, any right- or left-handed orthogonal axes, in mm.
    triangles : ndarray of int64, shape (M, 3)
        Indices of the three corners of each triangle, wound alike.
    """

    vertices_mm: NDArray[np.float64]
    triangles: NDArray[np.int64]


def hematoma_surface(
    voxels_zyx: NDArray[np.bool_],
    *,
    slice_positions_mm: NDArray[np.float64],
    pixel_spacing_yx_mm: tuple[float, float],
) -> TriangleMesh:
    """Return the marching-cubes surface of a mask at its real slice positions.

    The mask is padded by one empty voxel on every side, so that the surface is closed; it
    runs half way between a voxel inside and its neighbour outside, which is the definition
    pyradiomics gives for its MeshVolume [1]_. Gantry tilt moves slices against one another
    within their planes. Such a shear leaves the volume as it is, so it is left out here.

    Parameters
    ----------
    voxels_zyx : ndarray of bool, shape (Z, Y, X)
        True inside.
    slice_positions_mm : ndarray of float64, shape (Z,)
        Position of each slice along the normal, rising, any spacing.
    pixel_spacing_yx_mm : tuple of float
        Distance between rows and between columns.

    Raises
    ------
    EmptyHematomaError
        If the mask holds no voxel.

    References
    ----------
    .. [1] J. van Griethuysen et al., "Computational Radiomics System to Decode the
       Radiographic Phenotype", Cancer Research 77 (2017), shape features.
    """
    from skimage.measure import marching_cubes

    if not voxels_zyx.any():
        raise EmptyHematomaError("There is no surface: the mask is empty")
    padded = np.pad(voxels_zyx, 1).astype(np.uint8)
    vertices_zyx, triangles, _, _ = marching_cubes(  # type: ignore[no-untyped-call] # untyped library
        padded, level=0.5, allow_degenerate=False
    )
    vertices_mm = np.column_stack(
        [
            np.interp(
                vertices_zyx[:, 0], np.arange(len(padded)), _padded_positions(slice_positions_mm)
            ),
            vertices_zyx[:, 1] * pixel_spacing_yx_mm[0],
            vertices_zyx[:, 2] * pixel_spacing_yx_mm[1],
        ]
    )
    return TriangleMesh(vertices_mm=vertices_mm, triangles=triangles.astype(np.int64))


def enclosed_volume_ml(mesh: TriangleMesh) -> float:
    """Return the volume inside a closed mesh in mL.

    Each triangle spans a tetrahedron with one fixed point; the signed volumes add up to
    the volume inside, because what lies between the surface and the point cancels
    (divergence theorem). The fixed point is the mean corner, for numerical accuracy.
    """
    corners = mesh.vertices_mm - mesh.vertices_mm.mean(axis=0)
    first, second, third = (corners[mesh.triangles[:, index]] for index in range(3))
    six_volumes = np.einsum("ij,ij->i", first, np.cross(second, third))
    return float(abs(six_volumes.sum())) / 6 / 1000


def _padded_positions(positions_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the positions with one more at either end, a step beyond the last slice."""
    if len(positions_mm) == 1:
        # VoxelGrid.slice_extents_mm gives a lone slice 1 mm; the surface does the same
        return np.array([positions_mm[0] - 1, positions_mm[0], positions_mm[0] + 1])
    return np.concatenate(
        [
            [2 * positions_mm[0] - positions_mm[1]],
            positions_mm,
            [2 * positions_mm[-1] - positions_mm[-2]],
        ]
    )
