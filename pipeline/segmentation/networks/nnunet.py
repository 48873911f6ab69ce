"""nnU-Net's own networks, built from the arguments that its plans file names."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from pipeline.segmentation.networks.upstream import load_upstream

_OPERATORS: dict[str, type[nn.Module]] = {
    "torch.nn.modules.conv.Conv3d": nn.Conv3d,
    "torch.nn.modules.instancenorm.InstanceNorm3d": nn.InstanceNorm3d,
    "torch.nn.LeakyReLU": nn.LeakyReLU,
    "torch.nn.modules.activation.LeakyReLU": nn.LeakyReLU,
}

#: Arguments that plans give as dotted names (``_kw_requires_import`` there).
_OPERATOR_ARGUMENTS = ("conv_op", "norm_op", "dropout_op", "nonlin")


def plain_conv_unet(**arguments: Any) -> nn.Module:  # noqa: ANN401  whatever the plans say
    """Return nnU-Net's plain U-Net; deep supervision is off."""
    from dynamic_network_architectures.architectures.unet import (  # type: ignore[import-untyped] # ships no types
        PlainConvUNet,
    )

    network: nn.Module = PlainConvUNet(**_resolved(arguments))
    return network


def residual_encoder_unet(**arguments: Any) -> nn.Module:  # noqa: ANN401  whatever the plans say
    """Return nnU-Net's U-Net with a residual encoder; deep supervision is off."""
    from dynamic_network_architectures.architectures.unet import (
        ResidualEncoderUNet,
    )

    network: nn.Module = ResidualEncoderUNet(**_resolved(arguments))
    return network


def load_upstream_nnunet(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load the ``network_weights`` of a checkpoint that nnU-Net has trained.

    Parameters
    ----------
    network : nn.Module
        Built from the same plans.
    state : mapping of str to Tensor
        Weights under nnU-Net's names. Every weight of a convolution unit is there a second time
        under ``all_modules``, and the encoder a second time inside the decoder.

    Raises
    ------
    ModelBundleError
        If a key is unknown, one is missing, or a shape differs.
    """
    load_upstream(
        network,
        state,
        is_duplicate=_is_repeated,
        # Training on several GPUs puts a word in front of every key.
        rename=lambda key: key.removeprefix("module."),
    )


def _is_repeated(key: str) -> bool:
    return ".all_modules." in key or "decoder.encoder." in key


def _resolved(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments with operator names replaced by the operators.

    Raises
    ------
    ValueError
        If an operator is named that is not on the list.
    """
    resolved: dict[str, Any] = {"input_channels": 1, "num_classes": 2, "deep_supervision": False}
    resolved.update(arguments)
    for key in _OPERATOR_ARGUMENTS:
        name = resolved.get(key)
        if name is None:
            continue
        if name not in _OPERATORS:
            raise ValueError(f"{key} = {name!r} is unknown; known: {', '.join(_OPERATORS)}")
        resolved[key] = _OPERATORS[name]
    return resolved
