"""From the architecture name on a model card to a network."""

from collections.abc import Callable
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pipeline.errors import ModelBundleError

if TYPE_CHECKING:
    from torch import nn


def _compact(arguments: dict[str, Any]) -> "nn.Module":
    from pipeline.segmentation.networks.compact import CompactUNet

    return CompactUNet(**arguments)


def _plain(arguments: dict[str, Any]) -> "nn.Module":
    from pipeline.segmentation.networks.nnunet import plain_conv_unet

    return plain_conv_unet(arguments)


def _residual_encoder(arguments: dict[str, Any]) -> "nn.Module":
    from pipeline.segmentation.networks.nnunet import residual_encoder_unet

    return residual_encoder_unet(arguments)


#: Builders by the name that a card gives. The class names of nnU-Net's plans are kept.
BUILDERS: MappingProxyType[str, Callable[[dict[str, Any]], "nn.Module"]] = MappingProxyType(
    {
        "CompactUNet": _compact,
        "PlainConvUNet": _plain,
        "ResidualEncoderUNet": _residual_encoder,
    }
)


def build_network(architecture: str, arguments: dict[str, Any]) -> "nn.Module":
    """Return a network with fresh weights.

    Raises
    ------
    ModelBundleError
        If the architecture is unknown or its arguments do not fit.
    """
    builder = BUILDERS.get(architecture)
    if builder is None:
        raise ModelBundleError(
            f"Architecture {architecture!r} is unknown; known: {', '.join(BUILDERS)}"
        )
    try:
        return builder(arguments)
    except (TypeError, ValueError) as error:
        raise ModelBundleError(f"{architecture} cannot be built so: {error}") from error
