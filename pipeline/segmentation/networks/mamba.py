"""The Mamba block and the layer that U-Mamba wraps around it.

Names of parameters are those of mamba-ssm and U-Mamba, hence their weights load.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.segmentation.selective_scan.scan import selective_scan

#: Sizes that U-Mamba leaves as mamba-ssm has them: states per channel, width of the causal
#: convolution, inner channels per channel, channels per rank of the step.
_STATES = 16
_CONV_WIDTH = 4
_EXPANSION = 2
_CHANNELS_PER_RANK = 16

#: Range of the step at initialisation, and its floor (Gu and Dao 2023, section 3.6).
_STEP_RANGE = (1e-3, 1e-1)
_STEP_FLOOR = 1e-4


class Mamba(nn.Module):
    """A Mamba-1 block: gated selective scan behind a short causal convolution.

    Parameters
    ----------
    channels : int
        Size of a token.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = _EXPANSION * channels
        self.rank = math.ceil(channels / _CHANNELS_PER_RANK)
        self.in_proj = nn.Linear(channels, 2 * inner, bias=False)
        self.conv1d = nn.Conv1d(inner, inner, _CONV_WIDTH, padding=_CONV_WIDTH - 1, groups=inner)
        self.x_proj = nn.Linear(inner, self.rank + 2 * _STATES, bias=False)
        self.dt_proj = nn.Linear(self.rank, inner)
        rates = torch.arange(1, _STATES + 1, dtype=torch.float32)
        self.A_log = nn.Parameter(torch.log(rates).repeat(inner, 1))
        self.D = nn.Parameter(torch.ones(inner))
        self.out_proj = nn.Linear(inner, channels, bias=False)
        self._initialise_step(inner)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return (batch, tokens, channels) for the same shape; each token sees those before it."""
        length = tokens.shape[1]
        # Channels come first from here on, as the convolution and the scan want them.
        inner = torch.matmul(self.in_proj.weight, tokens.transpose(1, 2))
        x, gate = inner.chunk(2, dim=1)
        x = functional.silu(self.conv1d(x)[..., :length])
        steered = torch.matmul(self.x_proj.weight, x)
        step, write, read = torch.split(steered, [self.rank, _STATES, _STATES], dim=1)
        mixed = selective_scan(
            x,
            torch.matmul(self.dt_proj.weight, step),
            a=-torch.exp(self.A_log),
            b=write,
            c=read,
            d=self.D,
            z=gate,
            dt_bias=self.dt_proj.bias,
        )
        return torch.matmul(self.out_proj.weight, mixed).transpose(1, 2)

    def _initialise_step(self, inner: int) -> None:
        """Make the first steps log-uniform in their range, whatever enters."""
        bound = self.rank**-0.5
        nn.init.uniform_(self.dt_proj.weight, -bound, bound)
        low, high = (math.log(limit) for limit in _STEP_RANGE)
        step = torch.exp(torch.rand(inner) * (high - low) + low).clamp(min=_STEP_FLOOR)
        with torch.no_grad():
            # The inverse of softplus.
            self.dt_proj.bias.copy_(step + torch.log(-torch.expm1(-step)))


class MambaLayer(nn.Module):
    """U-Mamba's layer: normalise tokens and mix them by Mamba, always in full precision.

    Parameters
    ----------
    channels : int
        Of the feature map.
    channel_token_voxels : int, optional
        Make each channel a token of so many voxels; else each voxel is a token, in raster order
        with the last axis fastest.
    post_norm : bool
        Normalise the tokens behind Mamba too. U-Mamba does not.
    """

    def __init__(
        self, channels: int, *, channel_token_voxels: int | None = None, post_norm: bool = False
    ) -> None:
        super().__init__()
        self.channel_token_voxels = channel_token_voxels
        size = channel_token_voxels or channels
        self.norm = nn.LayerNorm(size)
        self.mamba = Mamba(size)
        self.post_norm: nn.Module = nn.LayerNorm(size) if post_norm else nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        """Return a feature map (N, C, Z, Y, X) for one, float32.

        Raises
        ------
        ValueError
            If channels are tokens and the map has another number of voxels.
        """
        voxels = features.shape[2:].numel()
        if self.channel_token_voxels not in {None, voxels}:
            raise ValueError(
                f"This layer needs maps of {self.channel_token_voxels} voxels, got {voxels}"
            )
        with torch.autocast(features.device.type, enabled=False):
            flat = features.flatten(2).to(self.norm.weight.dtype)
            if self.channel_token_voxels is None:
                mixed = self._mix(flat.transpose(1, 2)).transpose(1, 2)
            else:
                mixed = self._mix(flat)
            return mixed.reshape(features.shape)

    def _mix(self, tokens: Tensor) -> Tensor:
        mixed: Tensor = self.post_norm(self.mamba(self.norm(tokens)))
        return mixed
