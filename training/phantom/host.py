"""Real anatomy as host of a simulated hematoma: read, set upright and laid on the template."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage  # type: ignore[import-untyped] # scipy ships no types

from pipeline.volume import AIR_HU, CtVolume, VoxelGrid
from training.phantom.fields import Array, sample
from training.phantom.scanner import rotation_matrix
from training.phantom.skull import is_cavity

#: Working grid of the search for the brain.
_STEP_MM = 2.0

#: Extents are measured within this distance of the vertex.
_CAP_MM = 95.0

#: HU of dense bone: a head without any is skull-stripped.
_BONE_HU = 300.0


class AnatomyError(ValueError):
    """A file does not hold an anatomy into which a hematoma can be put."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Host:
    """A head, and where it lies in the template.

    Attributes
    ----------
    name : str
        Name of the file, for the record.
    hu_zyx : ndarray of float32, shape (Z, Y, X)
        Hounsfield units on an upright 1 mm or finer grid (LPS axes).
    depth_mm : ndarray of float32, shape (Z, Y, X)
        Depth below the surface of the brain, negative outside.
    spacing_zyx_mm : ndarray, shape (3,)
        Voxel size.
    origin_zyx : ndarray, shape (3,)
        Index of the template's origin.
    scale : float
        Head millimetres for each template millimetre.
    pitch_deg : float
        By how much the head is bent forward against the template.
    has_skull : bool
        Whether there is bone around the brain.
    """

    name: str
    hu_zyx: Array
    depth_mm: Array
    spacing_zyx_mm: NDArray[np.float64]
    origin_zyx: NDArray[np.float64]
    scale: float
    pitch_deg: float
    has_skull: bool

    def sample(self, xyz: tuple[Array, Array, Array], *, mirrored: bool) -> tuple[Array, Array]:
        """Return density and depth at template points; outside lies air."""
        turn = rotation_matrix((self.pitch_deg, 0.0, 0.0))
        x = -xyz[0] if mirrored else xyz[0]
        points = []
        for axis in (2, 1, 0):
            along = turn[axis, 0] * x + turn[axis, 1] * xyz[1] + turn[axis, 2] * xyz[2]
            spacing = self.spacing_zyx_mm[2 - axis]
            points.append(along * (self.scale / spacing) + self.origin_zyx[2 - axis])
        # The neck goes on below the scan.
        points[0] = np.maximum(points[0], 0)
        index = np.asarray(points, dtype=np.float32)
        return sample(self.hu_zyx, index, float(AIR_HU) if self.has_skull else 0.0), sample(
            self.depth_mm, index, -50.0
        )


def load_host(path: Path) -> Host:
    """Return the anatomy in a NIfTI file or a folder with one DICOM CT series.

    Raises
    ------
    AnatomyError
        If the file is no head CT in which a brain can be found.
    """
    volume = _read_dicom(path) if path.is_dir() else _read_nifti(path)
    return host_from_volume(volume, name=path.name)


def host_from_volume(volume: CtVolume, *, name: str) -> Host:
    """Return a CT volume set upright and laid on the template.

    The orientation that the volume claims is checked against anatomy: air within the lower head
    (nose, sinuses) lies in front. If it lies behind, the head is turned half round.
    """
    hu, spacing = _upright(volume)
    step = tuple(float(size) for size in spacing / _STEP_MM)
    small = np.asarray(ndimage.zoom(hu, step, order=1), dtype=np.float32)
    has_skull = bool((small > _BONE_HU).mean() > 1e-3)  # noqa: PLR2004 - a permille of bone voxels
    if has_skull and _faces_backwards(small):
        hu, small = hu[:, ::-1, ::-1], small[:, ::-1, ::-1]
    brain = _brain(small, has_skull=has_skull)
    depth = _depth(brain)
    origin, scale, pitch = _placement(brain)
    zoom = np.asarray(hu.shape) / np.asarray(small.shape)
    return Host(
        name=name,
        hu_zyx=np.ascontiguousarray(hu, dtype=np.float32),
        depth_mm=np.asarray(ndimage.zoom(depth, zoom, order=1), dtype=np.float32),
        spacing_zyx_mm=spacing,
        origin_zyx=origin * _STEP_MM / spacing,
        scale=scale,
        pitch_deg=pitch,
        has_skull=has_skull,
    )


def _read_nifti(path: Path) -> CtVolume:
    import nibabel as nib

    if not path.is_file():
        raise AnatomyError(f"No anatomy at {path}")
    image = nib.as_closest_canonical(nib.load(path))  # type: ignore[no-untyped-call] # nibabel ships few types
    affine = np.asarray(image.affine)
    values = np.asarray(image.get_fdata(dtype=np.float32))
    if values.ndim != 3:  # noqa: PLR2004 - a volume
        raise AnatomyError(f"{path.name} must hold one volume, got shape {values.shape}")
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    hu = np.clip(np.nan_to_num(values), AIR_HU, 3071)
    # RAS+ to LPS: x and y run the other way.
    upright = np.rint(hu.transpose(2, 1, 0)[:, ::-1, ::-1]).astype(np.int16)
    grid = VoxelGrid(
        shape_zyx=(upright.shape[0], upright.shape[1], upright.shape[2]),
        pixel_spacing_yx_mm=(float(spacing[1]), float(spacing[0])),
        slice_origins_lps_mm=tuple((0.0, 0.0, float(k * spacing[2])) for k in range(len(upright))),
    )
    return CtVolume(hu_zyx=upright, grid=grid)


