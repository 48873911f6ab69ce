"""The networks of a classification bundle: one, or the members of an ensemble."""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch

from pipeline.classification.familiarity import MEAN_NAME, WHITENING_NAME
from pipeline.classification.vit import build_vit
from pipeline.errors import ModelBundleError
from pipeline.model_bundle import ModelBundle, ModelCard

if TYPE_CHECKING:
    from timm.models.vision_transformer import VisionTransformer

#: A weight of an ensemble: which network's, and its own name.
_MEMBER_NAME = re.compile(r"members\.(?P<number>\d{1,3})\.(?P<inner>.+)")


def member_states(
    states: Sequence[Mapping[str, torch.Tensor]],
) -> dict[str, torch.Tensor]:
    """Return the weights of several networks under the names that a bundle gives them."""
    return {
        f"members.{number}.{name}": value
        for number, state in enumerate(states)
        for name, value in state.items()
    }


def load_members(bundle: ModelBundle) -> "list[VisionTransformer]":
    """Return the trained networks of a bundle.

    Raises
    ------
    ModelBundleError
        If the weights do not fit the card.
    """
    card = bundle.card
    weights = {
        name: value
        for name, value in bundle.weights.items()
        if name not in (MEAN_NAME, WHITENING_NAME)
    }
    if card.members is None:
        return [_loaded(card, weights)]
    parts: list[dict[str, torch.Tensor]] = [{} for _ in range(card.members)]
    for name, value in weights.items():
        found = _MEMBER_NAME.fullmatch(name)
        if found is None or int(found["number"]) >= card.members:
            raise ModelBundleError(f"Weights of {card.name}: {name} belongs to no member")
        parts[int(found["number"])][found["inner"]] = value
    return [_loaded(card, part) for part in parts]


def _loaded(card: ModelCard, weights: Mapping[str, torch.Tensor]) -> "VisionTransformer":
    network = build_vit(card.architecture, card.architecture_arguments)
    if tuple(network.patch_embed.img_size) != (card.input_size, card.input_size):
        raise ModelBundleError(
            f"Card of {card.name}: input_size is {card.input_size}, "
            f"the network takes {network.patch_embed.img_size}"
        )
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise ModelBundleError(f"Weights of {card.name} do not fit its card: {error}") from error
    return network
