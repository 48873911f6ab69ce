"""The blocks of the diffusion U-KAN, under the names that released checkpoints use."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.synthesis.kan import KanLinear

#: Channel groups of the normalisation, where the channels can be divided so.
GROUPS = 32

#: Channels of a group in networks too narrow for that.
FEWEST_IN_GROUP = 4

#: Wavelengths of the time embedding reach to 2 pi times this.
LONGEST = 10000.0

#: Gain of layers that should add nothing at first.
FAINT = 1e-5

#: Deviation of the linear weights inside KAN blocks.
TOKEN_SD = 0.02


class TimeEmbedding(nn.Module):
    """Time steps as vectors: a frozen table of sines and cosines, then two linear layers."""

    def __init__(self, steps: int, width: int, embedding: int) -> None:
        super().__init__()
        rate = torch.exp(-torch.arange(0, width, 2) / width * math.log(LONGEST))
        angle = torch.arange(steps).float()[:, None] * rate[None]
        table = torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)
        first, second = nn.Linear(width, embedding), nn.Linear(embedding, embedding)
        for layer in (first, second):
            _xavier(layer)
        frozen = nn.Embedding(steps, width, _weight=table, _freeze=True)
        self.timembedding = nn.Sequential(frozen, first, nn.SiLU(), second)

    def forward(self, times: Tensor) -> Tensor:
        """Return the vectors of time steps, shape (N, embedding)."""
        vectors: Tensor = self.timembedding(times)
        return vectors


class ResidualBlock(nn.Module):
    """Two normalised convolutions beside a shortcut; the time enters between them."""

    def __init__(self, inputs: int, outputs: int, embedding: int, *, dropout: float) -> None:
        super().__init__()
        self.block1 = nn.Sequential(group_norm(inputs), nn.SiLU(), _convolution(inputs, outputs))
        self.temb_proj = nn.Sequential(nn.SiLU(), nn.Linear(embedding, outputs))
        self.block2 = nn.Sequential(
            group_norm(outputs),
            nn.SiLU(),
            nn.Dropout(dropout),
            _convolution(outputs, outputs, gain=FAINT),
        )
        self.shortcut = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)
        _xavier(self.temb_proj[1])
        if inputs != outputs:
            _xavier(self.shortcut)

    def forward(self, image: Tensor, time: Tensor) -> Tensor:
        """Return the block's output, shape (N, outputs, Y, X)."""
        inner = self.block1(image) + self.temb_proj(time)[:, :, None, None]
        output: Tensor = self.block2(inner) + self.shortcut(image)
        return output


class Halve(nn.Module):
    """A convolution of stride 2."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.main = _convolution(channels, channels, stride=2)

    def forward(self, image: Tensor) -> Tensor:
        """Return the image at half the size."""
        output: Tensor = self.main(image)
        return output


class Double(nn.Module):
    """Every pixel four times, then a convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.main = _convolution(channels, channels)

    def forward(self, image: Tensor) -> Tensor:
        """Return the image at twice the size."""
        output: Tensor = self.main(functional.interpolate(image, scale_factor=2.0))
        return output


class PatchEmbedding(nn.Module):
    """Overlapping patches as tokens: a convolution of stride 2 and a layer norm."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1)
        self.norm = nn.LayerNorm(outputs)
        nn.init.normal_(self.proj.weight, std=math.sqrt(2 / (9 * outputs)))
        assert self.proj.bias is not None  # noqa: S101  for mypy
        nn.init.zeros_(self.proj.bias)

    def forward(self, image: Tensor) -> Tensor:
        """Return tokens as a channels-last image, shape (N, Y / 2, X / 2, outputs)."""
        tokens: Tensor = self.norm(self.proj(image).movedim(1, -1))
        return tokens


class OneKan(nn.Module):
    """One KAN layer under the name that released checkpoints give it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1 = KanLinear(channels, channels)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the layer's output."""
        output: Tensor = self.fc1(tokens)
        return output


