"""The best AUC that anybody can reach in a simulated study, from very many planned hematomas."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.phantom.centre import Centre
from training.phantom.clinical import draw_clinical
from training.phantom.lesion_plan import draw_plan
from training.phantom.risk import full_probabilities, visible_probabilities

Array = NDArray[np.float64]

#: Parts of the simulation whose scatter gives the standard error.
BATCHES = 20

#: Name of all centres together.
POOLED = "pooled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A number with the standard error of its simulation."""

    value: float
    standard_error: float


@dataclass(frozen=True, slots=True, kw_only=True)
class IdealObserver:
    """What the best reader of one centre's patients, or of all, can reach.

    Attributes
    ----------
    name : str
        The centre, or ``pooled``.
    share : float
        Its part of the patients.
    prevalence : Estimate
        Share of hematomas that expand.
    image_auc : Estimate
        AUC of the reader who knows all that the first image shows, and nothing else.
    full_auc : Estimate
        AUC of the reader who also knows the time since onset and the chart.
    """

    name: str
    share: float
    prevalence: Estimate
    image_auc: Estimate
    full_auc: Estimate


def ideal_observers(
    centres: Sequence[Centre],
    *,
    plans: int,
    seed: int,
    on_progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> tuple[IdealObserver, ...]:
    """Return the ideal observer of each centre, and last that of all together.

    Every plan stands for a patient of each centre. It counts as expanding with its true
    probability and as stable with the rest, which scatters less than drawing the outcome.

    Parameters
    ----------
    centres : sequence of Centre
        Where the patients are.
    plans : int
        Number of hematomas; at least `BATCHES`.
    seed : int
        Seed of the simulation.
    on_progress : callable
        Told how many plans of how many are done.

    Raises
    ------
    ValueError
        If there are too few plans to tell their scatter, or at a centre nobody expands, or
        everybody.
    """
    if plans < BATCHES:
        raise ValueError(f"At least {BATCHES} plans are needed, got {plans}")
    full, seen = _probabilities(centres, plans, seed, on_progress)
    shares = np.array([centre.share for centre in centres])
    shares = shares / shares.sum()
    observers = [
        _observer(centre.name, float(share), full[:, [k]], seen[:, [k]], np.ones(1))
        for k, (centre, share) in enumerate(zip(centres, shares, strict=True))
    ]
    return (*observers, _observer(POOLED, 1.0, full, seen, shares))


def weighted_auc(scores: Array, positive: Array, negative: Array) -> float:
    """Return the chance that a positive outscores a negative, ties counting half.

    Parameters
    ----------
    scores : ndarray, shape (N,)
        What an observer says of each.
    positive, negative : ndarray, shape (N,)
        How much each counts as a positive and as a negative.

    Raises
    ------
    ValueError
        If nothing counts on one side.
    """
    if not (positive.sum() > 0 and negative.sum() > 0):
        raise ValueError("Some must be positive and some negative, or there is no AUC")
    values, where = np.unique(scores, return_inverse=True)
    above = np.bincount(where, weights=positive, minlength=values.size)
    below = np.bincount(where, weights=negative, minlength=values.size)
    won = above @ (np.cumsum(below) - below / 2)
    return float(won / (above.sum() * below.sum()))


def _probabilities(
    centres: Sequence[Centre],
    plans: int,
    seed: int,
    on_progress: Callable[[int, int], None],
) -> tuple[Array, Array]:
    """Return the full and the visible probability, each of shape (plans, centres)."""
    rng = np.random.default_rng(seed)
    log_odds = np.array([centre.log_odds for centre in centres])
    full, seen = np.empty((2, plans, len(centres)))
    for index in range(plans):
        plan = draw_plan(rng)
        clinical = draw_clinical(rng, plan)
        full[index] = full_probabilities(plan, clinical, log_odds)
        seen[index] = visible_probabilities(plan, log_odds)
        on_progress(index + 1, plans)
    return full, seen


def _observer(name: str, share: float, full: Array, seen: Array, weights: Array) -> IdealObserver:
    """Return the observer of patients in columns that count as much as their weights."""
    measured = []
    for part in (slice(None), *(slice(k, None, BATCHES) for k in range(BATCHES))):
        count = np.broadcast_to(weights, full[part].shape).ravel()
        chance = full[part].ravel()
        sides = (count * chance, count * (1 - chance))
        measured.append(
            (
                float(sides[0].sum() / count.sum()),
                weighted_auc(seen[part].ravel(), *sides),
                weighted_auc(chance, *sides),
            )
        )
    errors = np.std(measured[1:], axis=0, ddof=1) / np.sqrt(BATCHES)
    prevalence, image_auc, full_auc = (
        Estimate(value=value, standard_error=float(error))
        for value, error in zip(measured[0], errors, strict=True)
    )
    return IdealObserver(
        name=name, share=share, prevalence=prevalence, image_auc=image_auc, full_auc=full_auc
    )
