"""The diffusion U-KAN: a U-Net of convolutions with KAN blocks at its bottom."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.errors import ModelBundleError
from pipeline.segmentation.networks.upstream import load_upstream
from training.synthesis.ukan_blocks import (
    Double,
    Halve,
    KanBlock,
    PatchEmbedding,
    ReleasedKanBlock,
    ResidualBlock,
    TimeEmbedding,
    TokenDecoder,
    group_norm,
)

if TYPE_CHECKING:
    from collections.abc import Callable

#: Arguments of the released 64 x 64 configuration.
RELEASED_ARGUMENTS: dict[str, Any] = {"image_channels": 3, "as_released": True}

#: The bottom halves the image twice more than the U-Net does.
_TOKEN_HALVINGS = 2

#: Knots of a checkpoint may differ by rounding only.
_KNOT_TOLERANCE = 1e-5


class UKanDiffusion(nn.Module):
    """Tells the noise in a noisy image, given the time step and, optionally, the class.

    Parameters
    ----------
    image_channels : int
        1 for CT. The released code draws grey images in 3, which tints them.
    width : int
        Channels of the first level.
    multipliers : sequence of int
        Channels of each level as multiples of `width`; levels are halvings of the size.
    token_widths : tuple of int
        Channels of the two KAN levels below.
    residual_blocks : int
        Residual blocks in each level of the encoder; the decoder has one more.
    dropout : float
        Inside the residual blocks.
    steps : int
        Time steps of the diffusion.
    classes : int
        0: unconditional. Else the class is an input, and one more stands for "any".
    kan_layers : int
        KAN layers in each block of the paper's kind.
    as_released : bool
        KAN blocks of the released code (`ReleasedKanBlock`) in place of the paper's.
    patch : int
        Squares of so many pixels a side are taken together as channels: 2 draws 64 pixels at
        little more than the cost of 32 [1]_. The papers' networks see single pixels.

    References
    ----------
    .. [1] E. Hoogeboom et al., "Simple Diffusion: End-to-End Diffusion for High Resolution
       Images", ICML (2023), section 3.4.
    """

    def __init__(  # noqa: PLR0913  a configuration, given by keyword
        self,
        *,
        image_channels: int = 1,
        width: int = 64,
        multipliers: Sequence[int] = (1, 2, 3, 4),
        token_widths: Sequence[int] = (320, 512),
        residual_blocks: int = 2,
        dropout: float = 0.15,
        steps: int = 1000,
        classes: int = 0,
        kan_layers: int = 3,
        as_released: bool = False,
        patch: int = 1,
    ) -> None:
        super().__init__()
        if width % 2 or len(token_widths) != _TOKEN_HALVINGS:
            raise ValueError(
                f"An even width and two token widths expected, got {width}, {token_widths}"
            )
        embedding = 4 * width
        self.classes, self.patch, self.image_channels = classes, patch, image_channels
        self.size_multiple = patch * 2 ** (len(multipliers) - 1 + _TOKEN_HALVINGS)
        inputs = image_channels * patch**2
        self.time_embedding = TimeEmbedding(steps, width, embedding)
        if classes:
            self.class_embedding = nn.Embedding(classes + 1, embedding)
            nn.init.normal_(self.class_embedding.weight, std=0.02)
        self.head = nn.Conv2d(inputs, width, 3, padding=1)

        def residual(inputs: int, outputs: int) -> nn.Module:
            return ResidualBlock(inputs, outputs, embedding, dropout=dropout)

        levels = [width * one for one in multipliers]
        self.downblocks, skips = _encoder(levels, width, residual_blocks, residual)
        self.upblocks = _decoder(levels, skips, residual_blocks, residual)
        tail = nn.Conv2d(levels[0], inputs, 3, padding=1)
        self.tail = nn.Sequential(group_norm(levels[0]), nn.SiLU(), tail)
        self._add_bottom(
            levels[-1], token_widths, embedding, kan_layers=kan_layers, as_released=as_released
        )
        nn.init.xavier_uniform_(self.head.weight)
        nn.init.xavier_uniform_(tail.weight, gain=1e-5)
        for layer in (self.head, tail):
            assert layer.bias is not None  # noqa: S101  for mypy
            nn.init.zeros_(layer.bias)

    def forward(self, image: Tensor, times: Tensor, classes: Tensor | None = None) -> Tensor:
        """Return the predicted noise, shape (N, C, Y, X).

        Parameters
        ----------
        image : Tensor, shape (N, C, Y, X)
            Noisy images; sides are multiples of `size_multiple`.
        times : Tensor of int64, shape (N,)
            0 is the least noisy step.
        classes : Tensor of int64, shape (N,), optional
            The last index, also taken where nothing is given, means any class.
        """
        time = self.time_embedding(times)
        if self.classes:
            given = torch.full_like(times, self.classes) if classes is None else classes
            time = time + self.class_embedding(given)
        features = self.head(functional.pixel_unshuffle(image, self.patch))
        skips = [features]
        for layer in self.downblocks:
            features = layer(features) if isinstance(layer, Halve) else layer(features, time)
            skips.append(features)
        features = self._bottom(features, time)
        for layer in self.upblocks:
            if isinstance(layer, Double):
                features = layer(features)
                continue
            features = layer(torch.cat([features, skips.pop()], dim=1), time)
        return functional.pixel_shuffle(self.tail(features), self.patch)

    def _add_bottom(
        self,
        channels: int,
        token_widths: Sequence[int],
        embedding: int,
        *,
        kan_layers: int,
        as_released: bool,
    ) -> None:
        middle, deepest = token_widths

        def block(width: int) -> nn.ModuleList:
            one = (
                ReleasedKanBlock(width, embedding)
                if as_released
                else KanBlock(width, embedding, layers=kan_layers)
            )
            return nn.ModuleList([one])

        self.patch_embed3 = PatchEmbedding(channels, middle)
        self.patch_embed4 = PatchEmbedding(middle, deepest)
        self.norm3, self.norm4 = nn.LayerNorm(middle), nn.LayerNorm(deepest)
        self.dnorm3 = nn.LayerNorm(middle)
        self.kan_block1, self.kan_block2 = block(middle), block(deepest)
        self.kan_dblock1 = block(middle)
        self.decoder1 = TokenDecoder(deepest, middle, embedding)
        self.decoder2 = TokenDecoder(middle, channels, embedding)

    def _bottom(self, features: Tensor, time: Tensor) -> Tensor:
        middle = self.norm3(self.kan_block1[0](self.patch_embed3(features), time)).movedim(-1, 1)
        deepest = self.norm4(self.kan_block2[0](self.patch_embed4(middle), time)).movedim(-1, 1)
        tokens = (self.decoder1(deepest, time) + middle).movedim(1, -1)
        tokens = self.dnorm3(self.kan_dblock1[0](tokens, time)).movedim(-1, 1)
        output: Tensor = self.decoder2(tokens, time) + features
        return output


def load_released(network: UKanDiffusion, state: Mapping[str, Tensor]) -> None:
    """Load weights that the released code has saved, by their own names.

    Raises
    ------
    ModelBundleError
        If names, shapes or the splines' knots are not those of the network.
    """
    own = network.state_dict()
    for key, value in state.items():
        if key.endswith(".grid") and key in own and value.shape == own[key].shape:
            off = float((value - own[key].to(value)).abs().max())
            if off > _KNOT_TOLERANCE:
                raise ModelBundleError(f"{key}: knots differ by up to {off:g} from uniform ones")
    load_upstream(network, state)


def _encoder(
    levels: Sequence[int],
    width: int,
    blocks: int,
    residual: "Callable[[int, int], nn.Module]",
) -> tuple[nn.ModuleList, list[int]]:
    """Return the encoder and the channels of everything that the decoder will take up."""
    layers, skips, channels = nn.ModuleList(), [width], width
    for place, outputs in enumerate(levels):
        for _ in range(blocks):
            layers.append(residual(channels, outputs))
            channels = outputs
            skips.append(channels)
        if place < len(levels) - 1:
            layers.append(Halve(channels))
            skips.append(channels)
    return layers, skips


def _decoder(
    levels: Sequence[int],
    skips: list[int],
    blocks: int,
    residual: "Callable[[int, int], nn.Module]",
) -> nn.ModuleList:
    layers, channels = nn.ModuleList(), levels[-1]
    waiting = list(skips)
    for place, outputs in reversed(list(enumerate(levels))):
        for _ in range(blocks + 1):
            layers.append(residual(waiting.pop() + channels, outputs))
            channels = outputs
        if place > 0:
            layers.append(Double(channels))
    return layers
