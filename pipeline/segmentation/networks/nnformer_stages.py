"""Steps of nnFormer: embedding of patches, attention blocks, and changes of resolution.

Feature maps are channels-last here, (N, Z, Y, X, C), as attention wants them. Submodules are
named as in the released code, so that its weights fit.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.segmentation.networks.nnformer_attention import (
    WindowAttention,
    join_windows,
    shift_mask,
    split_windows,
)
from pipeline.segmentation.networks.nnformer_layout import Size, StageShape


class PatchEmbedding(nn.Module):
    """Two convolutional units that turn patches of the image into tokens."""

    def __init__(self, *, input_channels: int, width: int, patch_zyx: Size) -> None:
        super().__init__()
        z, y, x = patch_zyx
        self.proj1 = _Unit(input_channels, width // 2, (z, y // 2, x // 2), last=False)
        self.proj2 = _Unit(width // 2, width, (1, y // 2, x // 2), last=True)
        self.norm = nn.LayerNorm(width)

    def forward(self, image: Tensor) -> Tensor:
        """Return tokens (N, Z, Y, X, C) of images (N, 1, Z, Y, X)."""
        tokens: Tensor = self.norm(self.proj2(self.proj1(image)).movedim(1, -1))
        return tokens


class _Unit(nn.Module):
    """Strided convolution, activation, norm and a second convolution."""

    def __init__(self, inputs: int, outputs: int, stride: Size, *, last: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(inputs, outputs, 3, stride, 1)
        self.conv2 = nn.Conv3d(outputs, outputs, 3, 1, 1)
        self.norm1 = nn.LayerNorm(outputs)
        self.norm2 = None if last else nn.LayerNorm(outputs)

    def forward(self, features: Tensor) -> Tensor:
        features = self.conv2(_normed(functional.gelu(self.conv1(features)), self.norm1))
        if self.norm2 is None:
            return features
        return _normed(functional.gelu(features), self.norm2)


class AttentionBlock(nn.Module):
    """Window attention and a two-layer perceptron, each with a shortcut.

    Parameters
    ----------
    stage : StageShape
        Width, heads, grid and windows.
    shifted : bool
        Whether windows lie half a window off the grid.
    cross : bool
        Whether keys and values come from a skip, the queries from below.
    drop_path : float
        Probability that a shortcut stands alone for a sample in training.
    """

    mask: Tensor | None

    def __init__(self, stage: StageShape, *, shifted: bool, cross: bool, drop_path: float) -> None:
        super().__init__()
        self.grid_zyx = stage.grid_zyx
        self.window_zyx = stage.window_zyx
        self.shift_zyx = stage.shift_zyx if shifted else (0, 0, 0)
        self.drop_path = drop_path
        self.norm1 = nn.LayerNorm(stage.width)
        self.attn = WindowAttention(
            width=stage.width,
            heads=stage.heads,
            window_zyx=stage.window_zyx,
            cross=cross,
            as_released=stage.offsets_collide,
        )
        self.norm2 = nn.LayerNorm(stage.width)
        self.mlp = _Perceptron(stage.width)
        mask = None
        if not stage.shift_unmasked:
            mask = shift_mask(self.grid_zyx, self.window_zyx, self.shift_zyx)
        self.register_buffer("mask", mask, persistent=False)

    def forward(
        self, features: Tensor, *, queries: Tensor | None = None, keys: Tensor | None = None
    ) -> Tensor:
        """Return features (N, Z, Y, X, C) after both steps.

        `queries` and `keys` take the place of `features` in the attention of a cross block.
        """
        query = self._windows(features if queries is None else queries)
        key = query if keys is None else self._windows(keys)
        attended = self._volume(self.attn(query, key, self.mask))
        features = features + self._dropped(attended)
        mixed: Tensor = features + self._dropped(self.mlp(self.norm2(features)))
        return mixed

    def _windows(self, features: Tensor) -> Tensor:
        padding = [
            -grid % window for grid, window in zip(self.grid_zyx, self.window_zyx, strict=True)
        ]
        normed = self.norm1(features)
        if any(padding):
            normed = functional.pad(normed, (0, 0, 0, padding[2], 0, padding[1], 0, padding[0]))
        if any(self.shift_zyx):
            back = [-shift for shift in self.shift_zyx]
            normed = torch.roll(normed, back, dims=(1, 2, 3))
        return split_windows(normed, self.window_zyx)

    def _volume(self, windows: Tensor) -> Tensor:
        z, y, x = self.grid_zyx
        wz, wy, wx = self.window_zyx
        padded = (z + -z % wz, y + -y % wy, x + -x % wx)
        volume = join_windows(windows, self.window_zyx, padded)
        if any(self.shift_zyx):
            volume = torch.roll(volume, self.shift_zyx, dims=(1, 2, 3))
        return volume[:, :z, :y, :x]

    def _dropped(self, branch: Tensor) -> Tensor:
        if not self.training or self.drop_path == 0:
            return branch
        kept = 1 - self.drop_path
        return branch * branch.new_empty(len(branch), 1, 1, 1, 1).bernoulli_(kept) / kept


class _Perceptron(nn.Module):
    """Two linear layers, four times as wide in between."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, features: Tensor) -> Tensor:
        mixed: Tensor = self.fc2(functional.gelu(self.fc1(features)))
        return mixed


class Reduction(nn.Module):
    """Strided convolution to twice the channels, (N, Z, Y, X, C) in and out."""

    def __init__(self, *, width: int, grid_zyx: Size, stride_zyx: Size) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        # An odd axis is halved without padding, so that the last kernel ends on the last token.
        padding = [
            int(stride == 1 or grid % 2 == 0)
            for grid, stride in zip(grid_zyx, stride_zyx, strict=True)
        ]
        kernel = [3, 3, 3]
        if stride_zyx[0] == 1:
            kernel[0], padding[0] = 1, 0
        self.reduction = nn.Conv3d(width, 2 * width, _size(kernel), stride_zyx, _size(padding))

    def forward(self, features: Tensor) -> Tensor:
        """Return the features at the next coarser grid."""
        activated = self.norm(functional.gelu(features))
        reduced: Tensor = self.reduction(activated.movedim(-1, 1))
        return reduced.movedim(1, -1)


class Expansion(nn.Module):
    """Transposed convolution to half the channels, (N, Z, Y, X, C) in and out."""

    def __init__(self, *, width: int, grid_zyx: Size, stride_zyx: Size) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(2 * width)
        # The token that an odd axis has more than twice its half.
        more = [grid % stride for grid, stride in zip(grid_zyx, stride_zyx, strict=True)]
        self.up = nn.ConvTranspose3d(
            2 * width, width, stride_zyx, stride_zyx, output_padding=_size(more)
        )

    def forward(self, features: Tensor) -> Tensor:
        """Return the features at the next finer grid."""
        raised: Tensor = self.up(self.norm(features).movedim(-1, 1))
        return raised.movedim(1, -1)


def _normed(features: Tensor, norm: nn.LayerNorm) -> Tensor:
    """Return channels-first features, normalised over the channels of each place."""
    normed: Tensor = norm(features.movedim(1, -1))
    return normed.movedim(-1, 1)


def _size(values: Sequence[int]) -> Size:
    z, y, x = values
    return z, y, x
