"""Warping by dense displacement fields, and fields that are integrated from velocities.

A field says for every voxel of the result where its value comes from: the result at p is the
source at p + u(p), as in ITK's displacement field transform. Displacements are in voxels, their
three channels in the order of the array's axes: z, y, x.
"""

import torch
from torch import Tensor
from torch.nn import functional

#: Halvings of a velocity before it is squared; 2 to the 7th steps, as in voxelmorph [1]_.
#: .. [1] A. V. Dalca et al., "Unsupervised learning of probabilistic diffeomorphic registration
#:    for images and surfaces", Medical Image Analysis 57 (2019) 226-236.
INTEGRATION_STEPS = 7


def warp(values: Tensor, displacement: Tensor) -> Tensor:
    """Return values moved by a field, trilinear; beyond its edge the source is continued.

    Parameters
    ----------
    values : Tensor, shape (N, C, Z, Y, X)
        Floating point: a scan, or a mask as 0 and 1.
    displacement : Tensor, shape (N, 3, Z, Y, X)
        In voxels.

    Returns
    -------
    Tensor, shape (N, C, Z, Y, X)
        Differentiable in both.

    Raises
    ------
    ValueError
        If the shapes do not fit one another.
    """
    if displacement.shape != (values.shape[0], 3, *values.shape[2:]):
        raise ValueError(
            f"Values {tuple(values.shape)} cannot be moved by {tuple(displacement.shape)}"
        )
    places = index_grid(displacement) + displacement
    # The sampler wants x, y, z last, -1 and 1 at the centres of the outermost voxels.
    lengths = places.new_tensor([max(size - 1, 1) for size in values.shape[2:]])
    relative = places * (2 / lengths).view(1, 3, 1, 1, 1) - 1
    moved: Tensor = functional.grid_sample(
        values,
        relative.flip(1).permute(0, 2, 3, 4, 1),
        mode="bilinear",
        padding_mode="border",
        align_corners=True,
    )
    return moved


def integrate(velocity: Tensor, *, steps: int = INTEGRATION_STEPS) -> Tensor:
    """Return the displacement after unit time in a stationary velocity field.

    By scaling and squaring [1]_: a small first step is composed with itself again and again.
    The result can be inverted, which a displacement that is predicted directly need not be.

    Parameters
    ----------
    velocity : Tensor, shape (N, 3, Z, Y, X)
        Voxels per unit of time.
    steps : int
        How often the first step is doubled.

    References
    ----------
    .. [1] V. Arsigny et al., "A Log-Euclidean Framework for Statistics on Diffeomorphisms",
       MICCAI 2006, section 2.
    """
    displacement = velocity * 0.5**steps
    for _ in range(steps):
        displacement = displacement + warp(displacement, displacement)
    return displacement


def index_grid(like: Tensor) -> Tensor:
    """Return the voxel indices of a field's grid, shape (1, 3, Z, Y, X), of its type."""
    axes = [torch.arange(size, dtype=like.dtype, device=like.device) for size in like.shape[2:]]
    indices: Tensor = torch.stack(torch.meshgrid(*axes, indexing="ij")).unsqueeze(0)
    return indices
