"""Several networks that look at a scan in their own ways, as one.

The networks need not be of one kind: each has its own grid, normalisation and way through a scan.
Their errors then differ, which is what makes them better together than alone [1]_. Two rules are
known: the mean of what they say, and the largest of it, so that what one of them sees is seen.

References
----------
.. [1] A. Krogh, J. Vedelsby, "Neural network ensembles, cross validation, and active learning",
   NIPS 7 (1995) 231-238.
"""

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.card_json import card_from_json
from pipeline.errors import ModelBundleError
from pipeline.finding import Compartment
from pipeline.model_bundle import ModelBundle
from pipeline.model_card import ModelCard
from pipeline.segmentation.inference_options import InferenceOptions
from pipeline.segmentation.predictor import ClassMaps, OnProgress, Predictor, ignore_progress
from pipeline.segmentation.predictors import build_predictor
from pipeline.volume import CtVolume

if TYPE_CHECKING:
    from torch import Tensor

#: The architecture that a card of several networks names.
ARCHITECTURE = "Ensemble"

#: Fields of a card that each member has for itself.
MEMBER_FIELDS = (
    *("architecture", "architecture_arguments", "spacing_zyx_mm", "patch_size_zyx"),
    *("intensity", "sampling", "class_names"),
)

#: A weight of an ensemble: which member's, and its own name.
_WEIGHT_NAME = re.compile(r"members\.(?P<number>\d{1,3})\.(?P<inner>.+)")


class Rule(StrEnum):
    """How one probability is made of several; the values are those on cards."""

    MEAN = "mean"
    LARGEST = "largest"


class EnsemblePredictor:
    """Several predictors as one.

    Parameters
    ----------
    predictors : sequence of Predictor
        Two or more.
    rule : Rule
        How their probabilities of hematoma become one.
    cutoff : float
        Probability from which a voxel is hematoma and nothing else.
    efforts : sequence of float, optional
        Time that each takes in proportion, for the progress that is told; default all alike.

    Raises
    ------
    ModelBundleError
        If there are fewer than two, or not as many positive efforts.
    """

    def __init__(
        self,
        predictors: Sequence[Predictor],
        *,
        rule: Rule,
        cutoff: float,
        efforts: Sequence[float] | None = None,
    ) -> None:
        if len(predictors) < 2:  # noqa: PLR2004  one is no ensemble
            raise ModelBundleError(f"An ensemble has two members or more, got {len(predictors)}")
        efforts = [1.0] * len(predictors) if efforts is None else efforts
        if len(efforts) != len(predictors) or min(efforts) <= 0:
            raise ModelBundleError(
                f"{len(predictors)} members need as many positive efforts, got {list(efforts)}"
            )
        self._predictors = tuple(predictors)
        self._parts = [effort / sum(efforts) for effort in efforts]
        self._rule = rule
        self._cutoff = cutoff

    def warm_up(self) -> None:
        """Run every network once on nothing."""
        for predictor in self._predictors:
            predictor.warm_up()

    def predict(self, volume: CtVolume, *, on_progress: OnProgress = ignore_progress) -> ClassMaps:
        """Return the joint probability of hematoma, and the members' compartments beside it.

        A voxel belongs to the compartment that the first member names that names one, unless the
        ensemble calls it hematoma. Members' own doubts are not kept: the entropy of the joint
        probability stands for them.
        """
        joint = np.zeros(volume.grid.shape_zyx, dtype=np.float32)
        compartments: dict[Compartment, NDArray[np.bool_]] = {}
        done = 0.0
        for predictor, part in zip(self._predictors, self._parts, strict=True):
            maps = predictor.predict(
                volume, on_progress=partial(_tell_part, on_progress, done, part)
            )
            done += part
            if self._rule is Rule.MEAN:
                joint += maps.hematoma_zyx / np.float32(len(self._predictors))
            else:
                np.maximum(joint, maps.hematoma_zyx, out=joint)
            _add_compartments(compartments, maps.compartments)
        below = joint < self._cutoff
        on_progress(1.0)
        return ClassMaps(
            hematoma_zyx=joint,
            compartments=MappingProxyType(
                {name: voxels & below for name, voxels in compartments.items()}
            ),
        )


