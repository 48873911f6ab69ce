"""The commands `ichtrain classification ...`, from a few triplets to bundles and figures."""

import csv
import dataclasses
import json
from pathlib import Path

import pytest
from triplet_builder import case, cases
from typer.testing import CliRunner

from pipeline.model_bundle import load_bundle
from training.classification.case import save_case
from training.cli import application

RECIPE = """
name = "tiny"
seed = 5
validation_share = 0.34
[network]
architecture = "vit"
input_size = 32
[network.arguments]
img_size = 32
patch_size = 8
in_chans = 1
embed_dim = 16
depth = 1
num_heads = 2
[slices]
roi = "square"
resizing = "pad"
[schedule]
epochs = 6
batch_size = 16
warmup_epochs = 1
learning_rate = 3e-3
final_learning_rate = 1e-3
weight_decay = 0.0
averaging = 0.8
gradient_limit = 1.0
[balance]
he_share = 0.5
prevalence = 0.3
signs_weight = 1.0
signs_only_epochs = 0
label_smoothing = 0.0
[augmentation]
flip = false
rotation_deg = 0.0
shift = 0.0
scale = 0.0
contrast = 0.0
brightness = 0.0
noise = 0.0
[validation]
calibration = "platt"
sensitivities = [0.9]
familiar_share = 0.95
"""


def called(*arguments):
    """Return the result of `ichtrain classification ...`."""
    return CliRunner().invoke(application(), ["classification", *map(str, arguments)])


def write_cases(folder: Path, count: int, *, first: int = 0) -> Path:
    """Write cases whose mask is their bright spot."""
    for one in cases(count, first=first):
        masks = tuple(image > 200 for image in one.images_yx)
        save_case(folder, dataclasses.replace(one, masks_yx=masks))
    return folder


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Return a folder with a recipe, 36 cases to learn and 18 others to judge on."""
    folder = tmp_path_factory.mktemp("classification")
    (folder / "recipe.toml").write_text(RECIPE)
    write_cases(folder / "cases", 36)
    write_cases(folder / "others", 18, first=100)
    write_cases(folder / "few", 4, first=200)
    return folder


@pytest.fixture(scope="module")
def members(place):
    """Return the bundles of two fits that differ in the seed of the weights."""
    found = []
    for seed in (1, 2):
        output = place / f"member-{seed}"
        result = called(
            *("train", "--recipe", place / "recipe.toml", "--triplets", place / "cases"),
            *("--output", output, "--seed", seed, "--device", "cpu"),
        )
        assert result.exit_code == 0, result.output
        found.append(output / "bundle")
    return found


def test_training_leaves_a_bundle_its_curves_and_its_reliability(members):
    """24 patients are learned and 12 choose; the bundle can be loaded."""
    output = members[0].parent

    assert load_bundle(members[0], task="classification").card.name == "tiny"
    assert len((output / "log.csv").read_text().splitlines()) == 1 + 6
    for picture in ("log.png", "reliability.png"):
        assert (output / picture).stat().st_size > 5000


def test_an_evaluation_writes_scores_predictions_and_figures(place, members):
    """What shows is learned: the AUC of 18 other patients is near 1, and lands on the card."""
    output = place / "evaluation"

    result = called(
        *("evaluate", "--bundle", members[0], "--triplets", place / "others"),
        *("--output", output, "--write-card"),
    )

    assert result.exit_code == 0, result.output
    scores = json.loads((output / "scores.json").read_text())
    assert scores["auc"]["value"] > 0.9
    with (output / "predictions.csv").open() as stream:
        assert len(list(csv.DictReader(stream))) == 18
    assert (output / "roc.png").stat().st_size > 5000
    assert load_bundle(members[0]).card.metrics["held_out"]["patients"] == 18


def test_members_of_two_seeds_make_an_ensemble(place, members):
    """Only the seed of the weights differs, so both have learned from the same patients."""
    output = place / "ensemble"

    result = called(
        *("ensemble", "--bundle", members[0], "--bundle", members[1]),
        *("--validation", place / "others", "--output", output, "--name", "both"),
    )

    assert result.exit_code == 0, result.output
    card = load_bundle(output).card
    assert (card.name, card.members) == ("both", 2)
    judged = called(
        *("evaluate", "--bundle", output, "--triplets", place / "others"),
        *("--output", place / "ensemble-evaluation"),
    )
    assert judged.exit_code == 0, judged.output
    with (place / "ensemble-evaluation/predictions.csv").open() as stream:
        assert any(float(row["spread"]) > 0 for row in csv.DictReader(stream))


def test_a_comparison_names_both_and_their_difference(place, members):
    """Two members on 18 other patients, the second set against the first."""
    output = place / "comparison.json"

    result = called(
        *("compare", "--bundle", members[0], "--bundle", members[1]),
        *("--triplets", place / "others", "--output", output),
    )

    assert result.exit_code == 0, result.output
    first, second = json.loads(output.read_text())["classifiers"]
    assert first["lead"] is None
    assert second["lead"]["value"] == pytest.approx(
        second["auc"]["value"] - first["auc"]["value"], abs=2e-4
    )


def test_an_explanation_writes_numbers_and_a_sheet(place, members):
    """Grad-CAM of every case with a mask is measured."""
    output = place / "explanation"

    result = called(
        *("explain", "--bundle", members[0], "--triplets", place / "few"),
        *("--output", output, "--rows", 1),
    )

    assert result.exit_code == 0, result.output
    scores = json.loads((output / "saliency.json").read_text())
    assert 0 < scores["cases"] <= 4
    assert 0 <= scores["inside"]["value"] <= 1
    assert (output / "saliency.png").stat().st_size > 5000


def test_experiments_take_every_slice_once_whatever_the_recipe_draws(place):
    """A fixed share of HE slices would undo the ratios; the command says that it is left out."""
    output = place / "ratios"

    result = called(
        *("experiments", "--recipe", place / "recipe.toml", "--triplets", place / "cases"),
        *("--ratios", "none,1:4", "--output", output),
    )

    assert result.exit_code == 0, result.output
    assert "Every slice is taken once" in result.output
    found = json.loads((output / "experiments.json").read_text())
    assert found["sets"]["validation"]["delong"][0]["second"] == "ViT-1:4"


def test_another_recipe_in_the_same_folder_is_refused_in_one_line(place, members):
    """Going on with the weights of another network would be a fit of neither."""
    changed = place / "changed.toml"
    changed.write_text(RECIPE.replace("epochs = 6", "epochs = 7"))

    result = called(
        *("train", "--recipe", changed, "--triplets", place / "cases"),
        *("--output", members[0].parent, "--seed", 1),
    )

    assert result.exit_code == 2
    assert "holds a fit of another recipe" in result.stderr


def test_a_device_that_is_not_there_is_refused_in_one_line(place):
    """No machine has a hundredth CUDA device."""
    result = called(
        *("train", "--recipe", place / "recipe.toml", "--triplets", place / "cases"),
        *("--output", place / "nowhere", "--device", "cuda:99"),
    )

    assert result.exit_code == 2
    assert "'cuda:99' is not there" in result.stderr


def test_triplets_without_masks_cannot_be_explained(place, members):
    """Nobody could say what lies inside the hematoma."""
    save_case(place / "bare", case(1, expands=True))

    result = called(
        *("explain", "--bundle", members[0], "--triplets", place / "bare"),
        *("--output", place / "unexplained"),
    )

    assert result.exit_code == 2
    assert "has a mask" in result.stderr
