"""Claims about the risk of expansion and what an image can tell of it."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from training.phantom.centre import CENTRES
from training.phantom.clinical import clinical_distribution, clinical_log_odds, draw_clinical
from training.phantom.course import aged, draw_course
from training.phantom.ideal import POOLED, ideal_observers, weighted_auc
from training.phantom.lesion_plan import LesionPlan, draw_plan
from training.phantom.risk import full_probability, hours_given_image, visible_probability
from training.phantom.traits import draw_traits


@pytest.fixture(scope="module")
def plans() -> list[LesionPlan]:
    """Two thousand planned hematomas."""
    rng = np.random.default_rng(8)
    return [draw_plan(rng) for _ in range(2000)]


def test_the_distribution_of_the_charts_is_that_of_drawn_charts(plans: list[LesionPlan]) -> None:
    """Mean and spread of 2000 charts lie within four standard errors of the exact ones."""
    rng = np.random.default_rng(9)
    drawn = np.array([clinical_log_odds(draw_clinical(rng, plan)) for plan in plans])

    log_odds, chance = clinical_distribution()

    mean = float(log_odds @ chance)
    variance = float((log_odds - mean) ** 2 @ chance)
    assert chance.sum() == pytest.approx(1.0, abs=1e-12)
    assert drawn.mean() == pytest.approx(mean, abs=4 * np.sqrt(variance / drawn.size))
    assert drawn.var() == pytest.approx(variance, rel=4 * np.sqrt(2 / drawn.size))


@pytest.mark.parametrize("number", range(6))
def test_the_best_estimate_is_that_of_weighted_trials(
    plans: list[LesionPlan], number: int
) -> None:
    """Half a million times and charts, weighted by how well they explain one image's signs.

    Written anew from the description of the model: hours are log-normal (4, 0.8), cut at 0.5 and
    24; tendency -0.25 log(h/4) + 0.45 log(v/20.4) + N(0, 0.5); signs are logistic in it; outline
    N(0.2 + 0.05 t, 0.08); oedema N(2 + 2 log(1 + h/3), 1).
    """
    plan = plans[number]
    rng = np.random.default_rng(number)
    size = 500_000
    hours = np.clip(np.exp(rng.normal(np.log(4), 0.8, size)), 0.5, 24)
    tendency = 0.45 * np.log(plan.volume_ml / 20.4) - 0.25 * np.log(hours / 4)
    tendency += rng.normal(0, 0.5, size)
    weight = stats.norm.pdf(plan.signs.irregularity, 0.2 + 0.05 * tendency, 0.08)
    weight *= stats.norm.pdf(plan.edema_mm, 2 + 2 * np.log1p(hours / 3), 1.0)
    shares = {"black_hole": 0.15, "blend": 0.16, "swirl": 0.28, "satellite": 0.25}
    for name, share in {**shares, "fluid_level": 0.03}.items():
        odds = share / (1 - share) * np.exp(tendency)
        weight *= odds / (1 + odds) if getattr(plan.signs, name) else 1 / (1 + odds)
    at_four = full_probability(
        replace(plan, hours_from_onset=4.0),
        replace(draw_clinical(rng, plan), antithrombotic=False, systolic_mmhg=165),
        centre=0.3,
    )
    pressure = np.where(rng.random(size) < 0.7, 176.0, 150.0) + rng.normal(0, 25, size)
    pressure = np.clip(5 * np.round(pressure / 5), 90, 250)
    logit = np.log(at_four / (1 - at_four)) - 0.4 * np.log(hours / 4)
    logit += 1.3 * (rng.random(size) < 0.25) + 0.28 * (pressure - 165) / 10
    tried = float((weight / (1 + np.exp(-logit))).sum() / weight.sum())

    assert 0.05 < plan.signs.irregularity < 0.5
    assert 0.3 < plan.edema_mm < 10
    assert visible_probability(plan, centre=0.3) == pytest.approx(tried, rel=0.02)


def test_estimates_from_the_image_are_calibrated(plans: list[LesionPlan]) -> None:
    """In each fifth of the estimates the true chance has the same mean, within four SE."""
    rng = np.random.default_rng(10)
    full = np.array(
        [full_probability(plan, draw_clinical(rng, plan), centre=0.0) for plan in plans]
    )
    seen = np.array([visible_probability(plan, centre=0.0) for plan in plans])

    for part in np.array_split(np.argsort(seen), 5):
        gap = full[part] - seen[part]
        assert abs(gap.mean()) < 4 * gap.std() / np.sqrt(part.size)


def test_thick_oedema_tells_of_a_long_time(plans: list[LesionPlan]) -> None:
    """The mean of the time given the image grows with the oedema; probabilities make one."""
    means = []
    for edema_mm in (0.3, 2.0, 5.0, 10.0):
        log_hours, chance = hours_given_image(replace(plans[0], edema_mm=edema_mm))
        assert chance.sum() == pytest.approx(1.0)
        means.append(float(log_hours @ chance))

    assert means == sorted(means)
    assert np.exp(means[-1]) > 4 * np.exp(means[0])


def test_the_area_counts_weights_and_ties() -> None:
    """Positives 1 and 3 (twice), negatives 1 and 2: (0.5 + 0 + 2 * 2) / 6 = 0.75."""
    area = weighted_auc(
        np.array([1.0, 3.0, 1.0, 2.0]),
        np.array([1.0, 2.0, 0.0, 0.0]),
        np.array([0.0, 0.0, 1.0, 1.0]),
    )

    assert area == pytest.approx(0.75)


def test_the_area_is_that_of_scikit_learn() -> None:
    """Every case counts on both sides, with its chance and the rest."""
    rng = np.random.default_rng(4)
    scores, chance = np.round(rng.random(300), 2), rng.random(300)

    area = weighted_auc(scores, chance, 1 - chance)

    labels = np.repeat([1, 0], 300)
    weights = np.concatenate((chance, 1 - chance))
    assert area == pytest.approx(
        roc_auc_score(labels, np.tile(scores, 2), sample_weight=weights), abs=1e-12
    )


def test_there_is_no_area_without_two_sides() -> None:
    """Where everybody expands nobody can be told apart."""
    with pytest.raises(ValueError, match="there is no AUC"):
        weighted_auc(np.array([1.0, 2.0]), np.ones(2), np.zeros(2))


def test_where_the_centre_decides_everything_the_observer_knows_everything() -> None:
    """Nobody expands at one centre, everybody at one of a third of its size: 25 %, AUC 1."""
    centres = (
        replace(CENTRES[0], share=3, log_odds=-25.0),
        replace(CENTRES[1], share=1, log_odds=25.0),
    )

    pooled = ideal_observers(centres, plans=40, seed=1)[-1]

    assert pooled.name == POOLED
    assert pooled.prevalence.value == pytest.approx(0.25, abs=1e-3)
    assert pooled.image_auc.value == pytest.approx(1.0, abs=1e-3)


def test_the_best_reader_of_images_reaches_about_085() -> None:
    """At each centre and over all; whoever knows the chart too is better; a fifth expands."""
    *centres, pooled = ideal_observers(CENTRES, plans=2000, seed=3)

    for observer in (*centres, pooled):
        assert observer.image_auc.value == pytest.approx(0.85, abs=0.02)
        assert observer.full_auc.value > observer.image_auc.value + 0.02
        assert 0 < observer.image_auc.standard_error < 0.01
    assert pooled.prevalence.value == pytest.approx(0.2, abs=0.02)
    assert centres[1].prevalence.value < centres[0].prevalence.value < centres[2].prevalence.value


def test_too_few_plans_are_refused() -> None:
    """The scatter needs a plan in each of 20 parts."""
    with pytest.raises(ValueError, match="At least 20 plans are needed, got 5"):
        ideal_observers(CENTRES, plans=5, seed=1)


def test_some_patients_fall_for_each_criterion_of_the_study(plans: list[LesionPlan]) -> None:
    """Among 2000 charts every reason occurs, and all together take no more than one in eight."""
    rng = np.random.default_rng(11)
    courses = [draw_course(rng, CENTRES[0], plan) for plan in plans]
    charts = [course.clinical for course in courses]

    assert any(not chart.spontaneous for chart in charts)
    assert any(chart.underage for chart in charts)
    assert any(chart.unwitnessed_h > 24 for chart in charts)
    assert any(chart.surgery_before_follow_up for chart in charts)
    assert any(chart.primary_ivh for chart in charts)
    assert any(chart.lost for chart in charts)
    late = [c.growth.hours_between for c in courses if c.growth and c.clinical.late_follow_up]
    assert late
    assert min(late) > 72
    falls = [
        not chart.spontaneous
        or chart.underage
        or chart.unwitnessed_h > 0
        or chart.surgery_before_follow_up
        or chart.primary_ivh
        or chart.lost
        or chart.late_follow_up
        for chart in charts
    ]
    assert 0.04 < np.mean(falls) < 0.125
    young = next(course for course in courses if course.clinical.underage)
    assert aged(draw_traits(rng), young).age_years < 18


def test_a_patient_without_hematoma_has_a_chart_and_no_risk() -> None:
    """There is nothing that could grow."""
    course = draw_course(np.random.default_rng(1), CENTRES[0], None)

    assert course.growth is None
    assert course.visible_probability == 0
    assert not course.clinical.primary_ivh
