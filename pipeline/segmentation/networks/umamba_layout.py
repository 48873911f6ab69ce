"""The sizes of a U-Mamba network, and how they follow from nnU-Net's plans."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Triple = tuple[int, int, int]

#: Blocks per stage that nnU-Net's plans ask for.
_BLOCKS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class UMambaLayout:
    """Sizes of a U-Mamba network.

    Attributes
    ----------
    patch_size_zyx : sequence of int
        Voxels of the input. It decides which Mamba layers make tokens of channels.
    features_per_stage : sequence of int
        Channels per stage, full resolution first.
    strides, kernel_sizes : sequence of (int, int, int)
        Per stage, (z, y, x); the first stride is usually 1.
    n_blocks_per_stage : sequence of int, optional
        Residual blocks per encoder stage; 2, in the deeper half 1.
    n_blocks_per_stage_decoder : sequence of int, optional
        Per decoder stage, deepest first; 2, in the second half 1.
    input_channels, num_classes : int
        Channels in, class logits out.
    deep_supervision : bool
        Whether forward returns the logits of all decoder stages.
    post_norm : bool
        Normalise behind each Mamba layer too. U-Mamba does not; its weights need False.

    Raises
    ------
    ValueError
        If the numbers of stages differ or the strides do not divide the patch.
    """

    patch_size_zyx: Sequence[int]
    features_per_stage: Sequence[int]
    strides: Sequence[Sequence[int]]
    kernel_sizes: Sequence[Sequence[int]]
    n_blocks_per_stage: Sequence[int] | None = None
    n_blocks_per_stage_decoder: Sequence[int] | None = None
    input_channels: int = 1
    num_classes: int = 2
    deep_supervision: bool = False
    post_norm: bool = False

    def __post_init__(self) -> None:
        stages = len(self.features_per_stage)
        lengths = {
            "strides": (len(self.strides), stages),
            "kernel_sizes": (len(self.kernel_sizes), stages),
            "n_blocks_per_stage": (len(self.encoder_blocks), stages),
            "n_blocks_per_stage_decoder": (len(self.decoder_blocks), stages - 1),
        }
        for name, (found, wanted) in lengths.items():
            if found != wanted:
                raise ValueError(f"{name} must have {wanted} entries, got {found}")
        for axis, size in enumerate(self.patch_size_zyx):
            total = math.prod(stride[axis] for stride in self.strides)
            if size % total:
                raise ValueError(
                    f"Patch {tuple(self.patch_size_zyx)} is not divisible by {total} along "
                    f"axis {axis}"
                )

    @property
    def encoder_blocks(self) -> tuple[int, ...]:
        """Residual blocks per encoder stage."""
        if self.n_blocks_per_stage is not None:
            return tuple(self.n_blocks_per_stage)
        return fewer_deep_blocks([_BLOCKS] * len(self.features_per_stage))

    @property
    def decoder_blocks(self) -> tuple[int, ...]:
        """Residual blocks per decoder stage, deepest first."""
        if self.n_blocks_per_stage_decoder is not None:
            return tuple(self.n_blocks_per_stage_decoder)
        return fewer_late_blocks([_BLOCKS] * (len(self.features_per_stage) - 1))

    @property
    def channel_token_voxels(self) -> tuple[int | None, ...]:
        """Voxels of a channel per stage where channels are tokens, None where voxels are.

        Channels are tokens as soon as there are no fewer of them than voxels.
        """
        size = list(self.patch_size_zyx)
        found: list[int | None] = []
        for features, stride in zip(self.features_per_stage, self.strides, strict=True):
            size = [length // step for length, step in zip(size, stride, strict=True)]
            voxels = math.prod(size)
            found.append(voxels if voxels <= features else None)
        return tuple(found)


def fewer_deep_blocks(blocks: Sequence[int]) -> tuple[int, ...]:
    """Return the encoder's blocks with one only in the deeper half of its stages."""
    first = math.ceil(len(blocks) / 2)
    return (*blocks[:first], *([1] * (len(blocks) - first)))


def fewer_late_blocks(blocks: Sequence[int]) -> tuple[int, ...]:
    """Return the decoder's blocks with one only in the second half of its stages."""
    first = math.ceil(len(blocks) / 2 + 0.5)
    return (*blocks[:first], *([1] * (len(blocks) - first)))


def umamba_arguments(
    configuration: Mapping[str, Any], *, input_channels: int = 1, num_classes: int = 2
) -> dict[str, Any]:
    """Return the network's arguments, as plain JSON values, for a configuration of plans.

    Parameters
    ----------
    configuration : mapping
        One of ``plans["configurations"]``, as nnU-Net 2.8 writes it ("architecture") or as the
        version that U-Mamba was forked from ("conv_kernel_sizes" and so on).
    input_channels, num_classes : int
        Channels in, class logits out.

    Returns
    -------
    dict
        Keywords of :class:`UMambaLayout`, U-Mamba's rule of fewer blocks applied.

    Raises
    ------
    KeyError
        If the configuration lacks a size.
    """
    kernels, strides, features, encoder, decoder = _plan_sizes(configuration)
    stages = len(kernels)
    return {
        "patch_size_zyx": [int(size) for size in configuration["patch_size"]],
        "features_per_stage": [int(count) for count in features],
        "strides": [[int(step) for step in stride] for stride in strides],
        "kernel_sizes": [[int(width) for width in kernel] for kernel in kernels],
        "n_blocks_per_stage": list(fewer_deep_blocks(_per_stage(encoder, stages))),
        "n_blocks_per_stage_decoder": list(fewer_late_blocks(_per_stage(decoder, stages - 1))),
        "input_channels": input_channels,
        "num_classes": num_classes,
    }


def _plan_sizes(configuration: Mapping[str, Any]) -> tuple[Any, Any, Any, Any, Any]:
    """Return kernels, strides, features and the blocks of encoder and decoder."""
    if "architecture" in configuration:
        planned = configuration["architecture"]["arch_kwargs"]
        return (
            planned["kernel_sizes"],
            planned["strides"],
            planned["features_per_stage"],
            # Plans for a residual encoder count its blocks otherwise; U-Mamba has two.
            planned.get("n_conv_per_stage", _BLOCKS),
            planned.get("n_conv_per_stage_decoder", _BLOCKS)
            if "n_conv_per_stage" in planned
            else _BLOCKS,
        )
    kernels = configuration["conv_kernel_sizes"]
    base, most = configuration["UNet_base_num_features"], configuration["unet_max_num_features"]
    return (
        kernels,
        configuration["pool_op_kernel_sizes"],
        [min(base * 2**stage, most) for stage in range(len(kernels))],
        configuration["n_conv_per_stage_encoder"],
        configuration["n_conv_per_stage_decoder"],
    )


def _per_stage(blocks: int | Sequence[int], stages: int) -> list[int]:
    return [blocks] * stages if isinstance(blocks, int) else [int(count) for count in blocks]
