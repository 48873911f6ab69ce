"""Bringing the follow-up scan onto the baseline scan's grid: two rigid steps and an affine one.

Abramova et al. 2024, section 2.1.1, by SimpleITK. The paper moves the baseline to the follow-up;
here the follow-up moves, so that the forecast lies on the grid of the scan that there is when it
is made. Heads are matched with their skulls, which do not grow, and without what lies around
them.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from pipeline.growth.brain import extract_head
from pipeline.volume import AIR_HU, Vector

#: The library without annotations, and its images and transforms.
sitk: Any = SimpleITK
Image = Any
Transform = Any

Matrix = tuple[Vector, Vector, Vector]

#: Between fat and bone's surface: what a head is recognised by.
_LOW_HU, _HIGH_HU = -100.0, 300.0

#: Voxel size at which each of the three steps compares the heads, and its first stride, in mm. An
#: affine that begins with long strides runs away, as scans seldom end at the same slice.
_COARSE_RIGID, _FINE_RIGID, _AFFINE = (6.0, 2.0), (3.0, 0.5), (3.0, 0.1)

#: Heads that correlate less after the last step are tried once more from another start.
_WELL_MATCHED = 0.93

#: How much of a head below its top is laid upon the other's; the vault, which every scan shows.
_TOP_MM = 80.0

_ITERATIONS = 100
_LAST_STRIDE_MM = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class Alignment:
    """Where a point of the baseline lies in the follow-up: p -> M p + t.

    Attributes
    ----------
    matrix : Matrix
        Rows of M, in coordinates x, y, z that begin at the first voxel of each scan.
    translation_mm : Vector
        t.
    correlation : float
        Of the two heads after alignment, at the last step's resolution, in [-1, 1].
    """

    matrix: Matrix
    translation_mm: Vector
    correlation: float

    @property
    def determinant(self) -> float:
        """By how much the affine step makes volumes of the follow-up smaller."""
        return float(np.linalg.det(np.array(self.matrix)))


def register(
    baseline_hu_zyx: NDArray[np.number],
    follow_up_hu_zyx: NDArray[np.number],
    spacing_zyx_mm: Vector,
) -> Alignment:
    """Return the alignment of two scans of a head on grids of the same voxel size.

    One thread, no random samples: the same scans give the same alignment. Heads are first laid
    upon one another by their centres; where that ends badly, as when one scan reaches farther
    down the neck, by their tops.

    Raises
    ------
    ValueError
        If a scan shows no head, or the heads cannot be matched.
    """
    first, second = (_head(hu, spacing_zyx_mm) for hu in (baseline_hu_zyx, follow_up_hu_zyx))
    fixed, moving = (_image(head, spacing_zyx_mm) for head in (first, second))
    best = _matched(fixed, moving, _by_centres(fixed, moving))
    if best is None or best[1] < _WELL_MATCHED:
        other = _matched(fixed, moving, _by_tops(first, second, spacing_zyx_mm))
        best = max((each for each in (best, other) if each), key=_second, default=None)
    if best is None:
        raise ValueError("The heads of the two scans cannot be matched")
    affine, correlation = best
    matrix = np.array(affine.GetMatrix()).reshape(3, 3)
    offset = np.array(affine.TransformPoint((0.0, 0.0, 0.0)))
    return Alignment(
        matrix=(_three(matrix[0]), _three(matrix[1]), _three(matrix[2])),
        translation_mm=_three(offset),
        correlation=correlation,
    )


def apply_alignment(
    values_zyx: NDArray[np.number],
    alignment: Alignment,
    *,
    shape_zyx: tuple[int, ...],
    spacing_zyx_mm: Vector,
    outside: float = AIR_HU,
) -> NDArray[np.float32]:
    """Return values of the follow-up on the baseline's grid, linear, `outside` beyond the scan."""
    moving = _image(values_zyx.astype(np.float32), spacing_zyx_mm)
    affine = sitk.AffineTransform(3)
    affine.SetMatrix([value for row in alignment.matrix for value in row])
    affine.SetTranslation(alignment.translation_mm)
    grid = sitk.ResampleImageFilter()
    grid.SetSize([int(size) for size in shape_zyx[::-1]])
    grid.SetOutputSpacing(spacing_zyx_mm[::-1])
    grid.SetTransform(affine)
    grid.SetInterpolator(sitk.sitkLinear)
    grid.SetDefaultPixelValue(float(outside))
    return np.asarray(sitk.GetArrayFromImage(grid.Execute(moving)), dtype=np.float32)


