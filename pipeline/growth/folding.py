"""Where a displacement field folds space over: its Jacobian determinant is not positive there."""

import torch
from torch import Tensor


def jacobian_determinants(displacement: Tensor) -> Tensor:
    """Return the change of volume at the inner voxels, by central differences.

    Parameters
    ----------
    displacement : Tensor, shape (N, 3, Z, Y, X)
        In voxels; at least three along every axis.

    Returns
    -------
    Tensor, shape (N, Z - 2, Y - 2, X - 2)
        Determinant of the identity plus the field's gradient: 1 where nothing changes, negative
        where space is turned inside out.
    """
    inner = slice(1, -1)
    gradients = []
    for axis in (2, 3, 4):
        ahead, behind = ([inner] * 3 for _ in range(2))
        ahead[axis - 2], behind[axis - 2] = slice(2, None), slice(None, -2)
        difference = displacement[:, :, *ahead] - displacement[:, :, *behind]
        gradients.append(difference / 2)
    jacobian = torch.stack(gradients, dim=-1).movedim(1, -2)
    determinants: Tensor = torch.linalg.det(jacobian + torch.eye(3).to(jacobian))
    return determinants


def folding_share(displacement: Tensor) -> float:
    """Return the share of inner voxels at which space is folded over, in [0, 1]."""
    return float((jacobian_determinants(displacement) <= 0).float().mean())
