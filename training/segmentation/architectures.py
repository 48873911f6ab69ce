"""The architectures that can be trained, by their name on the command line."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from pipeline.volume import Vector
from training.segmentation.experiment import Patch

#: Channels of nnU-Net's first stage, and how often they double at most: 320 of 32.
_BASE_WIDTH = 32
_WIDEST = 10

#: nnFormer's first stage is three times as wide as nnU-Net's, whole or narrowed alike.
_NNFORMER_WIDER = 3

#: Largest pixel, in mm, of which compact folds so many into one: to cells of about 2 mm.
_FOLDS = ((0.7, 4), (1.4, 2))

#: nnU-Net halves no axis below this many voxels.
_LEAST_EDGE = 4

#: Residual blocks of each stage of the residual-encoder preset of nnU-Net.
_RESIDUAL_BLOCKS = (1, 3, 4, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6)


class Loop(StrEnum):
    """Which training loop an architecture is trained by."""

    NNUNET = "nnunet"  #: nnU-Net v2: its planning, augmentation, loss and loop
    LIGHT = "light"  #: this project's own loop for a CPU, by a recipe
    SLEX = "slex"  #: SLEX-Net's own recipe on triplets of slices


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """One row of the table.

    Attributes
    ----------
    name : str
        On the command line.
    registry_name : str
        In `pipeline.segmentation.networks.registry` and on the model card.
    loop : Loop
        What trains it.
    arguments : callable
        From patch, spacing and width (None: its own) to the registry's keyword arguments,
        plain JSON values. Raises ValueError where the patch does not fit.
    """

    name: str
    registry_name: str
    loop: Loop
    arguments: Callable[[Patch, Vector, int | None], dict[str, Any]]


def architecture(name: str) -> Architecture:
    """Return the architecture of a command-line name.

    Raises
    ------
    ValueError
        If there is none of that name; lists those there are.
    """
    if name not in ARCHITECTURES:
        raise ValueError(f"Architecture {name!r} is unknown; known: {', '.join(ARCHITECTURES)}")
    return ARCHITECTURES[name]


def architecture_arguments(
    name: str,
    *,
    patch_size_zyx: Patch,
    spacing_zyx_mm: Vector,
    width: int | None = None,
) -> dict[str, Any]:
    """Return what the registry builds an architecture with for a patch on a grid.

    Raises
    ------
    ValueError
        If the name is unknown or the patch does not fit the architecture.
    """
    return architecture(name).arguments(patch_size_zyx, spacing_zyx_mm, width)


def network_of(name: str) -> str:
    """Return the command-line name of a registry name.

    Raises
    ------
    ValueError
        If no architecture that can be trained has it.
    """
    for row in ARCHITECTURES.values():
        if row.registry_name == name:
            return row.name
    known = ", ".join(row.registry_name for row in ARCHITECTURES.values())
    raise ValueError(f"No architecture builds {name!r}; there are: {known}")


def unet_arguments(patch: Patch, spacing: Vector, width: int | None) -> dict[str, Any]:
    """Return the arguments of nnU-Net's plain U-Net as its planner gives them.

    Raises
    ------
    ValueError
        If an axis of the patch cannot be halved as often as the planner wants to.
    """
    strides, kernels = _topology(patch, spacing)
    base = width or _BASE_WIDTH
    stages = len(strides)
    return {
        "input_channels": 1,
        "num_classes": 2,
        "n_stages": stages,
        "features_per_stage": [min(base * 2**stage, base * _WIDEST) for stage in range(stages)],
        "kernel_sizes": kernels,
        "strides": strides,
        "n_conv_per_stage": [2] * stages,
        "n_conv_per_stage_decoder": [2] * (stages - 1),
        **_NNUNET_UNITS,
    }


def residual_unet_arguments(patch: Patch, spacing: Vector, width: int | None) -> dict[str, Any]:
    """Return the arguments of nnU-Net's U-Net with a residual encoder.

    Raises
    ------
    ValueError
        As `unet_arguments`.
    """
    arguments = unet_arguments(patch, spacing, width)
    stages = arguments["n_stages"]
    del arguments["n_conv_per_stage"]
    arguments["n_blocks_per_stage"] = list(_RESIDUAL_BLOCKS[:stages])
    arguments["n_conv_per_stage_decoder"] = [1] * (stages - 1)
    return arguments


def _umamba(patch: Patch, spacing: Vector, width: int | None) -> dict[str, Any]:
    planned = unet_arguments(patch, spacing, width)
    names = ("input_channels", "num_classes", "features_per_stage", "kernel_sizes", "strides")
    # Deep stages may take channels as tokens; the shape of their weights is then the patch's.
    return {"patch_size_zyx": list(patch)} | {name: planned[name] for name in names}


def _nnformer(patch: Patch, spacing: Vector, width: int | None) -> dict[str, Any]:
    from pipeline.segmentation.networks import nnformer

    del spacing
    return nnformer.nnformer_arguments(patch, **_own_or(width and _NNFORMER_WIDER * width))


def _unetr_plus_plus(patch: Patch, spacing: Vector, width: int | None) -> dict[str, Any]:
    from pipeline.segmentation.networks import unetr_plus_plus

    del spacing
    return unetr_plus_plus.unetr_plus_plus_arguments(patch, **_own_or(width))


def _slex(patch: Patch, spacing: Vector, width: int | None) -> dict[str, Any]:
    del patch, spacing
    return _own_or(width)


def _compact(patch: Patch, spacing: Vector, width: int | None) -> dict[str, Any]:
    fold = next((fold for finest, fold in _FOLDS if min(spacing[1:]) <= finest), 1)
    strides = [1, 2, 2]
    base = width or _BASE_WIDTH
    in_plane = fold * 2 ** len(strides)
    for axis, size in zip("yx", patch[1:], strict=True):
        if size % in_plane:
            raise ValueError(
                f"Patch {patch}: {axis} must be a multiple of {in_plane} for compact, got {size}"
            )
    features = [base, 2 * base, 3 * base, 4 * base]
    return {"fold": fold, "features": features, "slice_strides": strides}


def _own_or(width: int | None) -> dict[str, Any]:
    return {} if width is None else {"width": width}


def _topology(patch: Patch, spacing: Vector) -> tuple[list[list[int]], list[list[int]]]:
    """Return strides and kernels of each stage by nnU-Net's rule."""
    from nnunetv2.experiment_planning.experiment_planners.network_topology import (  # type: ignore[import-untyped] # ships no types
        get_pool_and_conv_props,
    )

    _, strides, kernels, fitting, step = get_pool_and_conv_props(
        spacing, patch, _LEAST_EDGE, 999999
    )
    for axis, size, least, multiple in zip("zyx", patch, fitting, step, strict=True):
        if size != least:
            raise ValueError(
                f"Patch {patch}: {axis} must be a multiple of {multiple} on a grid of {spacing} "
                f"mm, got {size}; {least} would fit"
            )
    return _plain(strides), _plain(kernels)


