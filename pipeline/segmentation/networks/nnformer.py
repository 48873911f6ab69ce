"""nnFormer: a U-shaped transformer with attention in local and global windows."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.errors import ModelBundleError
from pipeline.segmentation.networks.nnformer_layout import (
    NnFormerShape,
    StageShape,
    nnformer_shape,
)
from pipeline.segmentation.networks.nnformer_stages import (
    AttentionBlock,
    Expansion,
    PatchEmbedding,
    Reduction,
)
from pipeline.segmentation.networks.upstream import load_upstream

#: Width at which a laptop trains the network; the layout's own is 96.
NARROW_WIDTH = 32

#: Attention blocks per stage, in the encoder as in the decoder.
_BLOCKS = 2

_INDEX = ".relative_position_index"


class NnFormer(nn.Module):
    """nnFormer for a patch of fixed size.

    Parameters
    ----------
    patch_size_zyx : sequence of int
        Voxels of the input.
    layout : {"head_ct", "synapse", "acdc"}
        The latter two are the released ones.
    input_channels, classes : int
        Channels in, class logits out.
    width : int, optional
        Channels of the finest tokens; the layout's own if not given.
    drop_path : float
        Probability, in training, that the deepest block is skipped; linear from 0.
    supervised : bool, optional
        Whether coarser decoder levels have heads; as the layout if not given.
    as_released : bool
        Repeat the flaws of the released code, which its weights depend on: different offsets
        share a bias, and with ACDC shifted windows mix opposite borders of the volume.

    Attributes
    ----------
    deep_supervision : bool
        Whether `forward` returns the logits of every decoder level, finest first.

    Raises
    ------
    ValueError
        If the layout is unknown or the patch does not fit it.

    References
    ----------
    .. [1] Zhou et al., "nnFormer: Volumetric Medical Image Segmentation via a 3D Transformer",
       IEEE TIP 2023.
    """

    def __init__(
        self,
        *,
        patch_size_zyx: Sequence[int],
        layout: str = "head_ct",
        input_channels: int = 1,
        classes: int = 2,
        width: int | None = None,
        drop_path: float = 0.2,
        supervised: bool | None = None,
        as_released: bool = False,
    ) -> None:
        super().__init__()
        shape = nnformer_shape(
            layout, patch_size_zyx, width=width, supervised=supervised, as_released=as_released
        )
        self.patch_size_zyx = shape.patch_zyx
        self.model_down = _Encoder(shape, input_channels=input_channels, drop_path=drop_path)
        self.decoder = _Decoder(shape, drop_path=drop_path)
        levels = len(shape.stages) - 1 if shape.supervised else 1
        self.final = nn.ModuleList(
            _Head(stage.width, classes, shape.embedding_zyx) for stage in shape.stages[:levels]
        )
        self._deep_supervision = False

    @property
    def deep_supervision(self) -> bool:
        """Whether `forward` returns the logits of every decoder level, finest first.

        Raises
        ------
        ValueError
            When set to True and the coarser levels have no heads.
        """
        return self._deep_supervision

    @deep_supervision.setter
    def deep_supervision(self, wanted: bool) -> None:
        if wanted and len(self.final) == 1:
            raise ValueError("This nnFormer has one head; build it with supervised=True")
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
                f"This nnFormer takes {self.patch_size_zyx} voxels, got {tuple(image.shape[2:])}"
            )
        levels = self.decoder(self.model_down(image))
        if not self._deep_supervision:
            finest: Tensor = self.final[0](levels[0])
            return finest
        return [head(level) for head, level in zip(self.final, levels, strict=True)]


class _Encoder(nn.Module):
    """From an image to one normalised feature map per stage."""

    def __init__(self, shape: NnFormerShape, *, input_channels: int, drop_path: float) -> None:
        super().__init__()
        self.patch_embed = PatchEmbedding(
            input_channels=input_channels,
            width=shape.stages[0].width,
            patch_zyx=shape.embedding_zyx,
        )
        rates = _rising(drop_path, len(shape.stages))
        strides = (*shape.strides, None)
        self.layers = nn.ModuleList(
            _EncoderStage(stage, stride_zyx=stride, drop_path=rate)
            for stage, stride, rate in zip(shape.stages, strides, rates, strict=True)
        )
        for number, stage in enumerate(shape.stages):
            self.add_module(f"norm{number}", nn.LayerNorm(stage.width))

    def forward(self, image: Tensor) -> list[Tensor]:
        features = self.patch_embed(image)
        skips = []
        for number, stage in enumerate(self.layers):
            here, features = stage(features)
            skips.append(self.get_submodule(f"norm{number}")(here))
        return skips


class _EncoderStage(nn.Module):
    """Attention blocks and, but for the last stage, a reduction."""

    def __init__(
        self, stage: StageShape, *, stride_zyx: tuple[int, int, int] | None, drop_path: list[float]
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            AttentionBlock(stage, shifted=number % 2 == 1, cross=False, drop_path=rate)
            for number, rate in enumerate(drop_path)
        )
        self.downsample = None
        if stride_zyx is not None:
            self.downsample = Reduction(
                width=stage.width, grid_zyx=stage.grid_zyx, stride_zyx=stride_zyx
            )

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return the features of this stage and those for the next."""
        for block in self.blocks:
            features = block(features)
        if self.downsample is None:
            return features, features
        return features, self.downsample(features)


