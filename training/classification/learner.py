"""The learner: network, optimiser and running average, one step at a time."""

import copy
import math
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional

from pipeline.classification.vit import build_vit, embeddings, logits
from pipeline.prediction import HeLabel
from pipeline.slice_input import SliceInput
from training.classification.recipe import Recipe
from training.classification.slices import SliceSet
from training.segmentation.precision import training_type

if TYPE_CHECKING:
    from timm.models.vision_transformer import VisionTransformer

CPU = torch.device("cpu")

#: Slices per step when nothing is learned.
PREDICTION_BATCH = 64


class Learner:
    """A classifier that learns, with a second head for the signs.

    The second head only exists while learning. It makes the network look at what a reader
    would look at, which a few dozen expanded hematomas alone cannot teach.

    Parameters
    ----------
    recipe : Recipe
        Network, schedule and weights of the loss.
    sign_count : int
        Number of recorded signs.
    steps_per_epoch : int
        For the learning rate.
    initial : mapping of str to Tensor, optional
        Weights to start from, such as those of ImageNet; the network's own names.
    device : torch.device, optional
        Where it learns; on CUDA in bfloat16 where that is safe, else in float32 (see
        `training.segmentation.precision`).

    Raises
    ------
    ValueError
        If initial weights are given that do not fit the network.
    """

    def __init__(
        self,
        recipe: Recipe,
        *,
        sign_count: int,
        steps_per_epoch: int,
        initial: Mapping[str, torch.Tensor] | None = None,
        device: torch.device = CPU,
    ) -> None:
        torch.manual_seed(recipe.seed)
        self.device = device
        self._type = training_type("auto", device)
        self._recipe = recipe
        self._steps_per_epoch = steps_per_epoch
        self._step = 0
        self.network = build_vit(recipe.network.architecture, recipe.network.arguments)
        if initial is not None:
            _start_from(self.network, initial)
        self.network.to(device)
        # made on the CPU, so that every device starts from the same weights
        self._sign_head = _linear(self.network.num_features, sign_count).to(device)
        self.average = copy.deepcopy(self.network).eval()
        self._optimizer = torch.optim.AdamW(
            [*self.network.parameters(), *self._sign_head.parameters()],
            lr=recipe.schedule.learning_rate,
            weight_decay=recipe.schedule.weight_decay,
        )

    def learn(
        self, images: torch.Tensor, targets: torch.Tensor, signs: torch.Tensor
    ) -> tuple[float, float]:
        """Take one step and return the losses of outcome and signs.

        Parameters
        ----------
        images : Tensor of float32, shape (N, 1, S, S)
            Prepared and varied slices.
        targets : Tensor of float32, shape (N,)
            Probability of expansion; 1 or 0 where the outcome is all that is known.
        signs : Tensor of float32, shape (N, K)
            In [0, 1], NaN where unknown.
        """
        for group in self._optimizer.param_groups:
            group["lr"] = self.learning_rate()
        self.network.train()
        outcome_loss, signs_loss = self._losses(
            images.to(self.device), targets.to(self.device), signs.to(self.device)
        )
        balance = self._recipe.balance
        outcome_counts = self._step >= balance.signs_only_epochs * self._steps_per_epoch
        loss = outcome_loss * float(outcome_counts) + signs_loss * balance.signs_weight
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
        if self._recipe.schedule.gradient_limit:
            limit = self._recipe.schedule.gradient_limit
            nn.utils.clip_grad_norm_(self.network.parameters(), limit)
        self._optimizer.step()
        self._step += 1
        self._update_average()
        return float(outcome_loss.detach()), float(signs_loss.detach())

    def learning_rate(self) -> float:
        """Return the rate of the next step: linear rise, then half a cosine to the end."""
        schedule = self._recipe.schedule
        epoch = self._step / self._steps_per_epoch
        if epoch < schedule.warmup_epochs:
            return (
                schedule.learning_rate
                * (epoch + 1 / self._steps_per_epoch)
                / (schedule.warmup_epochs + 1 / self._steps_per_epoch)
            )
        span = max(schedule.epochs - schedule.warmup_epochs, 1)
        share = (1 + math.cos(math.pi * min((epoch - schedule.warmup_epochs) / span, 1))) / 2
        return schedule.final_learning_rate + share * (
            schedule.learning_rate - schedule.final_learning_rate
        )

    def state(self) -> dict[str, Any]:
        """Return everything that a later process needs to go on."""
        return {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "sign_head": self._sign_head.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "step": self._step,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` returned."""
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self._sign_head.load_state_dict(state["sign_head"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._step = state["step"]

    def _losses(
        self, images: torch.Tensor, targets: torch.Tensor, signs: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        with torch.autocast(self.device.type, self._type, enabled=self._type is not torch.float32):
            embedding = embeddings(self.network, images, how=self._recipe.slices)
            outputs, found_signs = self.network.head(embedding), self._sign_head(embedding)
        outcome = functional.cross_entropy(
            outputs.float(),
            torch.stack([targets, 1 - targets], dim=1),  # HE is column 0
            label_smoothing=self._recipe.balance.label_smoothing,
        )
        known = ~torch.isnan(signs)
        if not known.any():
            return outcome, outcome.new_zeros(())
        found = functional.binary_cross_entropy_with_logits(
            found_signs.float()[known], signs[known]
        )
        return outcome, found

    @torch.no_grad()
    def _update_average(self) -> None:
        # a young average forgets faster, so that the random start does not linger
        keep = min(self._recipe.schedule.averaging, self._step / (self._step + 10))
        for mean, value in zip(self.average.parameters(), self.network.parameters(), strict=True):
            mean.lerp_(value, 1 - keep)


def _start_from(network: "VisionTransformer", initial: Mapping[str, torch.Tensor]) -> None:
    """Load weights; a head for other classes is left out, as the paper does with ImageNet's."""
    weights = dict(initial)
    own = network.state_dict()
    for name in ("head.weight", "head.bias"):
        if name in weights and weights[name].shape != own[name].shape:
            weights[name] = own[name]
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise ValueError(f"Initial weights do not fit the network: {error}") from error


def _linear(inputs: int, outputs: int) -> nn.Linear:
    """Return a layer; none of its outputs need be there, of which torch warns in vain."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Initializing zero-element tensors")
        return nn.Linear(inputs, outputs)


def margins(
    network: "VisionTransformer", slices: SliceSet, *, how: SliceInput | None = None
) -> torch.Tensor:
    """Return by how much the HE logit exceeds the NHE logit, for each slice, shape (N,)."""
    outputs = _of_slices(partial(logits, network, how=how), network, slices)
    return (outputs[:, HeLabel.HE] - outputs[:, HeLabel.NHE]).double()


def case_embeddings(
    network: "VisionTransformer", slices: SliceSet, *, how: SliceInput | None = None
) -> torch.Tensor:
    """Return the mean embedding of each case's slices, shape (cases, D)."""
    found = _of_slices(partial(embeddings, network, how=how), network, slices)
    numbers = slices.cases
    sums = found.new_zeros(int(numbers.max()) + 1, found.shape[1]).index_add_(0, numbers, found)
    return sums / torch.bincount(numbers)[:, None]


def _of_slices(
    function: Callable[[torch.Tensor], torch.Tensor],
    network: "VisionTransformer",
    slices: SliceSet,
) -> torch.Tensor:
    """Return a function of all slices, without learning; computed where the network is."""
    network.eval()
    device = next(network.parameters()).device
    batches = torch.split(slices.images, PREDICTION_BATCH)
    with torch.inference_mode():
        return torch.cat([function(batch.to(device)).cpu() for batch in batches]).clone()