def _matched(fixed: Image, moving: Image, rigid: Transform) -> tuple[Transform, float] | None:
    """Return the affine transform that ends from a start, and the correlation; None if lost."""
    affine = sitk.AffineTransform(3)
    try:
        for step in (_COARSE_RIGID, _FINE_RIGID):
            _match(fixed, moving, rigid, step)
        affine.SetCenter(rigid.GetCenter())
        affine.SetMatrix(rigid.GetMatrix())
        affine.SetTranslation(rigid.GetTranslation())
        return affine, -_match(fixed, moving, affine, _AFFINE)
    except RuntimeError:  # all that the library says when the heads do not overlap
        return None


def _second(pair: tuple[Transform, float]) -> float:
    return pair[1]


def _by_centres(fixed: Image, moving: Image) -> Transform:
    """Return the start that lays the centres of mass upon one another."""
    return sitk.Euler3DTransform(
        sitk.CenteredTransformInitializer(
            sitk.Cast(fixed > 0, sitk.sitkFloat32),
            sitk.Cast(moving > 0, sitk.sitkFloat32),
            sitk.Euler3DTransform(),
            sitk.CenteredTransformInitializerFilter.MOMENTS,
        )
    )


def _by_tops(
    baseline_zyx: NDArray[np.float32], follow_up_zyx: NDArray[np.float32], spacing_zyx_mm: Vector
) -> Transform:
    """Return the start that lays the highest slices upon one another, and the centres of both."""
    places = []
    for head in (baseline_zyx, follow_up_zyx):
        top = int(np.flatnonzero((head > 0).any(axis=(1, 2)))[-1])
        depth = round(_TOP_MM / spacing_zyx_mm[0])
        places.append(np.argwhere(head[max(0, top - depth) : top + 1] > 0).mean(axis=0))
        places[-1][0] += max(0, top - depth)
    first, second = (place[::-1] * np.array(spacing_zyx_mm[::-1]) for place in places)
    start = sitk.Euler3DTransform()
    start.SetCenter([float(value) for value in first])
    start.SetTranslation([float(value) for value in second - first])
    return start


def _match(fixed: Image, moving: Image, transform: Transform, step: tuple[float, float]) -> float:
    """Move a transform to where the scans correlate most; return the metric that is left."""
    voxel_mm, stride_mm = step
    method = sitk.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)
    method.SetMetricAsCorrelation()
    method.SetMetricSamplingStrategy(method.NONE)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=stride_mm,
        minStep=_LAST_STRIDE_MM,
        numberOfIterations=_ITERATIONS,
        gradientMagnitudeTolerance=1e-8,
    )
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetInitialTransform(transform, inPlace=True)
    method.Execute(_coarse(fixed, voxel_mm), _coarse(moving, voxel_mm))
    return float(method.GetMetricValue())


def _head(hu_zyx: NDArray[np.number], spacing_zyx_mm: Vector) -> NDArray[np.float32]:
    """Return the head alone, clipped, from 0 for air to 400."""
    hu = hu_zyx.astype(np.float32)
    head = extract_head(hu, spacing_zyx_mm)
    if not head.any():
        raise ValueError("A scan shows no head")
    clipped = np.clip(np.where(head, hu, AIR_HU), _LOW_HU, _HIGH_HU)
    return np.asarray(clipped - _LOW_HU, dtype=np.float32)


def _coarse(image: Image, step_mm: float) -> Image:
    """Return an image smoothed and thinned out to about a voxel size."""
    smooth = sitk.SmoothingRecursiveGaussian(image, step_mm / 2)
    factors = [max(1, round(step_mm / step)) for step in image.GetSpacing()]
    return sitk.Shrink(smooth, factors)


def _image(values_zyx: NDArray[np.float32], spacing_zyx_mm: Vector) -> Image:
    image = sitk.GetImageFromArray(values_zyx)
    image.SetSpacing(spacing_zyx_mm[::-1])
    return image


def _three(values: NDArray[np.float64]) -> Vector:
    x, y, z = (float(value) for value in values)
    return (x, y, z)
