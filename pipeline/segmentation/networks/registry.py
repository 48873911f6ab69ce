"""From the architecture name on a model card to a network."""

from collections.abc import Callable
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

from pipeline.errors import ModelBundleError

if TYPE_CHECKING:
    from torch import nn

#: Room of the networks; their modules are imported when first needed, as they import torch.
_ROOM = "pipeline.segmentation.networks"

#: Module and builder by the name that a card gives. The class names of nnU-Net's plans are kept.
BUILDERS: MappingProxyType[str, tuple[str, str]] = MappingProxyType(
    {
        "BlastCt": ("blast_ct", "BlastCt"),
        "CompactUNet": ("compact", "CompactUNet"),
        "NnFormer": ("nnformer", "NnFormer"),
        "PlainConvUNet": ("nnunet", "plain_conv_unet"),
        "ResidualEncoderUNet": ("nnunet", "residual_encoder_unet"),
        "SlexNet": ("slex_net", "SlexNet"),
        "UMambaBot": ("umamba", "umamba_bot"),
        "UMambaEnc": ("umamba", "umamba_enc"),
        "UnetrPlusPlus": ("unetr_plus_plus", "UnetrPlusPlus"),
    }
)


def build_network(architecture: str, arguments: dict[str, Any]) -> "nn.Module":
    """Return a network with fresh weights.

    Raises
    ------
    ModelBundleError
        If the architecture is unknown or its arguments do not fit.
    """
    entry = BUILDERS.get(architecture)
    if entry is None:
        raise ModelBundleError(
            f"Architecture {architecture!r} is unknown; known: {', '.join(BUILDERS)}"
        )
    module, name = entry
    builder = cast("Callable[..., nn.Module]", getattr(import_module(f"{_ROOM}.{module}"), name))
    try:
        return builder(**arguments)
    except (TypeError, ValueError) as error:
        raise ModelBundleError(f"{architecture} cannot be built so: {error}") from error
