"""Scores, the table beside the published one, figures, and the bundle."""

import dataclasses
import json
import math

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from typer.testing import CliRunner

from pipeline.growth.forecaster import load_forecaster
from pipeline.model_bundle import load_bundle
from tests.growth_builder import bleeding_head, small_pair, small_recipe
from training.cli import application
from training.growth.arms import Arm
from training.growth.evaluation import EVEN, Judged, judge_run, read_mask
from training.growth.figures import overlay, typical_patients
from training.growth.folds import everybody, make_folds
from training.growth.pair import save_pair
from training.growth.prepare import prepare_pairs
from training.growth.release import fit_forecast_error, release_growth
from training.growth.run import RESULT, WEIGHTS, begin_run
from training.growth.scores import GrowthScore, even_growth, score_forecast
from training.growth.shrinking import shrink_baseline
from training.growth.table import PUBLISHED, rows_of, write_table

CPU = torch.device("cpu")
NAMES = ("a", "bb", "ccc", "dddd")
FACTS = {
    "name": "toy-growth",
    "version": "1",
    "licence": "Apache-2.0",
    "intended_use": "tests",
    "demonstration": True,
}


def score(patient_id="p", *, dice=0.5, baseline=10.0, follow_up=20.0, forecast=18.0):
    return GrowthScore(
        patient_id=patient_id,
        growth_dice=dice,
        lesion_dice=0.8,
        baseline_ml=baseline,
        follow_up_ml=follow_up,
        forecast_ml=forecast,
    )


def test_the_growth_is_scored_without_the_baseline():
    """20 voxels grew; the forecast finds 10 of them and 5 others: Dice 2*10/(15+20) = 0.571.

    The whole hematoma of 8 voxels more on either side: 2*18/(23+28) = 0.706; error -5 voxels.
    """
    pair = small_pair()
    before, after, forecast = (np.zeros(8000, dtype=bool) for _ in range(3))
    before[:8] = True
    after[:28] = True
    forecast[:18] = True
    forecast[100:105] = True
    shape = pair.brain_zyx.shape
    pair = dataclasses.replace(
        pair, baseline_zyx=before.reshape(shape), follow_up_zyx=after.reshape(shape)
    )

    found = score_forecast(pair, forecast.reshape(shape))

    assert found.growth_dice == pytest.approx(20 / 35)
    assert found.lesion_dice == pytest.approx(36 / 51)
    assert found.error_ml == pytest.approx(-5 * 0.008)


def test_nothing_is_judged_on_synthetic_pairs():
    """A made baseline has no true follow-up."""
    pair = small_pair()
    how = small_recipe().shrinking
    made = shrink_baseline(pair, variant=1, how=how, rng=np.random.default_rng(1)).of(pair)

    with pytest.raises(ValueError, match="training alone"):
        score_forecast(made, pair.follow_up_zyx)


def test_even_growth_reaches_the_wanted_volume_within_the_brain():
    """A ball grown to twice its volume is a ball of cube root of 2 times its radius."""
    pair = small_pair(size=40, step_mm=1.0, baseline_mm=10, follow_up_mm=12.6)

    grown = even_growth(pair, 2.0)

    assert grown.sum() == 2 * pair.baseline_zyx.sum()
    assert score_forecast(pair, grown).growth_dice > 0.95
    assert not (even_growth(pair, 8.0) & ~pair.brain_zyx).any()
    assert np.array_equal(even_growth(pair, 0.5), pair.baseline_zyx)


def test_the_table_has_means_deviations_and_paired_tests():
    """Differences of Dice 0.1, 0.2, 0.3: t = 0.2 / (0.1 / sqrt 3) = 3.46, p = 0.0742 with 2 df.

    Errors of the first way: -2, -2, -8: mean -4, SD 3.46, mean size 4; of the other 0, 2, 4.
    """
    first = Judged(
        name="original",
        scores=(
            score("a", dice=0.4, forecast=18),
            score("b", dice=0.3, forecast=18),
            score("c", dice=0.2, forecast=12),
        ),
    )
    second = Judged(
        name="synthesis",
        scores=(
            score("a", dice=0.5, forecast=20),
            score("b", dice=0.5, forecast=22),
            score("c", dice=0.5, forecast=24),
        ),
    )

    one, other = rows_of([first, second])

    assert (one.growth_dice, one.growth_dice_sd) == pytest.approx((0.3, 0.1))
    assert (one.error_ml, one.error_ml_sd) == pytest.approx((-4.0, math.sqrt(12)))
    assert (one.absolute_error_ml, other.absolute_error_ml) == pytest.approx((4.0, 2.0))
    assert one.p_growth_dice is None
    assert other.p_growth_dice == pytest.approx(0.0742, abs=1e-4)
    with pytest.raises(ValueError, match="different patients"):
        rows_of([first, Judged(name="synthesis", scores=second.scores[:2])])


