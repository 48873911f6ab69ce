"""Two scans of a head are brought together."""

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813  its usual name

from pipeline.follow_up.registration import apply_alignment, register
from tests.growth_builder import COARSE, STEP, lopsided_head
from training.evaluation.scores import dice


def moved(values: np.ndarray, transform: sitk.Transform, *, outside: float) -> np.ndarray:
    image = sitk.GetImageFromArray(values.astype(np.float32))
    image.SetSpacing(STEP)
    return sitk.GetArrayFromImage(sitk.Resample(image, image, transform, sitk.sitkLinear, outside))


@pytest.fixture(scope="module")
def known_motion() -> sitk.AffineTransform:
    """Return a turn by 8 and -5 degrees, 6, -4 and 3 mm, and 1 % of stretch along x."""
    rigid = sitk.Euler3DTransform((88.0, 88.0, 82.0), 0.0, 0.0, 0.0, (6.0, -4.0, 3.0))
    rigid.SetRotation(np.radians(8), 0.0, np.radians(-5))
    affine = sitk.AffineTransform(3)
    affine.SetCenter(rigid.GetCenter())
    matrix = np.array(rigid.GetMatrix()).reshape(3, 3) @ np.diag([1.01, 1.0, 1.0])
    affine.SetMatrix(matrix.ravel())
    affine.SetTranslation(rigid.GetTranslation())
    return affine


def test_a_known_motion_is_found(known_motion):
    """Points of the head come to lie within a millimetre (a third of a voxel) of their truth.

    The stretch of 1 % changes volumes by 1 %, which is found to 2 %.
    """
    baseline, blood = lopsided_head()
    follow_up = moved(baseline, known_motion.GetInverse(), outside=-1000)
    follow_blood = moved(blood, known_motion.GetInverse(), outside=0.0)

    alignment = register(baseline, follow_up, STEP)
    back = apply_alignment(
        follow_blood, alignment, shape_zyx=blood.shape, spacing_zyx_mm=STEP, outside=0.0
    )

    points = np.random.default_rng(1).uniform(40, 130, (40, 3))
    found = points @ np.array(alignment.matrix).T + alignment.translation_mm
    truth = np.array([known_motion.TransformPoint(point) for point in points])
    assert np.linalg.norm(found - truth, axis=1).max() < 1.0
    assert alignment.determinant == pytest.approx(1.01, abs=0.02)
    assert alignment.correlation > 0.95
    assert dice(back >= 0.5, blood) > 0.95


def test_a_scan_without_a_head_is_refused():
    """Air cannot be matched."""
    baseline, _ = lopsided_head(spacing=COARSE)

    with pytest.raises(ValueError, match="no head"):
        register(baseline, np.full_like(baseline, -1000), COARSE)
