"""What is known of a simulated patient beside the images, some of which moves the risk."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr  # type: ignore[import-untyped] # scipy ships no types

from training.phantom.fields import happens
from training.phantom.lesion_plan import LesionPlan

#: Shares among patients with spontaneous hemorrhage, rounded from hospital series; drawn
#: independently of everything that an image shows.
HYPERTENSION_SHARE, DIABETES_SHARE, ANTITHROMBOTIC_SHARE = 0.7, 0.2, 0.25

#: Systolic pressure at admission: mean with and without known hypertension, spread, in mmHg. It
#: is read in steps of 5.
SYSTOLIC_MEANS, SYSTOLIC_SD, SYSTOLIC_STEP = (176.0, 150.0), 25.0, 5
SYSTOLIC_LIMITS = (90, 250)

#: What antithrombotic therapy and 10 mmHg more add to the log odds of expansion. Both are known
#: risk factors; their size is chosen, like that of the signs, so that images tell only a part.
ANTITHROMBOTIC_LOG_ODDS, SYSTOLIC_LOG_ODDS_PER_10 = 1.3, 0.28
SYSTOLIC_REFERENCE = 165.0

#: How often patients fall for one of the npj study's criteria.
UNDERAGE_SHARE, NOT_SPONTANEOUS_SHARE, LATE_BASELINE_SHARE = 0.01, 0.015, 0.015
LATE_FOLLOW_UP_SHARE, SURGERY_SHARE, LOST_SHARE = 0.015, 0.02, 0.015
PRIMARY_IVH_SHARE = 0.04  #: of those with blood in the ventricles

#: Movement from which a reader calls the images poor.
POOR_FROM_MM = 2.5


@dataclass(frozen=True, slots=True, kw_only=True)
class ClinicalPicture:
    """Facts of a patient's chart.

    Attributes
    ----------
    hypertension, diabetes, antithrombotic : bool
        History, and therapy at onset.
    systolic_mmhg : int
        At admission.
    gcs : int
        Glasgow Coma Scale at admission, 3 to 15; follows the hematoma, moves no risk.
    spontaneous : bool
        Whether no injury, tumour or malformation caused it.
    underage : bool
        Whether the patient is younger than 18 years.
    unwitnessed_h : float
        By how much the chart's onset (last seen well) lies before the bleeding.
    late_follow_up : bool
        Whether the second scan came later than 72 h.
    surgery_before_follow_up : bool
        Whether the hematoma was operated on before the second scan.
    primary_ivh : bool
        Whether readers placed the bleeding's origin in the ventricles.
    lost : bool
        Whether there is no second scan.
    """

    hypertension: bool
    diabetes: bool
    antithrombotic: bool
    systolic_mmhg: int
    gcs: int
    spontaneous: bool
    underage: bool
    unwitnessed_h: float
    late_follow_up: bool
    surgery_before_follow_up: bool
    primary_ivh: bool
    lost: bool


def draw_clinical(rng: np.random.Generator, plan: LesionPlan | None) -> ClinicalPicture:
    """Return the chart of a random patient."""
    hypertension = happens(rng, HYPERTENSION_SHARE)
    systolic = rng.normal(SYSTOLIC_MEANS[0 if hypertension else 1], SYSTOLIC_SD)
    late = happens(rng, LATE_BASELINE_SHARE)
    ventricular = plan is not None and plan.reaches_ventricle
    volume_ml = 0.0 if plan is None else plan.volume_ml
    coma = 0.055 * volume_ml + 1.5 * ventricular + rng.normal(0.8, 1.4)
    return ClinicalPicture(
        hypertension=hypertension,
        diabetes=happens(rng, DIABETES_SHARE),
        antithrombotic=happens(rng, ANTITHROMBOTIC_SHARE),
        systolic_mmhg=int(np.clip(_to_step(systolic), *SYSTOLIC_LIMITS)),
        gcs=int(np.clip(round(15 - coma), 3, 15)),
        spontaneous=not happens(rng, NOT_SPONTANEOUS_SHARE),
        underage=happens(rng, UNDERAGE_SHARE),
        unwitnessed_h=float(rng.uniform(24, 40)) if late else 0.0,
        late_follow_up=happens(rng, LATE_FOLLOW_UP_SHARE),
        surgery_before_follow_up=happens(rng, SURGERY_SHARE),
        primary_ivh=happens(rng, PRIMARY_IVH_SHARE) and ventricular,
        lost=happens(rng, LOST_SHARE),
    )


def clinical_log_odds(clinical: ClinicalPicture) -> float:
    """Return what the chart adds to the log odds of expansion."""
    away = (clinical.systolic_mmhg - SYSTOLIC_REFERENCE) / 10
    return ANTITHROMBOTIC_LOG_ODDS * clinical.antithrombotic + SYSTOLIC_LOG_ODDS_PER_10 * away


def clinical_distribution() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return every value that `clinical_log_odds` can take and its probability.

    Returns
    -------
    log_odds, chance : ndarray, shape (66,)
        With and without therapy, at each reading of the pressure; the chances make one.
    """
    low, high = SYSTOLIC_LIMITS
    readings = np.arange(low, high + 1, SYSTOLIC_STEP)
    edges = np.append(-np.inf, (readings[:-1] + readings[1:]) / 2)
    edges = np.append(edges, np.inf)
    chance = np.zeros(readings.size)
    for mean, share in zip(
        SYSTOLIC_MEANS, (HYPERTENSION_SHARE, 1 - HYPERTENSION_SHARE), strict=True
    ):
        chance += share * np.diff(ndtr((edges - mean) / SYSTOLIC_SD))
    by_pressure = SYSTOLIC_LOG_ODDS_PER_10 * (readings - SYSTOLIC_REFERENCE) / 10
    log_odds = np.concatenate((by_pressure, by_pressure + ANTITHROMBOTIC_LOG_ODDS))
    treated = ANTITHROMBOTIC_SHARE
    return log_odds, np.concatenate((chance * (1 - treated), chance * treated))


def _to_step(value: float) -> int:
    return SYSTOLIC_STEP * round(value / SYSTOLIC_STEP)