def ensemble_predictor(bundle: ModelBundle, options: InferenceOptions) -> EnsemblePredictor:
    """Return the predictor of a bundle of several networks.

    Unless the options say otherwise they multiply in bfloat16 where that is faster on the device.

    Raises
    ------
    ModelBundleError
        If the card does not describe its members, or the weights do not fit them.
    """
    chosen = dataclasses.replace(options, bfloat16=options.computes_bfloat16)
    card = bundle.card
    assert card.probability_cutoff is not None  # noqa: S101  the card has checked it
    described = _described(card)
    predictors = []
    for number, member in enumerate(described):
        own = dataclasses.replace(
            bundle,
            card=_member_card(card, number, member),
            weights=_member_weights(bundle.weights, number),
        )
        predictors.append(build_predictor(own, chosen))
    _refuse_strangers(bundle, len(described))
    return EnsemblePredictor(
        predictors,
        rule=_rule(card),
        cutoff=card.probability_cutoff,
        efforts=[float(member["effort"]) for member in described],
    )


def ensemble_arguments(
    cards: Sequence[ModelCard], *, rule: Rule, efforts: Sequence[float]
) -> dict[str, Any]:
    """Return what the card of an ensemble says of its members, from their own cards."""
    members = []
    for card, effort in zip(cards, efforts, strict=True):
        fields = dataclasses.asdict(card)
        members.append(
            {
                "name": f"{card.name} {card.version}",
                "effort": effort,
                **{name: fields[name] for name in MEMBER_FIELDS},
            }
        )
    return {"rule": str(rule), "members": members}


def member_weights(members: Sequence[Mapping[str, "Tensor"]]) -> dict[str, "Tensor"]:
    """Return the weights of several members under the names that a bundle gives them."""
    return {
        f"members.{number}.{name}": value
        for number, weights in enumerate(members)
        for name, value in weights.items()
    }


def _rule(card: ModelCard) -> Rule:
    try:
        return Rule(card.architecture_arguments["rule"])
    except ValueError as error:
        raise ModelBundleError(
            f"Card of {card.name}: {error}; known: {', '.join(Rule)}"
        ) from error


def _described(card: ModelCard) -> list[dict[str, Any]]:
    arguments = card.architecture_arguments
    members = arguments.get("members")
    if set(arguments) != {"rule", "members"} or not isinstance(members, list):
        raise ModelBundleError(
            f"Card of {card.name}: {ARCHITECTURE} has a rule and a list called members"
        )
    wanted = {*MEMBER_FIELDS, "name", "effort"}
    for number, member in enumerate(members):
        if not isinstance(member, dict) or set(member) != wanted:
            raise ModelBundleError(
                f"Card of {card.name}: member {number} has exactly {', '.join(sorted(wanted))}"
            )
        if member["architecture"] == ARCHITECTURE:
            raise ModelBundleError(f"Card of {card.name}: member {number} is itself an ensemble")
        if type(member["effort"]) not in (int, float):
            raise ModelBundleError(f"Card of {card.name}: effort of member {number} is no number")
    return members


def _member_card(card: ModelCard, number: int, described: Mapping[str, Any]) -> ModelCard:
    """Return the card that a member would have alone; its cutoff is the ensemble's.

    Raises
    ------
    ModelBundleError
        If what is described is no card of a segmentation network.
    """
    name = f"{card.name}, member {number}"
    own = {field: described[field] for field in MEMBER_FIELDS}
    fields = {**dataclasses.asdict(card), **own, "name": name}
    return card_from_json(json.dumps(fields), where=f"Card of {name}")


def _member_weights(weights: Mapping[str, "Tensor"], number: int) -> dict[str, "Tensor"]:
    start = f"members.{number}."
    return {
        name.removeprefix(start): value
        for name, value in weights.items()
        if name.startswith(start)
    }


def _refuse_strangers(bundle: ModelBundle, members: int) -> None:
    for name in bundle.weights:
        found = _WEIGHT_NAME.fullmatch(name)
        if found is None or int(found["number"]) >= members:
            raise ModelBundleError(f"Weights of {bundle.card.name}: {name} belongs to no member")


def _add_compartments(
    all_of_them: dict[Compartment, NDArray[np.bool_]],
    more: Mapping[Compartment, NDArray[np.bool_]],
) -> None:
    """Add a member's compartments where nobody before has said one."""
    free = ~np.logical_or.reduce(list(all_of_them.values())) if all_of_them else True
    for name, voxels in more.items():
        known = all_of_them.get(name)
        new = voxels & free
        all_of_them[name] = new if known is None else known | new


def _tell_part(on_progress: OnProgress, done: float, part: float, share: float) -> None:
    """Tell the progress of one member as that of the whole."""
    on_progress(done + part * share)