def _read_dicom(folder: Path) -> CtVolume:
    import pydicom

    from pipeline.ct_series import read_ct_series

    files: Sequence[Path] = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    instances = [pydicom.dcmread(path) for path in files if pydicom.misc.is_dicom(path)]
    if not instances:
        raise AnatomyError(f"No DICOM instance below {folder}")
    return read_ct_series(instances)


def _upright(volume: CtVolume) -> tuple[Array, NDArray[np.float64]]:
    """Return the volume with axes along the patient's, and its spacing (z, y, x)."""
    grid = volume.grid
    hu = volume.hu_zyx.astype(np.float32)
    if abs(grid.row_cosine_lps[0]) < abs(grid.row_cosine_lps[1]):
        raise AnatomyError(f"Rows must run from side to side, got {grid.row_cosine_lps}")
    if grid.row_cosine_lps[0] < 0:
        hu = hu[:, :, ::-1]
    if grid.column_cosine_lps[1] < 0:
        hu = hu[:, ::-1, :]
    return hu, np.asarray(grid.spacing_zyx_mm)


def _faces_backwards(hu: Array) -> bool:
    """Return whether the air within the lower head lies behind the head's middle."""
    head = ndimage.binary_opening(hu > -300, iterations=2)  # noqa: PLR2004 - tissue, not air
    labels, _ = ndimage.label(head)
    sizes = np.bincount(labels.ravel())[1:]
    if sizes.size == 0:
        raise AnatomyError("No head was found: nothing is denser than -300 HU")
    head = labels == 1 + int(np.argmax(sizes))
    lower = slice(0, head.shape[0] // 2)
    filled = np.stack([ndimage.binary_fill_holes(plane) for plane in head[lower]])
    hollow = filled & ~head[lower]
    if not hollow.any():
        return False
    middle = np.nonzero(head.any(axis=(0, 2)))[0].mean()
    return bool(np.nonzero(hollow)[1].mean() > middle)


def _brain(hu: Array, *, has_skull: bool) -> NDArray[np.bool_]:
    """Return the brain with its ventricles: the largest soft part that bone encloses."""
    if not has_skull:
        return np.asarray(ndimage.binary_fill_holes(ndimage.gaussian_filter(hu, 1.0) > 4))  # noqa: PLR2004 - outside a stripped brain lies 0
    smooth = ndimage.gaussian_filter(hu, 0.7)
    soft = (smooth > -5) & (smooth < 100)  # noqa: PLR2004 - fluid to blood
    core = ndimage.distance_transform_edt(soft) > 3.5  # noqa: PLR2004 - voxels: 7 mm closes foramina
    labels, count = ndimage.label(core)
    if not count:
        raise AnatomyError("No brain was found: no soft part of 7 mm radius")
    brain = labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))
    brain = ndimage.binary_dilation(brain, iterations=4) & soft
    top = int(np.nonzero(brain.any(axis=(1, 2)))[0][-1])
    brain[: max(0, top - round(146 / _STEP_MM))] = False
    return np.asarray(ndimage.binary_fill_holes(ndimage.binary_closing(brain, iterations=1)))


def _depth(brain: NDArray[np.bool_]) -> Array:
    within = ndimage.distance_transform_edt(brain)
    without = ndimage.distance_transform_edt(~brain)
    return np.asarray(np.where(brain, within - 0.5, 0.5 - without) * _STEP_MM, dtype=np.float32)


def _placement(brain: NDArray[np.bool_]) -> tuple[NDArray[np.float64], float, float]:
    """Return the template origin's index, the scale and the pitch that fit the brain best."""
    points = np.argwhere(brain)[::17].astype(float)  # z, y, x
    middle = points.mean(axis=0)
    middle_there, size_there = _extents(_template_points())
    best: tuple[float, NDArray[np.float64], float, float] | None = None
    for pitch in np.arange(-28.0, 28.1, 4.0):
        turn = rotation_matrix((float(pitch), 0.0, 0.0))
        # Rows of the transposed matrix undo the turn that `Host.sample` applies.
        level = (points - middle)[:, ::-1] @ turn * _STEP_MM
        middle_here, size_here = _extents(level)
        scale = float((size_here / size_there).mean())
        zero = middle_here - middle_there * scale
        template = ((level - zero) / scale).astype(np.float32)
        score = float(is_cavity(template[:, 0], template[:, 1], template[:, 2]).mean())
        if best is None or score > best[0]:
            origin = middle + (turn @ zero)[::-1] / _STEP_MM
            best = (score, origin, scale, float(pitch))
    if best is None or best[0] < 0.5:  # noqa: PLR2004 - less than half of it fits
        raise AnatomyError("What was found does not have the shape of a brain")
    return best[1], best[2], best[3]


def _template_points() -> NDArray[np.float64]:
    """Return points (x, y, z) all over the template's cavity, shape (N, 3)."""
    axes = [np.arange(-100.0, 116.0, 4.0)] * 3
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    return points[is_cavity(points[:, 0], points[:, 1], points[:, 2])]


def _extents(points: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return reference point (middle of width and length, vertex), and width and length."""
    top = float(np.percentile(points[:, 2], 99.9))
    cap = points[points[:, 2] > top - _CAP_MM]
    low, high = np.percentile(cap[:, :2], (0.3, 99.7), axis=0)
    return np.append((low + high) / 2, top), high - low
