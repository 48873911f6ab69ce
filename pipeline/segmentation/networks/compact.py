"""A compact residual U-Net that segments a whole head on a CPU within seconds.

Pixel pairs are folded into channels at the entry and unfolded at the exit, so that the
network works at 1 mm while input and output keep 0.5 mm; axial slices are 5 mm apart, hence
most kernels act within the slice and the slices are mixed at coarse levels.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

Kernel = tuple[int, int, int]

_IN_PLANE: Kernel = (1, 3, 3)
_FULL: Kernel = (3, 3, 3)
_SLOPE = 0.01


class CompactUNet(nn.Module):
    """Residual U-Net with folded entry and exit.

    Parameters
    ----------
    features : sequence of int
        Channels per level, finest first. Level 0 works at twice the input's pixel size.
    volume_levels : int
        Counted from the coarsest, how many levels use 3x3x3 kernels.
    slice_strides : sequence of int
        Stride along the slices on entering each level after the first.
    input_channels, classes : int
        Channels in, class logits out.
    fold : int
        In-plane pixels folded into channels along each axis.

    Raises
    ------
    ValueError
        If the strides do not fit the levels.
    """

    def __init__(
        self,
        *,
        features: Sequence[int] = (16, 32, 64, 96, 128),
        volume_levels: int = 3,
        slice_strides: Sequence[int] = (1, 1, 2, 2),
        input_channels: int = 1,
        classes: int = 2,
        fold: int = 2,
    ) -> None:
        super().__init__()
        if len(slice_strides) != len(features) - 1:
            raise ValueError(f"{len(features)} levels need {len(features) - 1} slice strides")
        self.fold = fold
        self.classes = classes
        first_volume = len(features) - volume_levels
        kernels = [_FULL if level >= first_volume else _IN_PLANE for level in range(len(features))]
        self.entry = _unit(input_channels * fold * fold, features[0], _IN_PLANE)
        self.down = nn.ModuleList(
            _Residual(below, above, kernel, (stride, 2, 2))
            for below, above, kernel, stride in zip(
                features, features[1:], kernels[1:], slice_strides, strict=False
            )
        )
        self.up = nn.ModuleList(
            _Join(deep=deep, skip=skip, kernel=kernel, residual=level > 0)
            for level, (skip, deep, kernel) in enumerate(
                zip(features, features[1:], kernels, strict=False)
            )
        )
        self.exit = nn.Conv3d(features[0], classes * fold * fold, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Return class logits (N, C, Z, Y, X) of images (N, 1, Z, Y, X)."""
        current = self.entry(fold_pixels(image, self.fold))
        skips = []
        for stage in self.down:
            skips.append(current)
            current = stage(current)
        for skip, join in zip(reversed(skips), reversed(self.up), strict=True):
            current = join(current, skip)
        return unfold_pixels(self.exit(current), self.fold)


class _Residual(nn.Module):
    """Two convolutions with a shortcut; the first may reduce resolution."""

    def __init__(self, inputs: int, outputs: int, kernel: Kernel, stride: Kernel) -> None:
        super().__init__()
        self.first = _unit(inputs, outputs, kernel, stride)
        self.second = nn.Sequential(*_unit(outputs, outputs, kernel)[:2])
        self.shortcut: nn.Module = nn.Identity()
        if inputs != outputs or max(stride) > 1:
            pool: nn.Module = nn.AvgPool3d(stride) if max(stride) > 1 else nn.Identity()
            self.shortcut = nn.Sequential(pool, nn.Conv3d(inputs, outputs, 1, bias=False))

    def forward(self, features: Tensor) -> Tensor:
        mixed = self.second(self.first(features)) + self.shortcut(features)
        return functional.leaky_relu(mixed, _SLOPE)


class _Join(nn.Module):
    """Bring a deep map to the size of a skip and merge the two."""

    def __init__(self, *, deep: int, skip: int, kernel: Kernel, residual: bool) -> None:
        super().__init__()
        self.narrow = nn.Conv3d(deep, skip, 1)
        self.merge: nn.Module = (
            _Residual(2 * skip, skip, kernel, (1, 1, 1))
            if residual
            else _unit(2 * skip, skip, kernel)
        )

    def forward(self, deep: Tensor, skip: Tensor) -> Tensor:
        raised = functional.interpolate(self.narrow(deep), size=skip.shape[2:], mode="nearest")
        merged: Tensor = self.merge(torch.cat([raised, skip], dim=1))
        return merged


class _SampleNorm(nn.Module):
    """Instance normalisation, in the form that is fastest for one sample on a CPU."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, features: Tensor) -> Tensor:
        if len(features) > 1:
            return functional.instance_norm(features, weight=self.weight, bias=self.bias)
        # With a single sample the statistics of a batch are those of the instance; unlike
        # instance_norm, batch_norm keeps the memory layout (channels last).
        return functional.batch_norm(features, None, None, self.weight, self.bias, training=True)


def _unit(inputs: int, outputs: int, kernel: Kernel, stride: Kernel = (1, 1, 1)) -> nn.Sequential:
    padding = (kernel[0] // 2, kernel[1] // 2, kernel[2] // 2)
    return nn.Sequential(
        nn.Conv3d(inputs, outputs, kernel, stride, padding, bias=False),
        _SampleNorm(outputs),
        nn.LeakyReLU(_SLOPE),
    )


def fold_pixels(image: Tensor, fold: int) -> Tensor:
    """Return (N, C, Z, Y, X) as (N, C * fold**2, Z, Y / fold, X / fold)."""
    n, c, z, y, x = image.shape
    tiles = image.reshape(n, c, z, y // fold, fold, x // fold, fold)
    return tiles.permute(0, 1, 4, 6, 2, 3, 5).reshape(n, -1, z, y // fold, x // fold)


def unfold_pixels(features: Tensor, fold: int) -> Tensor:
    """Return (N, C * fold**2, Z, Y, X) as (N, C, Z, Y * fold, X * fold)."""
    n, c, z, y, x = features.shape
    tiles = features.reshape(n, c // fold**2, fold, fold, z, y, x)
    return tiles.permute(0, 1, 4, 5, 2, 6, 3).reshape(n, c // fold**2, z, y * fold, x * fold)