class _Decoder(nn.Module):
    """From the encoder's feature maps to those of the decoder, finest first in both."""

    def __init__(self, shape: NnFormerShape, *, drop_path: float) -> None:
        super().__init__()
        levels = shape.stages[:-1]
        # The deepest level comes first in the decoder and is dropped least.
        rates = _rising(drop_path, len(levels))[::-1]
        self.layers = nn.ModuleList(
            _DecoderStage(stage, stride_zyx=stride, drop_path=rate)
            for stage, stride, rate in zip(levels, shape.strides, rates, strict=True)
        )

    def forward(self, skips: list[Tensor]) -> list[Tensor]:
        features = skips[-1]
        levels: list[Tensor] = []
        for stage, skip in zip(reversed(self.layers), reversed(skips[:-1]), strict=True):
            features = stage(features, skip)
            levels.insert(0, features)
        return levels


class _DecoderStage(nn.Module):
    """Expansion, attention from below to the skip, then attention within the sum."""

    def __init__(
        self, stage: StageShape, *, stride_zyx: tuple[int, int, int], drop_path: list[float]
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            AttentionBlock(stage, shifted=number > 0, cross=number == 0, drop_path=rate)
            for number, rate in enumerate(drop_path)
        )
        self.Upsample = Expansion(
            width=stage.width, grid_zyx=stage.grid_zyx, stride_zyx=stride_zyx
        )

    def forward(self, below: Tensor, skip: Tensor) -> Tensor:
        raised = self.Upsample(below)
        features: Tensor = self.blocks[0](raised + skip, queries=raised, keys=skip)
        for block in list(self.blocks)[1:]:
            features = block(features)
        return features


class _Head(nn.Module):
    """From tokens (N, Z, Y, X, C) to logits of the voxels they stand for."""

    def __init__(self, width: int, classes: int, patch_zyx: tuple[int, int, int]) -> None:
        super().__init__()
        self.up = nn.ConvTranspose3d(width, classes, patch_zyx, patch_zyx)

    def forward(self, features: Tensor) -> Tensor:
        logits: Tensor = self.up(features.movedim(-1, 1))
        return logits


def nnformer_arguments(patch_size_zyx: Sequence[int], *, width: int = 96) -> dict[str, Any]:
    """Return arguments for head CT; `NARROW_WIDTH` suits small experiments.

    Raises
    ------
    ValueError
        If the patch does not fit.
    """
    nnformer_shape("head_ct", patch_size_zyx, width=width)
    return {"layout": "head_ct", "patch_size_zyx": list(patch_size_zyx), "width": width}


def load_upstream_nnformer(network: NnFormer, state: Mapping[str, Tensor]) -> None:
    """Load weights that the released code has trained.

    Raises
    ------
    ModelBundleError
        If keys or shapes differ, or if the weights were trained with another assignment of
        biases to offsets than the network has.
    """
    own = dict(network.named_buffers())
    for key in state.keys() & own.keys():
        theirs, ours = state[key].cpu(), own[key].cpu()
        # Other shapes come from other windows; the table of biases then tells so.
        if theirs.shape == ours.shape and not torch.equal(theirs, ours):
            raise ModelBundleError(
                f"{key} assigns biases otherwise than the network; "
                "released weights need as_released=True"
            )
    load_upstream(network, state, is_duplicate=lambda key: key.endswith(_INDEX))


def _rising(highest: float, stages: int) -> list[list[float]]:
    """Return drop rates of every stage's blocks, rising linearly from 0 to the highest."""
    rates = torch.linspace(0, highest, stages * _BLOCKS, device="cpu").tolist()
    return [rates[first : first + _BLOCKS] for first in range(0, len(rates), _BLOCKS)]
