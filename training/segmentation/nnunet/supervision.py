"""Deep supervision, whatever the architecture calls it."""

from typing import Any

import torch
from torch import nn

from training.segmentation.experiment import Patch


def has_deep_supervision(network: nn.Module) -> bool:
    """Return whether a network has heads at lower resolutions."""
    return _holder(network) is not None


def set_deep_supervision(network: nn.Module, enabled: bool) -> None:  # noqa: FBT001  a setter
    """Let a network return all resolutions or only the highest.

    Raises
    ------
    ValueError
        If it is wanted of a network that has no lower resolutions.
    """
    holder = _holder(network)
    if holder is not None:
        holder.deep_supervision = enabled
    elif enabled:
        raise ValueError(f"{type(network).__name__} has no heads at lower resolutions")


def supervised_scales(
    network: nn.Module, arguments: dict[str, Any], patch_size_zyx: Patch
) -> tuple[tuple[float, ...], ...]:
    """Return the size of each output as a share of the patch, highest resolution first.

    A network of stages with strides tells it by them; any other is run once on zeros.
    """
    if "strides" in arguments:
        scales = []
        share = [1.0, 1.0, 1.0]
        for strides in arguments["strides"][:-1]:
            share = [value / stride for value, stride in zip(share, strides, strict=True)]
            scales.append(tuple(share))
        return tuple(scales)
    set_deep_supervision(network, True)
    with torch.inference_mode():
        outputs = network(torch.zeros(1, 1, *patch_size_zyx))
    set_deep_supervision(network, False)
    return tuple(
        tuple(size / whole for size, whole in zip(output.shape[2:], patch_size_zyx, strict=True))
        for output in outputs
    )


def _holder(network: nn.Module) -> Any:  # noqa: ANN401  a module with an attribute that nn.Module lacks
    """Return the module that has the switch, None if there is none."""
    if hasattr(network, "deep_supervision"):
        return network
    decoder = getattr(network, "decoder", None)
    return decoder if hasattr(decoder, "deep_supervision") else None
