"""Blocks of UNETR++: paired attention over tokens and over channels, and residual units.

Submodules are named as in the released code, so that its weights fit.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.segmentation.networks.unetr_plus_plus_layout import BlockKind, Size

_SLOPE = 0.01

#: Share of channels dropped before the last convolution of a block in training.
_CHANNEL_DROPOUT = 0.1


class TransformerBlock(nn.Module):
    """Paired attention, then residual units, each with a shortcut.

    Parameters
    ----------
    kind : BlockKind
        How the block is made.
    tokens, width : int
        Number of tokens and their channels.
    heads, projection : int
        Attention heads, and keys and values that the tokens are projected to.
    as_released : bool
        Whether the token branch is scrambled, see `PairedAttention`.
    """

    def __init__(
        self,
        kind: BlockKind,
        *,
        tokens: int,
        width: int,
        heads: int,
        projection: int,
        as_released: bool,
    ) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.gamma = nn.Parameter(torch.full((width,), 1e-6))
        self.epa_block = PairedAttention(
            kind,
            tokens=tokens,
            width=width,
            heads=heads,
            projection=projection,
            as_released=as_released,
        )
        self.conv51 = ResidualUnit(width, width, norm=nn.BatchNorm3d)
        self.conv52 = (
            ResidualUnit(width, width, norm=nn.BatchNorm3d) if kind.convolutions > 1 else None
        )
        self.conv8 = nn.Sequential(nn.Dropout3d(_CHANNEL_DROPOUT), nn.Conv3d(width, width, 1))
        self.pos_embed = nn.Parameter(torch.zeros(1, tokens, width))

    def forward(self, features: Tensor) -> Tensor:
        """Return features (N, C, Z, Y, X) of the same size."""
        tokens = features.flatten(2).transpose(1, 2) + self.pos_embed
        tokens = tokens + self.gamma * self.epa_block(self.norm(tokens))
        attended = tokens.transpose(1, 2).reshape(features.shape)
        refined = self.conv51(attended)
        if self.conv52 is not None:
            refined = self.conv52(refined)
        mixed: Tensor = attended + self.conv8(refined)
        return mixed


class PairedAttention(nn.Module):
    """Attention over tokens and attention over channels that share queries and keys.

    Parameters
    ----------
    kind : BlockKind
        How the block is made.
    tokens, width, heads, projection : int
        Number of tokens, their channels, attention heads, and keys and values that the tokens
        are projected to.
    as_released : bool
        The released code reads the token branch's result with tokens and channels in the wrong
        order, which mixes unrelated places. Released weights have learned with it.

    Raises
    ------
    ValueError
        If the heads do not divide the width, or the width is odd.

    References
    ----------
    .. [1] Shaker et al., "UNETR++: Delving into Efficient and Accurate 3D Medical Image
       Segmentation", IEEE TMI 2024.
    """

    def __init__(
        self,
        kind: BlockKind,
        *,
        tokens: int,
        width: int,
        heads: int,
        projection: int,
        as_released: bool,
    ) -> None:
        super().__init__()
        if width % heads or width % 2:
            raise ValueError(f"{width} channels must be even and a multiple of {heads} heads")
        self.heads = heads
        self.as_released = as_released
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.temperature2 = nn.Parameter(torch.ones(heads, 1, 1))
        self.qkvv = nn.Linear(width, 4 * width, bias=False)
        shape = (tokens, projection)
        bare, own = kind.keys_and_values == "bare", kind.keys_and_values == "two"
        bound = projection**-0.5
        self.EF = nn.Parameter(torch.empty(shape).uniform_(-bound, bound)) if bare else None
        self.E = None if bare else nn.Linear(*shape)
        self.F = nn.Linear(*shape) if own else None
        self.attn_drop = nn.Dropout(kind.dropout)
        self.out_proj = None if kind.summed else nn.Linear(width, width // 2)
        self.out_proj2 = None if kind.summed else nn.Linear(width, width // 2)

    def forward(self, features: Tensor) -> Tensor:
        """Return attended tokens, (N, T, C) in and out."""
        n, tokens, width = features.shape
        parts = self.qkvv(features).view(n, tokens, 4, self.heads, width // self.heads)
        # Each (N, heads, C / heads, T).
        query, key, channel_value, token_value = parts.permute(2, 0, 3, 4, 1)
        few_keys, few_values = self._projected(key, token_value)
        query, key = functional.normalize(query, dim=-1), functional.normalize(key, dim=-1)

        scores = (query @ key.transpose(-2, -1)) * self.temperature
        by_channel = self.attn_drop(scores.softmax(dim=-1)) @ channel_value
        by_channel = by_channel.permute(0, 3, 1, 2).reshape(n, tokens, width)

        scores = (query.transpose(-2, -1) @ few_keys) * self.temperature2
        by_token = self.attn_drop(scores.softmax(dim=-1)) @ few_values.transpose(-2, -1)
        order = (0, 3, 1, 2) if self.as_released else (0, 2, 1, 3)
        by_token = by_token.permute(order).reshape(n, tokens, width)

        if self.out_proj is None or self.out_proj2 is None:
            summed: Tensor = by_channel + by_token
            return summed
        return torch.cat([self.out_proj(by_token), self.out_proj2(by_channel)], dim=-1)

    def _projected(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Return keys and values projected from all tokens to a few."""
        if self.E is None:
            few = self.get_parameter("EF")
            return key @ few, value @ few
        project_value = self.E if self.F is None else self.F
        return self.E(key), project_value(value)


class ResidualUnit(nn.Module):
    """Two 3x3x3 convolutions with a shortcut, which is projected if the channels change."""

    def __init__(
        self, inputs: int, outputs: int, *, norm: type[nn.BatchNorm3d | nn.InstanceNorm3d]
    ) -> None:
        super().__init__()
        self.conv1 = Convolution(inputs, outputs, (3, 3, 3))
        self.conv2 = Convolution(outputs, outputs, (3, 3, 3))
        self.norm1 = norm(outputs)
        self.norm2 = norm(outputs)
        projected = inputs != outputs
        self.conv3 = Convolution(inputs, outputs, (1, 1, 1)) if projected else None
        self.norm3 = norm(outputs) if projected else None

    def forward(self, features: Tensor) -> Tensor:
        """Return features (N, C, Z, Y, X) of the same size."""
        mixed = functional.leaky_relu(self.norm1(self.conv1(features)), _SLOPE)
        mixed = self.norm2(self.conv2(mixed))
        if self.conv3 is not None and self.norm3 is not None:
            features = self.norm3(self.conv3(features))
        return functional.leaky_relu(mixed + features, _SLOPE)


class Convolution(nn.Module):
    """A convolution without offset under the name that the released code gives it."""

    def __init__(
        self, inputs: int, outputs: int, kernel: Size, *, stride: Size = (1, 1, 1)
    ) -> None:
        super().__init__()
        z, y, x = (
            size // 2 if step == 1 else 0 for size, step in zip(kernel, stride, strict=True)
        )
        self.conv = nn.Conv3d(inputs, outputs, kernel, stride, (z, y, x), bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """Return convolved features."""
        convolved: Tensor = self.conv(features)
        return convolved
