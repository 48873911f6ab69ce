"""The risk of expansion in a multi-centre cohort: all of it, and what an image can tell."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtr  # type: ignore[import-untyped] # scipy ships no types

from training.phantom.clinical import (
    ClinicalPicture,
    clinical_distribution,
    clinical_log_odds,
)
from training.phantom.growth import HOURS_LOG_ODDS_PER_E, sign_log_odds
from training.phantom.lesion_plan import (
    EDEMA_LIMITS_MM,
    EDEMA_SD_MM,
    HOURS_LIMITS,
    HOURS_LOG_SD,
    HOURS_MEDIAN,
    IRREGULARITY_LIMITS,
    IRREGULARITY_MEAN,
    IRREGULARITY_PER_TENDENCY,
    IRREGULARITY_SD,
    SIGN_SHARES,
    TENDENCY_SD,
    LesionPlan,
    edema_mean_mm,
    sign_tendency,
)

Array = NDArray[np.float64]

#: Log odds without any sign or factor, and the weight of the signs against that in cohorts of
#: one centre. Chosen by simulation (`training.phantom.ideal`) so that about 20 % expand and the
#: best reader of images has an AUC near 0.85.
INTERCEPT = -4.05
SIGN_WEIGHT = 1.05

#: Nodes of the quadratures over time and tendency.
_HOURS_NODES, _TENDENCY_NODES = 24, 16


def full_probability(plan: LesionPlan, clinical: ClinicalPicture, *, centre: float) -> float:
    """Return the chance of expansion from signs, time and chart; `centre` is its log odds."""
    return float(full_probabilities(plan, clinical, np.array([centre]))[0])


def full_probabilities(plan: LesionPlan, clinical: ClinicalPicture, centres: Array) -> Array:
    """Return the chances of expansion at centres of given log odds, shape (K,)."""
    by_time = HOURS_LOG_ODDS_PER_E * np.log(plan.hours_from_onset / HOURS_MEDIAN)
    return np.asarray(expit(_seen(plan) + centres + by_time + clinical_log_odds(clinical)))


def visible_probability(plan: LesionPlan, *, centre: float) -> float:
    """Return the best estimate of the chance of expansion from the first image alone.

    See `visible_probabilities`; `centre` is the log odds that the reader's centre adds.
    """
    return float(visible_probabilities(plan, np.array([centre]))[0])


def visible_probabilities(plan: LesionPlan, centres: Array) -> Array:
    """Return the best estimates from the first image alone, were it taken at several centres.

    That is the expectation of `full_probability` over everything that the image does not show,
    given what it shows. The chart is independent of the image. The time since onset is not
    written on the image, but oedema, signs and outline depend on it, so its distribution given
    these is used.

    Parameters
    ----------
    plan : LesionPlan
        The hematoma; all of it is taken as seen but the time.
    centres : ndarray, shape (K,)
        Log odds that each centre adds; a reader knows where they work.

    Returns
    -------
    ndarray, shape (K,)
    """
    log_hours, weights = hours_given_image(plan)
    by_time = HOURS_LOG_ODDS_PER_E * (log_hours - np.log(HOURS_MEDIAN))
    hidden = by_time[:, None] + _BY_CHART
    logits = _seen(plan) + centres[:, None, None] + hidden
    return np.asarray(expit(logits) @ _CHART_CHANCE @ weights)


def hours_given_image(plan: LesionPlan) -> tuple[Array, Array]:
    """Return times since onset and their probabilities given all that the image shows.

    Returns
    -------
    log_hours, probability : ndarray, shape (26,)
        Nodes of a quadrature over the open range of times, and the two limits at which times
        are cut off, which have a probability of their own.
    """
    hours = np.exp(_LOG_HOURS)
    tendency = sign_tendency(plan.volume_ml, hours)[:, None] + TENDENCY_SD * _OWN
    likelihood = _clipped_density(
        plan.signs.irregularity,
        IRREGULARITY_MEAN + IRREGULARITY_PER_TENDENCY * tendency,
        IRREGULARITY_SD,
        IRREGULARITY_LIMITS,
    )
    for name, share in SIGN_SHARES.items():
        chance = expit(np.log(share / (1 - share)) + tendency)
        likelihood = likelihood * (chance if getattr(plan.signs, name) else 1 - chance)
    by_time = likelihood @ _OWN_CHANCE * _HOURS_CHANCE
    by_time *= _clipped_density(plan.edema_mm, edema_mean_mm(hours), EDEMA_SD_MM, EDEMA_LIMITS_MM)
    return _LOG_HOURS, by_time / by_time.sum()


def _seen(plan: LesionPlan) -> float:
    return INTERCEPT + SIGN_WEIGHT * sign_log_odds(plan)


def _hours_prior() -> tuple[Array, Array]:
    """Return nodes in log hours and their probability before anything is seen."""
    low, high = (float(np.log(limit)) for limit in HOURS_LIMITS)
    nodes, lengths = np.polynomial.legendre.leggauss(_HOURS_NODES)
    inner = (low + high) / 2 + (high - low) / 2 * nodes
    middle = np.log(HOURS_MEDIAN)
    density = _density((inner - middle) / HOURS_LOG_SD) / HOURS_LOG_SD
    early, late = ndtr((low - middle) / HOURS_LOG_SD), ndtr((middle - high) / HOURS_LOG_SD)
    inner_chance = density * lengths * (high - low) / 2
    return np.array([low, *inner, high]), np.array([early, *inner_chance, late])


def _clipped_density(value: float, mean: Array, sd: float, limits: tuple[float, float]) -> Array:
    """Return how likely a normal variable cut off at limits shows a value, for each mean."""
    low, high = limits
    if value <= low:
        return np.asarray(ndtr((low - mean) / sd))
    if value >= high:
        return np.asarray(ndtr((mean - high) / sd))
    return _density((value - mean) / sd)


def _density(away: Array) -> Array:
    return np.asarray(np.exp(-0.5 * away**2) / np.sqrt(2 * np.pi))


#: Nodes and weights: the chart's, the time's before anything is seen, a patient's own tendency's.
_BY_CHART, _CHART_CHANCE = clinical_distribution()
_LOG_HOURS, _HOURS_CHANCE = _hours_prior()
_OWN, _OWN_CHANCE = np.polynomial.hermite_e.hermegauss(_TENDENCY_NODES)
