"""Classifiers side by side: leads by DeLong, distance from the ideal reader, honest doubt."""

import dataclasses

import numpy as np
import pytest
from triplet_builder import case, cases, tiny_recipe

from pipeline.classification.vit import build_vit
from pipeline.errors import ModelBundleError
from pipeline.model_bundle import ModelBundle, save_bundle
from pipeline.model_card import ModelCard
from training.classification.comparison import IDEAL, compare
from training.classification.dropout_opinion import dropout_opinions, has_dropout
from training.classification.evaluation import Evaluation, of_opinions, score
from training.classification.ideal_reader import ideal_chances
from training.classification.release import INTENDED_USE

RNG = np.random.default_rng(3)
CHANCES = RNG.uniform(0.05, 0.95, 200)
OUTCOMES = RNG.random(200) < CHANCES


def evaluation(probabilities, spread=None) -> Evaluation:
    """Return what somebody said of 200 patients."""
    names = tuple(f"patient-{number}" for number in range(200))
    return Evaluation(
        case_ids=names,
        patient_ids=names,
        expanded=OUTCOMES,
        probabilities=np.asarray(probabilities, dtype=np.float64),
        threshold=0.5,
        spread=spread,
        ideal=CHANCES,
    )


def test_the_ideal_reader_leads_a_guesser():
    """Chances that made the outcomes rank better than constants, whose AUC is one half."""
    rows = compare({"guesser": evaluation(np.full(200, 0.5))}, draws=200)

    assert [row.name for row in rows] == ["guesser", IDEAL]
    guesser, ideal = rows
    assert guesser.auc.value == 0.5
    assert guesser.lead is guesser.p_value is None
    assert ideal.lead.value == pytest.approx(ideal.auc.value - 0.5)
    assert ideal.p_value < 0.001
    assert guesser.brier.value == pytest.approx(0.25)
    assert guesser.error.value == pytest.approx(np.sqrt(((CHANCES - 0.5) ** 2).mean()))
    assert ideal.error is None
    scores = score(evaluation(np.full(200, 0.5)), draws=50)
    assert scores.ideal_auc == ideal.auc


def test_doubt_that_grows_with_the_error_is_told_from_doubt_that_does_not():
    """A spread equal to the error has a rank correlation of 1, its opposite of -1."""
    said = np.clip(CHANCES + RNG.normal(0, 0.2, 200), 0, 1)
    away = np.abs(said - CHANCES)

    rows = compare(
        {"knows": evaluation(said, away), "deceives": evaluation(said, 1 - away)},
        draws=100,
    )

    assert rows[0].doubt_ranks_error.value == pytest.approx(1)
    assert rows[1].doubt_ranks_error.value == pytest.approx(-1)
    assert rows[1].lead.value == 0
    assert rows[1].p_value == 1


def test_opinions_on_other_patients_cannot_be_compared():
    """A paired test needs pairs."""
    other = dataclasses.replace(evaluation(CHANCES), case_ids=("x",) * 200)

    with pytest.raises(ValueError, match="same cases"):
        compare({"a": evaluation(CHANCES), "b": other})


def test_real_cases_have_no_ideal_reader():
    """Of no patient the chance of expansion is known."""
    simulated = dataclasses.replace(case(1, expands=True), signs={"expansion_probability": 0.25})

    assert ideal_chances([simulated]).tolist() == [0.25]
    assert ideal_chances([simulated, case(2, expands=False)]) is None


def bundle(path, **arguments) -> ModelBundle:
    """Return a network with random weights, with or without dropout."""
    network = tiny_recipe(epochs=1).network
    chosen = {**network.arguments, **arguments}
    card = ModelCard(
        name="tiny",
        version="1",
        task="classification",
        architecture="vit",
        architecture_arguments=chosen,
        window=(40.0, 80.0),
        input_size=32,
        class_names=("HE", "NHE"),
        threshold=0.5,
        training_cohort="none",
        metrics={},
        licence="Apache-2.0",
        intended_use=INTENDED_USE,
        demonstration=True,
    )
    return save_bundle(path, card, build_vit("vit", chosen).state_dict())


def test_dropout_gives_other_opinions_in_each_pass_and_the_same_for_a_seed(tmp_path):
    """Passes differ, seeds repeat, and the global random numbers are left alone."""
    dropping, some = bundle(tmp_path / "a", proj_drop_rate=0.3), cases(3)

    found = dropout_opinions(dropping, some, passes=8, seed=1)

    assert found.shape == (8, 3)
    assert (found.std(axis=0) > 0).all()
    assert np.array_equal(found, dropout_opinions(dropping, some, passes=8, seed=1))
    told = of_opinions(evaluation(CHANCES), found)
    assert told.probabilities == pytest.approx(found.mean(axis=0))
    assert (told.spread > 0).all()


def test_a_network_without_dropout_has_no_second_opinion(tmp_path):
    """It would say the same in every pass and look certain."""
    plain = bundle(tmp_path / "b")

    assert not has_dropout(plain)
    with pytest.raises(ModelBundleError, match="no single network with dropout"):
        dropout_opinions(plain, cases(1), passes=2, seed=0)
