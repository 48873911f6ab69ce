"""From a fit to a bundle, and from a bundle to scores."""

import json

import numpy as np
import pytest
import torch
from triplet_builder import cases, tiny_recipe
from typer.testing import CliRunner

from pipeline.classification.classifier import Classifier
from pipeline.model_bundle import load_bundle
from pipeline.training_statistics import Measure
from training.classification.case import save_case
from training.classification.command import APP
from training.classification.evaluation import Evaluation, evaluate, score
from training.classification.fitting import fit
from training.classification.release import release_classifier, with_scores
from training.classification.split import Split


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    """Return a classifier that learned to see the spot, as a bundle on disk."""
    folder = tmp_path_factory.mktemp("release")
    split = Split(training=tuple(cases(36)), validation=tuple(cases(18, first=36)))
    recipe = tiny_recipe(epochs=12)
    fitted = fit(split, recipe, output=folder, on_epoch=[].append)
    return release_classifier(folder / "bundle", fitted, recipe, split, version="7")


def test_the_card_says_what_the_model_is(released):
    """Simulated only, research use only, class order, numbers of cases, threshold."""
    card = load_bundle(released.path, task="classification").card

    assert (card.name, card.version, card.class_names) == ("tiny", "7", ("HE", "NHE"))
    assert card.demonstration
    assert "36 hematomas (12 expanding)" in card.training_cohort
    assert "18 other simulated hematomas (6 expanding)" in card.training_cohort
    assert "RESEARCH USE ONLY" in card.intended_use
    assert 0 < card.threshold < 1


def test_a_released_classifier_tells_unseen_cases_apart(released):
    """The way through bundle and pipeline gives the AUC that the spot deserves."""
    classifier = Classifier(load_bundle(released.path), device=torch.device("cpu"))

    found = score(evaluate(classifier, cases(30, first=100)))

    assert (found.patients, found.cases, found.expanded) == (30, 30, 10)
    assert found.auc.value == 1.0
    assert found.sensitivity.value == 1.0


def test_the_card_says_how_probable_expansion_was_on_validation_patients(released):
    """What the node compares its own probabilities with: quantiles within 0 and 1."""
    statistics = load_bundle(released.path).card.training_statistics

    assert statistics is not None
    found = statistics.measures[Measure.HE_PROBABILITY]
    assert found.cases == 18
    assert 0 <= found.quantiles[0] <= found.quantiles[-1] <= 1


def test_scores_of_held_out_patients_go_onto_the_card(released):
    """Weights and digest stay; the metrics gain the held-out cohort with intervals."""
    outcome = np.arange(20) < 5
    found = score(
        Evaluation(
            case_ids=tuple(map(str, range(20))),
            patient_ids=tuple(map(str, range(20))),
            expanded=outcome,
            probabilities=np.where(outcome, 0.8, 0.2),
            threshold=0.5,
        )
    )

    renewed = with_scores(released, found)

    card = load_bundle(released.path).card
    assert renewed.digest == released.digest == card.weights_sha256
    assert card.metrics["held_out"]["auc"] == {"value": 1.0, "low_95": 1.0, "high_95": 1.0}
    assert card.metrics["held_out"]["expanded"] == 5
    assert card.metrics["held_out"]["brier"]["value"] == pytest.approx(0.04)


def test_evaluating_from_the_command_line_writes_scores_and_curve(released, tmp_path):
    """Triplets on disk and a bundle become scores.json, predictions.csv and roc.png."""
    for case in cases(12, first=200):
        save_case(tmp_path / "triplets", case)
    arguments = ["--bundle", released.path, "--triplets", tmp_path / "triplets"]

    ran = CliRunner().invoke(
        APP, ["evaluate", *map(str, arguments), "--output", str(tmp_path / "out")]
    )

    assert ran.exit_code == 0, ran.output
    scores = json.loads((tmp_path / "out/scores.json").read_text())
    assert scores["auc"]["value"] == 1.0
    assert len((tmp_path / "out/predictions.csv").read_text().splitlines()) == 13
    assert (tmp_path / "out/roc.png").stat().st_size > 0
