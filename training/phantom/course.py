"""What becomes of a patient at a centre: the chart, the risk, the growth of the hematoma."""

from dataclasses import dataclass, replace

import numpy as np

from training.phantom.centre import Centre
from training.phantom.clinical import ClinicalPicture, draw_clinical
from training.phantom.growth import Growth, draw_growth
from training.phantom.lesion_plan import LesionPlan
from training.phantom.risk import full_probability, visible_probability
from training.phantom.traits import HeadTraits

#: Hours between the scans of a patient whose second scan comes too late for the study.
_LATE_HOURS = (75.0, 120.0)

#: Years of a patient who is too young for the study.
_YOUNG_YEARS = (15, 17)


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """A patient at a centre.

    Attributes
    ----------
    centre : Centre
        Where.
    clinical : ClinicalPicture
        The chart.
    growth : Growth or None
        What becomes of the hematoma; None where there is none.
    visible_probability : float
        Best estimate of the chance of expansion from the first image alone; 0 without hematoma.
    """

    centre: Centre
    clinical: ClinicalPicture
    growth: Growth | None
    visible_probability: float


def draw_course(rng: np.random.Generator, centre: Centre, plan: LesionPlan | None) -> Course:
    """Return the random course of a patient at a centre."""
    clinical = draw_clinical(rng, plan)
    late_h = float(rng.uniform(*_LATE_HOURS))
    if plan is None:
        return Course(centre=centre, clinical=clinical, growth=None, visible_probability=0.0)
    risk = full_probability(plan, clinical, centre=centre.log_odds)
    growth = draw_growth(rng, plan, probability=risk)
    if clinical.late_follow_up:
        growth = replace(growth, hours_between=late_h)
    return Course(
        centre=centre,
        clinical=clinical,
        growth=growth,
        visible_probability=visible_probability(plan, centre=centre.log_odds),
    )


def aged(traits: HeadTraits, course: Course) -> HeadTraits:
    """Return the traits with the age that the chart demands."""
    if not course.clinical.underage:
        return traits
    low, high = _YOUNG_YEARS
    return replace(traits, age_years=low + traits.age_years % (high - low + 1))