class ReleasedKanBlock(nn.Module):
    """The KAN block of the released code: one layer, nothing passed by, time added last."""

    def __init__(self, channels: int, embedding: int) -> None:
        super().__init__()
        self.norm2 = nn.LayerNorm(channels)
        self.temb_proj = _time_projection(embedding, channels)
        self.kan = OneKan(channels)

    def forward(self, tokens: Tensor, time: Tensor) -> Tensor:
        """Return tokens of the same shape, (N, Y, X, channels)."""
        output: Tensor = self.kan(self.norm2(tokens)) + self.temb_proj(time)[:, None, None]
        return output


class KanBlock(nn.Module):
    """The KAN block of the paper: three layers, each with its own look around, and a residual.

    Parameters
    ----------
    channels, embedding : int
        Width of tokens and of the time's vector.
    layers : int
        KAN layers, each followed by a depth-wise convolution, a norm and a Swish.
    reach : float
        Of the splines: 3 covers what a layer norm yields; 1, as released, leaves a third out.
    """

    def __init__(
        self, channels: int, embedding: int, *, layers: int = 3, reach: float = 3.0
    ) -> None:
        super().__init__()
        self.norm2 = nn.LayerNorm(channels)
        self.temb_proj = _time_projection(embedding, channels)
        self.kans = nn.ModuleList(
            KanLinear(channels, channels, reach=reach) for _ in range(layers)
        )
        self.around = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(channels, channels, 3, padding=1, groups=channels),
                group_norm(channels),
                nn.SiLU(),
            )
            for _ in range(layers)
        )

    def forward(self, tokens: Tensor, time: Tensor) -> Tensor:
        """Return tokens of the same shape, (N, Y, X, channels)."""
        inner = self.norm2(tokens)
        for kan, around in zip(self.kans, self.around, strict=True):
            inner = around(kan(inner).movedim(-1, 1)).movedim(1, -1)
        output: Tensor = tokens + inner + self.temb_proj(time)[:, None, None]
        return output


class TokenDecoder(nn.Module):
    """A normalised convolution with the time added, doubled in size."""

    def __init__(self, inputs: int, outputs: int, embedding: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            group_norm(inputs), nn.SiLU(), nn.Conv2d(inputs, outputs, 3, padding=1)
        )
        self.temb_proj = nn.Sequential(nn.SiLU(), nn.Linear(embedding, outputs))

    def forward(self, image: Tensor, time: Tensor) -> Tensor:
        """Return the image with `outputs` channels at twice the size."""
        inner = self.conv(image) + self.temb_proj(time)[:, :, None, None]
        return functional.silu(functional.interpolate(inner, scale_factor=2.0, mode="bilinear"))


def group_norm(channels: int) -> nn.GroupNorm:
    """Return a group norm of 32 groups; of fewer, where channels are few.

    A group of one channel would lose the channel's mean: with it the brightness of the noise,
    without which images turn all black or white, and the time, which is added as a mean.
    """
    if channels % GROUPS == 0 and channels > GROUPS:
        return nn.GroupNorm(GROUPS, channels)
    return nn.GroupNorm(math.gcd(GROUPS, max(channels // FEWEST_IN_GROUP, 1)), channels)


def _time_projection(embedding: int, channels: int) -> nn.Sequential:
    linear = nn.Linear(embedding, channels)
    nn.init.trunc_normal_(linear.weight, std=TOKEN_SD)
    nn.init.zeros_(linear.bias)
    return nn.Sequential(nn.SiLU(), linear)


def _convolution(inputs: int, outputs: int, *, stride: int = 1, gain: float = 1.0) -> nn.Conv2d:
    layer = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1)
    _xavier(layer, gain=gain)
    return layer


def _xavier(layer: nn.Module, *, gain: float = 1.0) -> None:
    assert isinstance(layer, nn.Conv2d | nn.Linear)  # noqa: S101  for mypy
    nn.init.xavier_uniform_(layer.weight, gain=gain)
    assert layer.bias is not None  # noqa: S101  likewise
    nn.init.zeros_(layer.bias)
