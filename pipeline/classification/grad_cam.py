"""Grad-CAM of the vision transformer: which patches spoke for expansion."""

import warnings
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.classification.vit import as_channels, spatial_tokens
from pipeline.prediction import HeLabel
from pipeline.slice_input import SliceInput

with warnings.catch_warnings():
    # some of its dependencies use interfaces that torch deprecates
    warnings.filterwarnings("ignore", category=FutureWarning)
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    from pytorch_grad_cam import GradCAM  # type: ignore[import-untyped] # ships no types
    from pytorch_grad_cam.utils.model_targets import (  # type: ignore[import-untyped] # no types
        ClassifierOutputTarget,
    )

if TYPE_CHECKING:
    from timm.models.vision_transformer import VisionTransformer


def grad_cam(
    network: "VisionTransformer", batch: torch.Tensor, *, how: SliceInput | None = None
) -> NDArray[np.float32]:
    """Return the relevance of each input pixel for the class HE.

    The layer is the output of ``norm1`` in the last block: the last place where patch
    tokens reach the logit, since the head reads nothing but the class token. The head is
    the trained one.

    Parameters
    ----------
    network : VisionTransformer
        Trained classifier; put into evaluation mode.
    batch : Tensor of float32, shape (N, 1, S, S)
        Slices from `pipeline.classification.transform`.
    how : SliceInput, optional
        Has the statistics of the grey levels; the defaults if not given.

    Returns
    -------
    ndarray of float32, shape (N, S, S)
        Scaled to [0, 1] per slice; all zero where nothing speaks for HE.

    References
    ----------
    .. [1] R. Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via
       Gradient-based Localization", ICCV 2017.
    """
    network.eval()
    with (
        torch.enable_grad(),
        GradCAM(
            model=network,
            target_layers=[network.blocks[-1].norm1],
            reshape_transform=partial(spatial_tokens, network=network),
        ) as cam,
    ):
        maps = cam(
            input_tensor=as_channels(network, batch, how=how),
            targets=[ClassifierOutputTarget(int(HeLabel.HE))] * len(batch),
        )
    network.zero_grad(set_to_none=True)
    return np.asarray(maps, dtype=np.float32)
