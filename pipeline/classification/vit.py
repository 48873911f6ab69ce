"""The vision transformer that judges one slice."""

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from pipeline.errors import ModelBundleError
from pipeline.prediction import HeLabel
from pipeline.slice_input import SliceInput

if TYPE_CHECKING:
    from timm.models.vision_transformer import VisionTransformer

#: Name of the architecture whose shape is given wholly by its arguments. Any other name is
#: that of a timm model, e.g. ``vit_base_patch16_224``.
PLAIN_VIT = "vit"


def build_vit(architecture: str, arguments: Mapping[str, Any]) -> "VisionTransformer":
    """Return a vision transformer with random weights and one output per `HeLabel`.

    Parameters
    ----------
    architecture : str
        ``vit``, or the name of a vision transformer of timm.
    arguments : mapping
        Keyword arguments of timm's ``VisionTransformer``, e.g. ``img_size``, ``patch_size``,
        ``in_chans``, ``embed_dim``, ``depth``, ``num_heads``.

    Raises
    ------
    ModelBundleError
        If there is no such architecture, or it does not take these arguments.
    """
    with warnings.catch_warnings():
        # timm 1.0.22 decorates with torch.jit.interface, which torch 2.14 deprecates
        warnings.filterwarnings("ignore", "`torch.jit", FutureWarning)
        from timm import create_model
        from timm.models.vision_transformer import VisionTransformer

    options = {**arguments, "num_classes": len(HeLabel)}
    try:
        if architecture == PLAIN_VIT:
            return VisionTransformer(**options)
        network = create_model(architecture, pretrained=False, **options)
    except (TypeError, ValueError, RuntimeError, AssertionError) as error:
        raise ModelBundleError(
            f"No classifier {architecture!r} with {dict(arguments)}: {error}"
        ) from error
    if not isinstance(network, VisionTransformer):
        raise ModelBundleError(
            f"Classifier must be a vision transformer, got {architecture!r}: "
            f"{type(network).__name__}"
        )
    return network


def logits(
    network: "VisionTransformer", batch: torch.Tensor, *, how: SliceInput | None = None
) -> torch.Tensor:
    """Return the outputs for grey slices, shape (N, 2); columns are `HeLabel`.

    Parameters
    ----------
    network : VisionTransformer
        Takes any number of channels; the grey image is given to each.
    batch : Tensor of float32, shape (N, 1, S, S)
        Slices from `pipeline.classification.transform`.
    how : SliceInput, optional
        Has the statistics of the grey levels; the defaults if not given.
    """
    result: torch.Tensor = network(as_channels(network, batch, how=how))
    return result


def embeddings(
    network: "VisionTransformer", batch: torch.Tensor, *, how: SliceInput | None = None
) -> torch.Tensor:
    """Return what the head reads of each slice, shape (N, D); parameters as for `logits`."""
    tokens = network.forward_features(as_channels(network, batch, how=how))
    result: torch.Tensor = network.forward_head(tokens, pre_logits=True)
    return result


def as_channels(
    network: "VisionTransformer", batch: torch.Tensor, *, how: SliceInput | None = None
) -> torch.Tensor:
    """Return grey slices -1..1, normalised, over the channels that the network takes.

    Raises
    ------
    ModelBundleError
        If there are statistics for another number of channels.
    """
    channels = network.patch_embed.proj.weight.shape[1]
    how = how or SliceInput()
    if len(how.mean) not in (1, channels):
        raise ModelBundleError(
            f"Statistics of {len(how.mean)} channels do not fit a network of {channels}"
        )
    if set(how.mean) == set(how.sd) == {0.5}:  # what the slices have already
        return batch.expand(-1, channels, -1, -1)
    mean = batch.new_tensor(how.mean)[None, :, None, None]
    sd = batch.new_tensor(how.sd)[None, :, None, None]
    return (((batch + 1) / 2 - mean) / sd).expand(-1, channels, -1, -1)


def spatial_tokens(tokens: torch.Tensor, network: "VisionTransformer") -> torch.Tensor:
    """Return patch tokens as an image, without the class token and other prefixes.

    Parameters
    ----------
    tokens : Tensor, shape (N, prefixes + rows * columns, D)
        Output of a layer inside the transformer.
    network : VisionTransformer
        Knows the number of prefix tokens and of patches.

    Returns
    -------
    Tensor, shape (N, D, rows, columns)
    """
    rows, columns = network.patch_embed.grid_size
    patches = tokens[:, network.num_prefix_tokens :]
    return patches.reshape(len(tokens), rows, columns, -1).permute(0, 3, 1, 2)
