"""Displacement fields against scipy, SimpleITK and closed forms."""

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813  its usual name
import torch
from scipy import ndimage

from pipeline.growth.folding import folding_share, jacobian_determinants
from pipeline.growth.warping import integrate, warp

SHAPE = (9, 11, 13)


def smooth_field(seed: int, *, shape=SHAPE, size: float = 1.0, sigma: float = 2.0) -> np.ndarray:
    """Return a random field (3, Z, Y, X) whose largest component is `size` voxels."""
    noise = np.random.default_rng(seed).standard_normal((3, *shape))
    field = ndimage.gaussian_filter(noise, (0, sigma, sigma, sigma))
    return field / np.abs(field).max() * size


def picture(seed: int = 1, *, shape=SHAPE) -> np.ndarray:
    return ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(shape), 1.0)


def warped(image: np.ndarray, field: np.ndarray) -> np.ndarray:
    values, displacement = (torch.from_numpy(array)[None] for array in (image[None], field))
    return warp(values, displacement)[0, 0].numpy()


def test_no_displacement_leaves_the_scan():
    """The identity field is the identity."""
    image = picture()

    assert np.allclose(warped(image, np.zeros((3, *SHAPE))), image, atol=1e-12)


@pytest.mark.parametrize("move", [(1.0, 0.0, 0.0), (0.0, -2.0, 0.0), (0.5, -1.25, 2.75)])
def test_a_translation_is_that_of_scipy(move):
    """A field of u voxels is a shift by -u with the edge continued: axes z, y, x, trilinear."""
    image = picture()
    field = np.broadcast_to(np.reshape(move, (3, 1, 1, 1)), (3, *SHAPE)).copy()

    shifted = ndimage.shift(image, [-one for one in move], order=1, mode="nearest")

    assert np.allclose(warped(image, field), shifted, atol=1e-12)


def test_a_field_moves_as_itk_moves():
    """Sign and unit are those of ITK, which has millimetres along x, y, z."""
    image, field = picture(), smooth_field(2)
    spacing_zyx = np.array([5.0, 0.5, 0.7])
    scan = sitk.GetImageFromArray(image)
    scan.SetSpacing([float(step) for step in spacing_zyx[::-1]])
    vectors_mm = (field * spacing_zyx[:, None, None, None])[::-1].transpose(1, 2, 3, 0)
    itk_field = sitk.GetImageFromArray(np.ascontiguousarray(vectors_mm), isVector=True)
    itk_field.CopyInformation(scan)
    transform = sitk.DisplacementFieldTransform(sitk.Cast(itk_field, sitk.sitkVectorFloat64))

    reference = sitk.GetArrayFromImage(sitk.Resample(scan, scan, transform, sitk.sitkLinear, 0.0))

    inner = (slice(1, -1),) * 3
    assert np.allclose(warped(image, field)[inner], reference[inner], atol=1e-6)


def test_scan_and_field_must_have_one_grid():
    """A field of another size is refused, not stretched."""
    with pytest.raises(ValueError, match="cannot be moved"):
        warp(torch.zeros(1, 1, 4, 4, 4), torch.zeros(1, 3, 4, 4, 5))


def test_the_gradient_of_a_warp_is_that_of_finite_differences():
    """Loss flows back to the scan and to the field alike."""
    image = torch.from_numpy(picture(shape=(4, 4, 4)))[None, None].requires_grad_()
    field = torch.from_numpy(smooth_field(3, shape=(4, 4, 4), size=0.4))[None].requires_grad_()

    assert torch.autograd.gradcheck(warp, (image, field))


def test_a_constant_velocity_moves_by_itself():
    """Unit time at a constant speed is a translation by that speed."""
    velocity = torch.tensor([0.5, -1.0, 2.0]).view(1, 3, 1, 1, 1).expand(1, 3, *SHAPE)

    assert torch.allclose(integrate(velocity), velocity, atol=1e-5)


def test_a_linear_velocity_grows_exponentially():
    """v(x) = a x leads from x to x exp(a): the exponential of the 1 x 1 matrix a."""
    positions = torch.arange(41, dtype=torch.float64) - 20
    velocity = torch.zeros(1, 3, 3, 3, 41, dtype=torch.float64)
    velocity[:, 2] = 0.3 * positions

    displacement = integrate(velocity)[0, 2, 1, 1]

    inner = positions.abs() <= 12  # e^0.3 * 12 = 16.2 stays on the grid
    expected = positions * (np.exp(0.3) - 1)
    assert torch.allclose(displacement[inner], expected[inner], rtol=0.005)


def test_the_determinant_is_the_change_of_volume():
    """Stretching by 1.5, 1.0 and 0.8 changes volumes by 1.2."""
    z, y, x = np.meshgrid(*(np.arange(5.0) for _ in range(3)), indexing="ij")
    field = torch.from_numpy(np.stack([0.5 * z, 0.0 * y, -0.2 * x]))[None]

    assert torch.allclose(jacobian_determinants(field), torch.tensor(1.2).double())


def test_turning_space_over_is_folding():
    """u(x) = -2x mirrors an axis: every determinant is -1."""
    field = torch.zeros(1, 3, 5, 5, 5)
    field[:, 2] = -2 * torch.arange(5.0)

    assert folding_share(field) == 1.0
    assert folding_share(torch.zeros_like(field)) == 0.0


def test_integrated_velocities_do_not_fold_where_displacements_would():
    """The same strong random field folds as a displacement, and hardly as a velocity."""
    field = torch.from_numpy(smooth_field(4, shape=(24, 24, 24), size=6.0)).float()[None]

    assert folding_share(field) > 0.02
    assert folding_share(integrate(field)) < 0.001
