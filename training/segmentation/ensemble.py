"""Segmentation bundles joined to one."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.model_bundle import ModelBundle, save_bundle
from pipeline.segmentation.ensemble import (
    ARCHITECTURE,
    Rule,
    ensemble_arguments,
    member_weights,
)
from training.segmentation.half_precision import halved

if TYPE_CHECKING:
    pass

#: What a person says of an ensemble; the rest follows from its members.
FACTS = frozenset(
    {
        *("name", "version", "licence", "intended_use", "demonstration", "training_cohort"),
        *("metrics", "probability_cutoff", "minimum_component_ml"),
    }
)

#: Facts that cannot follow from the members.
_NEEDED = ("name", "version", "intended_use", "probability_cutoff")


def join_segmenters(
    path: Path,
    bundles: Sequence[ModelBundle],
    *,
    rule: Rule,
    efforts: Sequence[float],
    facts: Mapping[str, Any],
    half: bool = False,
) -> ModelBundle:
    """Write a bundle whose probability is made of several bundles' and return it.

    Parameters
    ----------
    path : Path
        Folder of the new bundle; made if absent.
    bundles : sequence of ModelBundle
        Of segmentation networks, none of them an ensemble. Class names, grid, patch and
        normalisation on the new card are those of the first; each member keeps its own.
    rule : Rule
        Mean or largest.
    efforts : sequence of float
        Time that each takes in proportion, for the progress that is shown.
    facts : mapping
        Fields of the card: name, version, intended_use and probability_cutoff are needed;
        licence, training_cohort, demonstration and minimum_component_ml follow from the members
        if they are left out.
    half : bool
        Store matrices in half precision.

    Raises
    ------
    ValueError
        If bundles and efforts do not fit together, a fact is missing or unknown, or a
        bundle is given twice, for another task or an ensemble itself.
    """
    _check(bundles, efforts, facts)
    cards = [bundle.card for bundle in bundles]
    said = {
        "licence": _all_of(card.licence for card in cards),
        "training_cohort": _all_of(f"{card.name}: {card.training_cohort}" for card in cards),
        "demonstration": any(card.demonstration for card in cards),
        "minimum_component_ml": max(card.minimum_component_ml or 0.0 for card in cards),
        "metrics": {},
        **facts,
    }
    card = dataclasses.replace(
        cards[0],
        architecture=ARCHITECTURE,
        architecture_arguments=ensemble_arguments(cards, rule=rule, efforts=efforts),
        volume_error=None,
        training_statistics=None,
        weights_sha256="",
        **said,
    )
    weights = member_weights([bundle.weights for bundle in bundles])
    return save_bundle(path, card, halved(weights) if half else weights)


def _check(
    bundles: Sequence[ModelBundle], efforts: Sequence[float], facts: Mapping[str, Any]
) -> None:
    if len(bundles) < 2:  # noqa: PLR2004  one is no ensemble
        raise ValueError(f"An ensemble needs two bundles, got {len(bundles)}")
    if len(efforts) != len(bundles) or min(efforts) <= 0:
        raise ValueError(
            f"{len(bundles)} bundles need as many positive efforts, got {list(efforts)}"
        )
    if len({bundle.digest for bundle in bundles}) < len(bundles):
        raise ValueError("A bundle is given twice")
    for bundle in bundles:
        if bundle.card.task != "segmentation":
            raise ValueError(f"{bundle.path} is for {bundle.card.task}, needed is segmentation")
        if bundle.card.architecture == ARCHITECTURE:
            raise ValueError(f"{bundle.path} is an ensemble already")
    missing, unknown = sorted(set(_NEEDED) - set(facts)), sorted(set(facts) - FACTS)
    if missing:
        raise ValueError(f"The facts lack {', '.join(missing)}")
    if unknown:
        raise ValueError(f"{', '.join(unknown)} of the card cannot be said; {sorted(FACTS)} can")


def _all_of(texts: Iterable[str]) -> str:
    """Return the texts that differ, one after the other."""
    return " | ".join(dict.fromkeys(texts))