def test_the_published_rows_are_the_papers():
    """Table 1: Dice 0.458, 0.481, 0.506; AEV -5.81, -5.09, -3.44; AAEV 9.20, 8.15, 8.49 mL."""
    assert [row.growth_dice for row in PUBLISHED] == [0.458, 0.481, 0.506, 0.467]
    assert [row.error_ml for row in PUBLISHED] == [-5.81, -5.09, -3.44, 4.80]
    assert [row.absolute_error_ml for row in PUBLISHED] == [9.20, 8.15, 8.49, 10.50]
    assert [row.lesion_dice for row in PUBLISHED] == [0.757, 0.763, 0.761, 0.735]


def test_the_written_table_stands_beside_the_published_one(tmp_path):
    """Our rows, the published ones, what the data are, and every patient's scores."""
    way = Judged(name="original", scores=tuple(score(name) for name in NAMES))
    even = Judged(name=EVEN, scores=tuple(score(name, dice=None) for name in NAMES))

    write_table(tmp_path, [way, even], about="SIMULATED heads.")

    text = (tmp_path / "table.md").read_text()
    assert text.startswith("SIMULATED heads.")
    assert "| Original images | 4 | 0.500 ± 0.000 | -2.00 ± 0.00 | 2.00 ± 0.00 | 0.800 |" in text
    assert "| Original images + synthesis (published) | 27 | 0.506 ± 0.120 |" in text
    assert (tmp_path / "scores.csv").read_text().count("\n") == 9
    assert len(json.loads((tmp_path / "table.json").read_text())["rows"]) == 2


def test_examples_are_spread_from_best_to_worst():
    """Five patients, three rows: best, middle and worst."""
    values = {"a": 0.1, "b": 0.9, "c": 0.5, "d": 0.3, "e": 0.7}
    way = Judged(name="original", scores=tuple(score(k, dice=v) for k, v in values.items()))

    assert typical_patients(way, count=3) == ["b", "c", "a"]


def test_colours_are_those_of_the_papers_figure():
    """Red where forecast and truth agree, green where only forecast, blue where missed."""
    grey = np.full((1, 4, 3), 0.5)
    forecast = np.array([[True, True, False, False]])
    truth = np.array([[True, False, True, False]])

    picture = overlay(grey, forecast, truth)

    assert [int(np.argmax(picture[0, place])) for place in range(3)] == [0, 1, 2]
    assert picture[0, 3].tolist() == [0.5, 0.5, 0.5]


def test_the_error_is_the_residual_of_the_conformal_rank():
    """Of 20 residuals |error| / (baseline + 2), rank ceil(21 * 0.95) = 20 is the largest."""
    scores = [score(str(n), baseline=8.0, follow_up=20, forecast=20 + n) for n in range(20)]

    error = fit_forecast_error(scores, cohort="tests")

    assert error.quantile == pytest.approx(19 / 10)
    assert (error.patients, error.floor_ml) == (20, 2.0)
    assert fit_forecast_error(scores[:18], cohort="tests") is None


@pytest.fixture
def finished_run(tmp_path):
    """Return a run of four patients whose networks move everything by nothing or a little."""
    recipe = small_recipe()
    pairs = tmp_path / "pairs"
    prepare_pairs([], pairs, recipe.preparation)
    for name in NAMES:
        save_pair(pairs, small_pair(name))
    folds = [
        *make_folds(NAMES, count=2, validation_share=0.2),
        everybody(NAMES, validation_share=0.2),
    ]
    run = begin_run(tmp_path / "run", pairs, recipe, folds)
    for arm in (Arm.ORIGINAL, Arm.SYNTHESIS):
        for fold in folds:
            torch.manual_seed(1)
            place = run.place(arm, fold)
            place.mkdir(parents=True)
            save_file(recipe.network(arm).state_dict(), place / WEIGHTS)
            (place / RESULT).write_text("{}")
    return run


def test_a_run_is_judged_on_whom_it_did_not_see(finished_run):
    """Each patient once, by the fold that left them out; untrained networks foresee no growth."""
    judged = judge_run(finished_run, [Arm.ORIGINAL, Arm.SYNTHESIS], device=CPU)

    assert [way.name for way in judged] == ["original", "synthesis", EVEN]
    for way in judged:
        assert [one.patient_id for one in way.scores] == sorted(NAMES)
    pair = small_pair("a")
    first = judged[0].scores[0]
    assert first.growth_dice == 0.0
    assert first.error_ml == pytest.approx(pair.baseline_ml - pair.follow_up_ml)
    assert np.array_equal(read_mask(finished_run, Arm.ORIGINAL, "a"), pair.baseline_zyx)
    # All four grow alike, so that their mean ratio is everybody's.
    assert judged[2].scores[0].growth_dice > 0.9


