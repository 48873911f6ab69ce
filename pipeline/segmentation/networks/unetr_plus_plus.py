"""UNETR++: a U-shaped network with paired attention over tokens and over channels."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.errors import ModelBundleError
from pipeline.segmentation.networks.unetr_plus_plus_blocks import (
    Convolution,
    ResidualUnit,
    TransformerBlock,
)
from pipeline.segmentation.networks.unetr_plus_plus_layout import (
    Size,
    UnetrPlusPlusShape,
    unetr_plus_plus_shape,
)
from pipeline.segmentation.networks.upstream import load_upstream

#: Width at which a laptop trains the network; the released one is 32.
NARROW_WIDTH = 16

#: Blocks per stage and attention heads in all released layouts.
_BLOCKS = 3
_HEADS = 4

#: Heads with deep supervision: full resolution and the two finest grids.
_SUPERVISED = 3


class UnetrPlusPlus(nn.Module):
    """UNETR++ for a patch of fixed size.

    Parameters
    ----------
    patch_size_zyx : sequence of int
        Voxels of the input. Weights are bound to it: each token has its own.
    layout : {"head_ct", "synapse", "acdc", "lung", "tumor"}
        All but the first are released ones.
    input_channels, classes : int
        Channels in, class logits out.
    width : int
        Channels of the finest tokens.
    projection : int
        Keys and values that the tokens are projected to; half of it at the deepest stage.
    supervised : bool
        Whether coarser decoder levels have heads.
    as_released : bool
        Repeat the scrambled token branch of the released code, which its weights depend on.

    Attributes
    ----------
    deep_supervision : bool
        Whether `forward` returns the logits of three levels, finest first.

    Raises
    ------
    ValueError
        If the layout is unknown or the patch does not fit it.

    References
    ----------
    .. [1] Shaker et al., "UNETR++: Delving into Efficient and Accurate 3D Medical Image
       Segmentation", IEEE TMI 2024.
    """

    def __init__(
        self,
        *,
        patch_size_zyx: Sequence[int],
        layout: str = "head_ct",
        input_channels: int = 1,
        classes: int = 2,
        width: int = 32,
        projection: int = 64,
        supervised: bool = True,
        as_released: bool = False,
    ) -> None:
        super().__init__()
        shape = unetr_plus_plus_shape(layout, patch_size_zyx)
        self.patch_size_zyx = shape.patch_zyx
        widths = [width * 2**stage for stage in range(len(shape.grids))]
        projections = [projection] * (len(widths) - 1) + [projection // 2]
        stages = [
            _stage(shape, number, widths[number], projections[number], as_released=as_released)
            for number in range(len(widths))
        ]
        self.unetr_pp_encoder = _Encoder(
            stages, shape=shape, widths=widths, input_channels=input_channels
        )
        self.encoder1 = ResidualUnit(input_channels, width // 2, norm=nn.InstanceNorm3d)
        ups = [
            _Up(
                widths[level + 1],
                widths[level],
                shape.strides[level],
                _stage(shape, level, widths[level], projection, as_released=as_released),
            )
            for level in range(len(shape.strides))
        ]
        self.decoder3, self.decoder4, self.decoder5 = ups
        last = ResidualUnit(width // 2, width // 2, norm=nn.InstanceNorm3d)
        self.decoder2 = _Up(width, width // 2, shape.stem_zyx, last)
        self.out1 = _Head(width // 2, classes)
        self.out2 = _Head(widths[0], classes) if supervised else None
        self.out3 = _Head(widths[1], classes) if supervised else None
        self._deep_supervision = False

    @property
    def deep_supervision(self) -> bool:
        """Whether `forward` returns the logits of three levels, finest first.

        Raises
        ------
        ValueError
            When set to True and the coarser levels have no heads.
        """
        return self._deep_supervision

    @deep_supervision.setter
    def deep_supervision(self, wanted: bool) -> None:
        if wanted and self.out2 is None:
            raise ValueError("This UNETR++ has one head; build it with supervised=True")
        self._deep_supervision = wanted

    def forward(self, image: Tensor) -> Tensor | list[Tensor]:
        """Return class logits (N, C, Z, Y, X) of images (N, 1, Z, Y, X), or a list of them.

        Raises
        ------
        ValueError
            If the image does not have the size that the network was built for.
        """
        if tuple(image.shape[2:]) != self.patch_size_zyx:
            raise ValueError(
                f"This UNETR++ takes {self.patch_size_zyx} voxels, got {tuple(image.shape[2:])}"
            )
        skips = self.unetr_pp_encoder(image)
        third = self.decoder5(skips[3], skips[2])
        second = self.decoder4(third, skips[1])
        first = self.decoder3(second, skips[0])
        finest: Tensor = self.out1(self.decoder2(first, self.encoder1(image)))
        if not self._deep_supervision or self.out2 is None or self.out3 is None:
            return finest
        return [finest, self.out2(first), self.out3(second)]


class _Encoder(nn.Module):
    """From an image to one feature map per stage, finest first."""

    def __init__(
        self,
        stages: list[nn.Sequential],
        *,
        shape: UnetrPlusPlusShape,
        widths: list[int],
        input_channels: int,
    ) -> None:
        super().__init__()
        below = [input_channels, *widths]
        strides = [shape.stem_zyx, *shape.strides]
        self.downsample_layers = nn.ModuleList(
            nn.Sequential(
                Convolution(inputs, outputs, stride, stride=stride),
                nn.GroupNorm(inputs, outputs),
            )
            for inputs, outputs, stride in zip(below, widths, strides, strict=False)
        )
        self.stages = nn.ModuleList(stages)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, image: Tensor) -> list[Tensor]:
        skips: list[Tensor] = []
        features = image
        for reduce, stage in zip(self.downsample_layers, self.stages, strict=True):
            features = stage(reduce(features))
            skips.append(features)
        return skips


class _Up(nn.Module):
    """Transposed convolution, sum with the skip, and what refines the sum."""

    def __init__(self, inputs: int, outputs: int, stride: Size, refine: nn.Module) -> None:
        super().__init__()
        self.transp_conv = _Transposed(inputs, outputs, stride)
        self.decoder_block = nn.ModuleList([refine])

    def forward(self, below: Tensor, skip: Tensor) -> Tensor:
        refined: Tensor = self.decoder_block[0](self.transp_conv(below) + skip)
        return refined


class _Transposed(nn.Module):
    """A transposed convolution under the name that the released code gives it."""

    def __init__(self, inputs: int, outputs: int, stride: Size) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose3d(inputs, outputs, stride, stride, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        raised: Tensor = self.conv(features)
        return raised


class _Head(nn.Module):
    """Class logits of every place."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.conv = nn.Sequential()
        self.conv.add_module("conv", nn.Conv3d(width, classes, 1))

    def forward(self, features: Tensor) -> Tensor:
        logits: Tensor = self.conv(features)
        return logits


