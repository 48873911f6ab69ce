"""Monte Carlo dropout: one network asked repeatedly, each time with other units switched off.

References
----------
.. [1] Y. Gal, Z. Ghahramani, "Dropout as a Bayesian Approximation: Representing Model
   Uncertainty in Deep Learning", ICML 2016.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pipeline.classification.members import load_members
from pipeline.classification.transform import to_batch
from pipeline.classification.vit import logits
from pipeline.errors import ModelBundleError
from pipeline.model_bundle import ModelBundle
from pipeline.prediction import HeLabel
from pipeline.slice_input import SliceInput
from training.classification.case import TripletCase

if TYPE_CHECKING:
    from timm.models.vision_transformer import VisionTransformer


def has_dropout(bundle: ModelBundle) -> bool:
    """Return whether a bundle is one network that was trained with dropout of units."""
    return bundle.card.members is None and bool(_dropouts(load_members(bundle)[0]))


def dropout_opinions(
    bundle: ModelBundle, cases: Sequence[TripletCase], *, passes: int, seed: int
) -> NDArray[np.float64]:
    """Return what one network says of each case with random units switched off [1]_.

    Parameters
    ----------
    bundle : ModelBundle
        A single network whose arguments have ``proj_drop_rate`` or ``pos_drop_rate``.
    cases : sequence of TripletCase
        Whom to judge.
    passes : int
        How often each is judged.
    seed : int
        Of the units that are switched off.

    Returns
    -------
    ndarray of float64, shape (passes, cases)
        Probability of expansion, mean over the slices.

    Raises
    ------
    ModelBundleError
        If the bundle is an ensemble, or its network has no dropout.
    """
    if not has_dropout(bundle):
        raise ModelBundleError(f"{bundle.card.name} is no single network with dropout")
    network, card = load_members(bundle)[0].eval(), bundle.card
    for layer in _dropouts(network):
        layer.train()
    how, size = card.slice_input or SliceInput(), card.input_size
    if size is None:
        raise ModelBundleError(f"Card of {card.name} must state input_size")
    found = np.empty((passes, len(cases)))
    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        torch.manual_seed(seed)
        for index, case in enumerate(cases):
            batch = to_batch(case.images_yx, input_size=size, resizing=how.resizing)
            outputs = logits(network, batch.repeat(passes, 1, 1, 1), how=how).double()
            slices = torch.softmax(outputs, dim=1)[:, HeLabel.HE].reshape(passes, -1)
            found[:, index] = slices.mean(dim=1).numpy()
    return found


def _dropouts(network: "VisionTransformer") -> list[nn.Module]:
    return [layer for layer in network.modules() if isinstance(layer, nn.Dropout) and layer.p > 0]
