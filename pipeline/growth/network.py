"""The 3D U-Net that predicts how a hematoma and the brain around it will move.

V. Abramova et al., "An End-to-End Deep Learning Framework for Predicting Hematoma Expansion in
Hemorrhagic Stroke Patients from CT Images", Applied Sciences 14 (2024) 2708, section 2.4.
"""

from collections.abc import Sequence
from enum import StrEnum

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.errors import ModelBundleError
from pipeline.growth.warping import index_grid, integrate

#: Channels of the paper's levels, the last being its bottom.
PAPER_WIDTHS = (64, 128, 256, 512)

#: What goes in: the baseline scan and its hematoma mask.
INPUT_CHANNELS = 2

#: Pooling before the regressor of the released code.
_AFFINE_POOL = 4

#: Spread of the head's initial weights; small, so that learning starts close to no movement.
_HEAD_SD = 1e-3


class Motion(StrEnum):
    """What the network's three channels mean. The values are stored; never rename one."""

    DENSE = "dense"  #: displacement of every voxel, as the paper says
    DIFFEOMORPHIC = "diffeomorphic"  #: velocity of every voxel, integrated to a displacement
    AS_RELEASED = "as_released"  #: one affine matrix for each patch, as the paper's code has it


class GrowthUNet(nn.Module):
    """From patches of [baseline scan, baseline mask] to the movement of every voxel.

    Two convolutions of 3 x 3 x 3 with ReLU at every level, maximum pooling on the way down,
    transposed convolutions on the way up, and no normalisation. 22.4 million parameters at the
    paper's widths.

    Parameters
    ----------
    widths : sequence of int
        Channels of each level from the top; their number less one is that of the poolings.
    motion : str
        See `Motion`.
    patch_size_zyx : sequence of int, optional
        Needed for `Motion.AS_RELEASED`, whose regressor is tied to it; no other size goes
        through then.

    Raises
    ------
    ModelBundleError
        If the arguments do not fit one another.
    """

    def __init__(
        self,
        widths: Sequence[int] = PAPER_WIDTHS,
        motion: str = Motion.DENSE,
        patch_size_zyx: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        if len(widths) < 2 or min(widths) < 1:  # noqa: PLR2004  a top and a bottom
            raise ModelBundleError(f"A U-Net has two levels or more, got widths {list(widths)}")
        if motion not in set(Motion):
            raise ModelBundleError(f"Motion {motion!r} is unknown; known: {', '.join(Motion)}")
        self.motion = Motion(motion)
        self.size_multiple = 2 ** (len(widths) - 1)
        inputs = (INPUT_CHANNELS, *widths[:-1])
        self.down = nn.ModuleList(
            _double(into, out) for into, out in zip(inputs, widths, strict=True)
        )
        pairs = list(zip(widths[1:], widths[:-1], strict=True))[::-1]
        self.up = nn.ModuleList(nn.ConvTranspose3d(into, out, 2, stride=2) for into, out in pairs)
        self.merge = nn.ModuleList(_double(2 * out, out) for _, out in pairs)
        self.head = nn.Conv3d(widths[0], 3, 1)
        for parameter in self.head.parameters():
            nn.init.normal_(parameter, std=_HEAD_SD)
        self.regressor: _AffineRegressor | None = None
        if self.motion is Motion.AS_RELEASED:
            if patch_size_zyx is None:
                raise ModelBundleError("One affine matrix for each patch needs patch_size_zyx")
            self.regressor = _AffineRegressor(tuple(patch_size_zyx))

    def forward(self, patches: Tensor) -> Tensor:
        """Return the raw movement: displacement in voxels, or the velocity to integrate.

        Parameters
        ----------
        patches : Tensor, shape (N, 2, Z, Y, X)
            Normalised scan and mask; sizes are multiples of `size_multiple`.

        Returns
        -------
        Tensor, shape (N, 3, Z, Y, X)
            In voxels along z, y, x; see `displacement` for what it does to a scan.
        """
        features, skipped = patches, []
        for block in self.down[:-1]:
            features = block(features)
            skipped.append(features)
            features = functional.max_pool3d(features, 2)
        features = self.down[-1](features)
        for up, merge in zip(self.up, self.merge, strict=True):
            features = merge(torch.cat([skipped.pop(), up(features)], dim=1))
        raw: Tensor = self.head(features)
        return raw if self.regressor is None else self.regressor(raw)

    def displacement(self, raw: Tensor) -> Tensor:
        """Return the displacement in voxels that a raw movement stands for, of any size."""
        return integrate(raw) if self.motion is Motion.DIFFEOMORPHIC else raw


class _AffineRegressor(nn.Module):
    """The released code's way from the three channels to a movement: one affine per patch.

    The paper's channels are pooled and put through two linear layers without anything between
    them, and warp by the matrix that comes out; its zero weights and identity bias begin with no
    movement.
    """

    def __init__(self, patch_size_zyx: tuple[int, ...]) -> None:
        super().__init__()
        self.patch_size_zyx = patch_size_zyx
        pooled = [size // _AFFINE_POOL for size in patch_size_zyx]
        self.first = nn.Linear(3 * pooled[0] * pooled[1] * pooled[2], 12)
        self.second = nn.Linear(12, 12)
        nn.init.zeros_(self.second.weight)
        with torch.no_grad():
            self.second.bias.copy_(torch.eye(3, 4).flatten())

    def forward(self, raw: Tensor) -> Tensor:
        """Return the displacement of the patch's affine map in voxels."""
        if raw.shape[2:] != self.patch_size_zyx:
            given = tuple(raw.shape[2:])
            raise ModelBundleError(f"Weights are bound to {self.patch_size_zyx}, got {given}")
        pooled = functional.max_pool3d(raw, _AFFINE_POOL)
        matrices = self.second(self.first(pooled.flatten(1))).view(-1, 3, 4)
        relative = functional.affine_grid(matrices, list(raw.shape), align_corners=True)
        lengths = raw.new_tensor([size - 1 for size in raw.shape[2:]]).view(1, 3, 1, 1, 1)
        places = (relative.permute(0, 4, 1, 2, 3).flip(1) + 1) / 2 * lengths
        return places - index_grid(raw)


def _double(into: int, out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv3d(into, out, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv3d(out, out, 3, padding=1),
        nn.ReLU(inplace=True),
    )