def _stage(
    shape: UnetrPlusPlusShape, number: int, width: int, projection: int, *, as_released: bool
) -> nn.Sequential:
    return nn.Sequential(
        *(
            TransformerBlock(
                shape.block,
                tokens=shape.tokens[number],
                width=width,
                heads=_HEADS,
                projection=projection,
                as_released=as_released,
            )
            for _ in range(_BLOCKS)
        )
    )


def unetr_plus_plus_arguments(
    patch_size_zyx: Sequence[int], *, width: int = 32, projection: int = 64
) -> dict[str, Any]:
    """Return arguments for head CT; `NARROW_WIDTH` suits small experiments.

    Raises
    ------
    ValueError
        If the patch does not fit.
    """
    unetr_plus_plus_shape("head_ct", patch_size_zyx)
    return {
        "layout": "head_ct",
        "patch_size_zyx": list(patch_size_zyx),
        "width": width,
        "projection": projection,
    }


def load_upstream_unetr_plus_plus(network: UnetrPlusPlus, state: Mapping[str, Tensor]) -> None:
    """Load weights that the released code has trained.

    Where keys and values share one projection (Synapse), it is stored under two names.

    Raises
    ------
    ModelBundleError
        If keys or shapes differ, or if what should be one projection differs under its names.
    """
    own = network.state_dict().keys()
    twice = {key for key in state if ".epa_block.F." in key and key not in own}
    for key in twice:
        first = key.replace(".epa_block.F.", ".epa_block.E.")
        if first in state and not torch.equal(state[key], state[first]):
            raise ModelBundleError(f"{key} and {first} differ, but the layout shares them")
    load_upstream(network, state, is_duplicate=lambda key: key in twice)