def _plain(rows: Any) -> list[list[int]]:  # noqa: ANN401  numpy numbers from an untyped library
    return [[int(value) for value in row] for row in rows]


#: Units of nnU-Net's networks as its plans name them.
_NNUNET_UNITS: MappingProxyType[str, Any] = MappingProxyType(
    {
        "conv_op": "torch.nn.modules.conv.Conv3d",
        "conv_bias": True,
        "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
        "norm_op_kwargs": {"eps": 1e-5, "affine": True},
        "dropout_op": None,
        "dropout_op_kwargs": None,
        "nonlin": "torch.nn.LeakyReLU",
        "nonlin_kwargs": {"inplace": True},
    }
)

_ROWS = (
    ("nnunet", "PlainConvUNet", Loop.NNUNET, unet_arguments),
    ("nnunet-resenc", "ResidualEncoderUNet", Loop.NNUNET, residual_unet_arguments),
    ("umamba-enc", "UMambaEnc", Loop.NNUNET, _umamba),
    ("umamba-bot", "UMambaBot", Loop.NNUNET, _umamba),
    ("nnformer", "NnFormer", Loop.NNUNET, _nnformer),
    ("unetr-plus-plus", "UnetrPlusPlus", Loop.NNUNET, _unetr_plus_plus),
    ("slex-net", "SlexNet", Loop.SLEX, _slex),
    ("compact", "CompactUNet", Loop.LIGHT, _compact),
)

#: Every architecture that can be trained.
ARCHITECTURES: MappingProxyType[str, Architecture] = MappingProxyType(
    {
        name: Architecture(name=name, registry_name=built, loop=loop, arguments=arguments)
        for name, built, loop, arguments in _ROWS
    }
)