def test_what_was_judged_is_read_unless_the_weights_changed(finished_run):
    """Kept scores belong to the digest of the weights."""
    first = judge_run(finished_run, [Arm.ORIGINAL], device=CPU)
    fold = finished_run.folds[0]
    place = finished_run.place(Arm.ORIGINAL, fold)
    kept = (place / "scores.csv").read_text()
    (place / "scores.csv").write_text(kept.replace(",0.0,", ",0.25,", 1))

    again = judge_run(finished_run, [Arm.ORIGINAL], device=CPU)
    save_file(finished_run.recipe.network(Arm.ORIGINAL).state_dict(), place / WEIGHTS)
    anew = judge_run(finished_run, [Arm.ORIGINAL], device=CPU)

    values = [sorted(one.growth_dice for one in run[0].scores) for run in (first, again, anew)]
    assert values == [[0.0] * 4, [0.0] * 3 + [0.25], [0.0] * 4]


def test_a_bundle_is_the_network_of_everybody(finished_run, tmp_path):
    """Card and weights load as a forecaster; four patients give no range."""
    scores = judge_run(finished_run, [Arm.ORIGINAL], device=CPU)[0].scores

    release_growth(finished_run, Arm.ORIGINAL, tmp_path / "bundle", scores=scores, facts=FACTS)

    bundle = load_bundle(tmp_path / "bundle", task="growth")
    assert bundle.card.forecast_error is None
    assert bundle.card.metrics["cross_validation"]["patients"] == 4
    volume, hematoma = bleeding_head()
    forecast = load_forecaster(bundle, device=CPU).forecast(volume, hematoma)
    assert forecast.follow_up_ml == pytest.approx(forecast.baseline_ml, rel=0.02)


@pytest.mark.parametrize("facts", [{"name": "x"}, {**FACTS, "threshold": 0.5}])
def test_facts_are_whole_and_a_persons(finished_run, tmp_path, facts):
    """What the run knows cannot be claimed; what it cannot know must be said."""
    with pytest.raises(ValueError, match="Facts lack"):
        release_growth(
            finished_run, Arm.ORIGINAL, tmp_path / "bundle", scores=[score()], facts=facts
        )


def test_an_arm_without_everybodys_network_is_not_released(finished_run, tmp_path):
    """The message says how to make it."""
    with pytest.raises(ValueError, match="--everybody"):
        release_growth(
            finished_run, Arm.AUGMENTATION, tmp_path / "b", scores=[score()], facts=FACTS
        )


def call(*words):
    return CliRunner().invoke(application(), ["growth", *map(str, words)])


def test_train_evaluate_and_release_are_one_line(tmp_path):
    """From pairs to a bundle by the command line: table, figures and card are there."""
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        "spacing_zyx_mm = [2.0, 2.0, 2.0]\npatch_size_zyx = [8, 8, 8]\nwidths = [2, 2]\n"
        "[sampling]\npatches_per_case = 4\nvalidation_patches_per_case = 2\n"
        "[course]\nepochs = 1\n[shrinking]\nvariants = 0\n"
    )
    pairs, run = tmp_path / "pairs", tmp_path / "run"
    preparation = small_recipe().preparation
    preparation = dataclasses.replace(
        preparation, shrinking=dataclasses.replace(preparation.shrinking, variants=0)
    )
    prepare_pairs([], pairs, preparation)
    for name in NAMES:
        save_pair(pairs, small_pair(name))
    facts = tmp_path / "facts.json"
    facts.write_text(json.dumps(FACTS))
    common = ("--pairs", pairs, "--device", "cpu", "--threads", 1)

    trained = call(
        *("train", *common, "--output", run, "--recipe", recipe, "--folds", 2),
        *("--arms", "original,augmentation", "--everybody"),
    )
    judged = call("evaluate", *common, "--run", run, "--output", tmp_path / "table")
    released = call(
        *("release", *common, "--run", run, "--output", tmp_path / "bundle"),
        *("--facts", facts, "--arm", "augmentation"),
    )

    assert [one.exit_code for one in (trained, judged, released)] == [0, 0, 0], judged.output
    assert "| Original images + DA | 4 |" in judged.output
    for name in ("spread.png", "examples.png"):
        with Image.open(tmp_path / "table" / name) as picture:
            assert picture.size[0] > 300
    assert load_bundle(tmp_path / "bundle").card.task == "growth"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("train", "--pairs", "{}", "--output", "{}/run"), "holds no pair"),
        (
            ("train", "--pairs", "{}", "--output", "{}/r", "--arms", "best"),
            "Arm 'best' is unknown",
        ),
        (("evaluate", "--run", "{}", "--pairs", "{}", "--output", "{}/t"), "holds no run"),
        (("prepare", "--cohort", "{}", "--output", "{}/pairs"), "no patient with segmented"),
    ],
)
def test_what_is_missing_is_told_in_one_line(tmp_path, words, message):
    """No traceback, exit status 2."""
    # One thread: the number holds for the whole process, other tests included.
    threads = () if words[0] == "prepare" else ("--threads", 1)

    found = call(*(word.format(tmp_path) for word in words), *threads)

    assert found.exit_code == 2
    assert message in found.output
    assert "Traceback" not in found.output
