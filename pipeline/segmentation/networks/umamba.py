"""U-Mamba: nnU-Net's residual U-Net with Mamba layers, after every stage or at the bottom.

Ma, Li and Wang, "U-Mamba: Enhancing Long-range Dependency for Biomedical Image Segmentation",
2024. Names of parameters are upstream's.

Upstream overflows under float16: what leaves a Mamba layer is float32 without a bound, and the
next convolution casts it to a type that ends at 65504. Here no tensor is ever float16: where
autocast asks for it, bfloat16 is used, which has the range of float32, or else float32.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.segmentation.networks.mamba import MambaLayer
from pipeline.segmentation.networks.umamba_layout import Triple, UMambaLayout
from pipeline.segmentation.networks.upstream import load_upstream

#: Slope of the rectifier below zero; also the gain of He's initialisation (nnU-Net).
_SLOPE = 0.01


def umamba_enc(**arguments: Any) -> "UMambaEnc":  # noqa: ANN401  the layout checks them
    """Return U-Mamba Enc; arguments are those of :class:`UMambaLayout`."""
    return UMambaEnc(UMambaLayout(**arguments))


def umamba_bot(**arguments: Any) -> "UMambaBot":  # noqa: ANN401  the layout checks them
    """Return U-Mamba Bot; arguments are those of :class:`UMambaLayout`."""
    return UMambaBot(UMambaLayout(**arguments))


def load_upstream_umamba(network: "UMambaEnc | UMambaBot", state: Mapping[str, Tensor]) -> None:
    """Load weights of the U-Mamba project; its decoder stores the encoder once more.

    Raises
    ------
    ModelBundleError
        If a key is unknown, one is missing, or a shape differs; the message names them.
    """
    load_upstream(network, state, is_duplicate=_is_duplicate)


class UMambaEnc(nn.Module):
    """U-Mamba with a Mamba layer after every stage of the encoder."""

    def __init__(self, layout: UMambaLayout) -> None:
        super().__init__()
        self.encoder = _Encoder(layout)
        self.encoder.mamba_layers = nn.ModuleList(
            MambaLayer(features, channel_token_voxels=voxels, post_norm=layout.post_norm)
            for features, voxels in zip(
                layout.features_per_stage, layout.channel_token_voxels, strict=True
            )
        )
        self.decoder = _Decoder(layout)
        self.apply(_initialise)

    @property
    def deep_supervision(self) -> bool:
        """Whether forward returns the logits of all decoder stages."""
        return self.decoder.deep_supervision

    @deep_supervision.setter
    def deep_supervision(self, wanted: bool) -> None:
        self.decoder.deep_supervision = wanted

    def forward(self, image: Tensor) -> Tensor | list[Tensor]:
        """Return logits (N, C, Z, Y, X) of images (N, 1, Z, Y, X); a list if deeply supervised."""
        with without_float16(image.device.type):
            logits: Tensor | list[Tensor] = self.decoder(self.encoder(_full(image)))
            return logits


class UMambaBot(nn.Module):
    """U-Mamba with one Mamba layer, on the deepest feature map."""

    def __init__(self, layout: UMambaLayout) -> None:
        super().__init__()
        self.encoder = _Encoder(layout)
        self.mamba_layer = MambaLayer(layout.features_per_stage[-1], post_norm=layout.post_norm)
        self.decoder = _Decoder(layout)
        self.apply(_initialise)

    @property
    def deep_supervision(self) -> bool:
        """Whether forward returns the logits of all decoder stages."""
        return self.decoder.deep_supervision

    @deep_supervision.setter
    def deep_supervision(self, wanted: bool) -> None:
        self.decoder.deep_supervision = wanted

    def forward(self, image: Tensor) -> Tensor | list[Tensor]:
        """Return logits (N, C, Z, Y, X) of images (N, 1, Z, Y, X); a list if deeply supervised."""
        with without_float16(image.device.type):
            *skips, deepest = self.encoder(_full(image))
            skips.append(self.mamba_layer(deepest))
            logits: Tensor | list[Tensor] = self.decoder(skips)
            return logits


def without_float16(device_type: str) -> AbstractContextManager[Any]:
    """Return a context in which autocast, if it is on, never casts to float16."""
    if not torch.is_autocast_enabled(device_type):
        return nullcontext()
    if torch.get_autocast_dtype(device_type) != torch.float16:
        return nullcontext()
    if device_type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.autocast(device_type, enabled=False)
    return torch.autocast(device_type, dtype=torch.bfloat16)


class _Encoder(nn.Module):
    """A stem at full resolution, then a stage per resolution, each with its Mamba layer if any."""

    mamba_layers: nn.ModuleList

    def __init__(self, layout: UMambaLayout) -> None:
        super().__init__()
        features, kernels = layout.features_per_stage, [_triple(k) for k in layout.kernel_sizes]
        blocks = layout.encoder_blocks
        self.stem = _stack(layout.input_channels, features[0], kernels[0], blocks[0])
        self.stages = nn.ModuleList(
            _stack(below, above, kernel, count, _triple(stride))
            for below, above, kernel, count, stride in zip(
                [features[0], *features[:-1]],
                features,
                kernels,
                blocks,
                layout.strides,
                strict=True,
            )
        )
        self.mamba_layers = nn.ModuleList()

    def forward(self, image: Tensor) -> list[Tensor]:
        current = self.stem(image)
        skips = []
        for index, stage in enumerate(self.stages):
            current = stage(current)
            if len(self.mamba_layers):
                current = self.mamba_layers[index](current)
            skips.append(current)
        return skips


class _Decoder(nn.Module):
    """Nearest upsampling, skip and residual blocks per resolution, logits at each."""

    def __init__(self, layout: UMambaLayout) -> None:
        super().__init__()
        self.deep_supervision = layout.deep_supervision
        features = list(layout.features_per_stage)[::-1]
        kernels = [_triple(kernel) for kernel in layout.kernel_sizes][-2::-1]
        strides = [_triple(stride) for stride in layout.strides][:0:-1]
        self.upsample_layers = nn.ModuleList(
            _Upsample(deep, skip, stride)
            for deep, skip, stride in zip(features, features[1:], strides, strict=False)
        )
        self.stages = nn.ModuleList(
            _stack(2 * skip, skip, kernel, count)
            for skip, kernel, count in zip(
                features[1:], kernels, layout.decoder_blocks, strict=True
            )
        )
        self.seg_layers = nn.ModuleList(
            nn.Conv3d(skip, layout.num_classes, 1) for skip in features[1:]
        )

    def forward(self, skips: list[Tensor]) -> Tensor | list[Tensor]:
        current, logits = skips[-1], []
        for index, (raise_, stage) in enumerate(
            zip(self.upsample_layers, self.stages, strict=True)
        ):
            current = stage(torch.cat([raise_(current), skips[-2 - index]], dim=1))
            if self.deep_supervision:
                logits.append(self.seg_layers[index](current))
        if self.deep_supervision:
            return logits[::-1]
        full: Tensor = self.seg_layers[-1](current)
        return full


class _Upsample(nn.Module):
    """Fewer channels, then nearest neighbours.

    Upstream does it the other way round; per voxel it is the same sum, computed more often.
    """

    def __init__(self, deep: int, skip: int, stride: Triple) -> None:
        super().__init__()
        self.conv = nn.Conv3d(deep, skip, 1)
        self.factor = tuple(float(step) for step in stride)

    def forward(self, features: Tensor) -> Tensor:
        return functional.interpolate(
            self.conv(features), scale_factor=self.factor, mode="nearest"
        )


def _stack(
    inputs: int, outputs: int, kernel: Triple, blocks: int, stride: Triple = (1, 1, 1)
) -> nn.Sequential:
    """Return one block that may change size and channels, and further ones that do not."""
    further = (_Residual(outputs, kernel) for _ in range(blocks - 1))
    return nn.Sequential(_Entry(inputs, outputs, kernel, stride), *further)


class _Entry(nn.Module):
    """Residual block with a projected shortcut."""

    def __init__(self, inputs: int, outputs: int, kernel: Triple, stride: Triple) -> None:
        super().__init__()
        self.conv1 = _conv(inputs, outputs, kernel, stride)
        self.norm1 = _norm(outputs)
        self.conv2 = _conv(outputs, outputs, kernel)
        self.norm2 = _norm(outputs)
        self.conv3 = nn.Conv3d(inputs, outputs, 1, stride)

    def forward(self, features: Tensor) -> Tensor:
        mixed = _rectified(self.norm1(self.conv1(features)))
        return _rectified(self.norm2(self.conv2(mixed)) + self.conv3(features))


class _Residual(nn.Module):
    """Residual block with an identity shortcut (nnU-Net's BasicBlockD)."""

    def __init__(self, channels: int, kernel: Triple) -> None:
        super().__init__()
        self.conv1 = _Normed(channels, kernel)
        self.conv2 = _Normed(channels, kernel)

    def forward(self, features: Tensor) -> Tensor:
        return _rectified(self.conv2(_rectified(self.conv1(features))) + features)


class _Normed(nn.Module):
    """Convolution and instance norm."""

    def __init__(self, channels: int, kernel: Triple) -> None:
        super().__init__()
        self.conv = _conv(channels, channels, kernel)
        self.norm = _norm(channels)

    def forward(self, features: Tensor) -> Tensor:
        normed: Tensor = self.norm(self.conv(features))
        return normed


def _conv(inputs: int, outputs: int, kernel: Triple, stride: Triple = (1, 1, 1)) -> nn.Conv3d:
    padding = (kernel[0] // 2, kernel[1] // 2, kernel[2] // 2)
    return nn.Conv3d(inputs, outputs, kernel, stride, padding)


def _norm(channels: int) -> nn.InstanceNorm3d:
    return nn.InstanceNorm3d(channels, eps=1e-5, affine=True)


def _rectified(features: Tensor) -> Tensor:
    return functional.leaky_relu(features, _SLOPE, inplace=True)


def _initialise(module: nn.Module) -> None:
    """Initialise volume convolutions as nnU-Net does; Mamba keeps its own start."""
    if isinstance(module, nn.Conv3d):
        nn.init.kaiming_normal_(module.weight, a=_SLOPE)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _is_duplicate(key: str) -> bool:
    """Return whether upstream stores a tensor under this key for the second time."""
    return key.startswith("decoder.encoder.") or ".all_modules." in key


def _full(image: Tensor) -> Tensor:
    """Return the image in at least float32."""
    return image.to(torch.promote_types(image.dtype, torch.float32))


def _triple(values: Sequence[int]) -> Triple:
    depth, height, width = values
    return int(depth), int(height), int(width)
