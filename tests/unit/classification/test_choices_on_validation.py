"""What validation cases decide, temperature, operating points, familiarity; and ensembles."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy.special import expit
from sklearn.covariance import ledoit_wolf_shrinkage
from triplet_builder import case, cases, tiny_recipe

from pipeline.classification.classifier import Classifier
from pipeline.classification.familiarity import FamiliarityReference
from pipeline.errors import ModelBundleError
from pipeline.model_bundle import load_bundle
from training.classification.calibration import fit_temperature
from training.classification.ensemble import join_classifiers
from training.classification.evaluation import evaluate
from training.classification.familiarity import fit_limit, fit_reference, shrunk_covariance
from training.classification.figures import draw_fit
from training.classification.fitting import fit
from training.classification.initial_weights import cached_weights, read_initial_weights
from training.classification.recipe import Calibration, read_recipe
from training.classification.release import release_classifier
from training.classification.split import Split

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    """Return two bundles of different seeds, calibrated by a temperature."""
    folder = tmp_path_factory.mktemp("choices")
    split = Split(training=tuple(cases(36)), validation=tuple(cases(18, first=36)))
    bundles = []
    for seed in (5, 6):
        recipe = tiny_recipe(epochs=8)
        choices = dataclasses.replace(recipe.validation, calibration=Calibration.TEMPERATURE)
        recipe = dataclasses.replace(recipe, seed=seed, validation=choices)
        fitted = fit(split, recipe, output=folder / str(seed), on_epoch=[].append)
        draw_fit(folder / str(seed), fitted)
        bundles.append(
            release_classifier(folder / str(seed) / "b", fitted, recipe, split, version="1")
        )
    return bundles


def test_a_temperature_cools_what_was_three_times_too_sure():
    """Log odds told three times too large are divided by three; the order stays."""
    rng = np.random.default_rng(0)
    true_odds = rng.normal(size=40000) * 1.5
    expanded = rng.random(40000) < expit(true_odds)

    found = fit_temperature(3 * true_odds, expanded)

    assert found.scale == pytest.approx(1 / 3, rel=0.05)
    assert found.offset == 0


def test_shrinkage_is_ledoit_and_wolfs():
    """The share of the ball is that of scikit-learn, with fewer cases than dimensions."""
    values = np.random.default_rng(1).normal(size=(12, 20)) @ np.diag(np.linspace(0.2, 3, 20))

    found = shrunk_covariance(values)

    centred = values - values.mean(axis=0)
    sample = centred.T @ centred / 12
    share = ledoit_wolf_shrinkage(values)
    expected = (1 - share) * sample + share * np.trace(sample) / 20 * np.eye(20)
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_the_distance_is_mahalanobis():
    """Standard deviations 2 and 1: two units along the first axis are one, along the other two."""
    rng = np.random.default_rng(2)
    cloud = torch.from_numpy(rng.normal(size=(20000, 2)) * [2.0, 1.0] + [5.0, 0.0]).float()

    reference = fit_reference(cloud)

    assert reference.distance(torch.tensor([[7.0, 0.0]])) == pytest.approx(1, abs=0.05)
    assert reference.distance(torch.tensor([[5.0, 2.0]])) == pytest.approx(2, abs=0.05)
    limit = fit_limit(reference, cloud[:2000], share=0.95)
    assert limit.distance == pytest.approx(2.448, abs=0.15)  # 95 % point of chi with 2 degrees


def test_the_card_holds_what_validation_chose(released):
    """Operating point, limit and slice input are there and survive the file."""
    card = load_bundle(released[0].path).card

    assert [point.name for point in card.operating_points] == ["sensitivity-90"]
    assert card.operating_points[0].sensitivity >= 0.9
    assert (card.familiarity.share, card.familiarity.patients) == (0.95, 18)
    assert card.slice_input.margin_mm == 10
    assert card.metrics["validation"]["log_odds_offset"] == 0


def test_figures_of_the_fit_are_drawn(released):
    """Losses and reliability, for whoever judges the run."""
    folder = released[0].path.parent

    assert (folder / "log.png").stat().st_size > 5000
    assert (folder / "reliability.png").stat().st_size > 5000


def test_an_unlike_picture_is_unfamiliar(released):
    """Cases of the same kind mostly lie within the limit; a chessboard lies beyond it."""
    classifier = Classifier(load_bundle(released[0].path), device=CPU)
    board = (np.indices((32, 32)).sum(axis=0) % 2 * 255).astype(np.uint8)

    alike = [classifier.judge(one.images_yx).unfamiliarity for one in cases(30, first=100)]

    assert np.median(alike) < 1
    assert classifier.judge([board] * 3).is_unfamiliar


def test_a_limit_without_reference_is_refused(released):
    """A card cannot promise what its weights do not hold."""
    bundle = load_bundle(released[0].path)
    for name in [name for name in bundle.weights if name.startswith("familiarity.")]:
        del bundle.weights[name]

    with pytest.raises(ModelBundleError, match="belong together"):
        Classifier(bundle, device=CPU)


def test_a_reference_that_does_not_fit_is_refused():
    """The whitening is a square of the mean's size."""
    with pytest.raises(ModelBundleError, match="shapes"):
        FamiliarityReference(mean=torch.zeros(3), whitening=torch.zeros(2, 2))


def test_an_ensemble_averages_its_members_and_tells_their_spread(released, tmp_path):
    """Mean and standard deviation of two opinions are those of the members alone."""
    some = cases(6, first=200)
    alone = [
        evaluate(Classifier(load_bundle(one.path), device=CPU), some).probabilities
        for one in released
    ]

    joined = join_classifiers(tmp_path, released, cases(18, first=36), name="pair", version="1")
    found = evaluate(Classifier(load_bundle(joined.path), device=CPU), some)

    assert joined.card.members == 2
    np.testing.assert_allclose(found.probabilities, np.mean(alone, axis=0), atol=1e-6)
    np.testing.assert_allclose(found.spread, np.abs(alone[0] - alone[1]) / 2, atol=1e-6)
    assert found.threshold == joined.card.threshold


def test_an_ensemble_needs_members_that_see_the_same(released, tmp_path):
    """One is none; and pictures of another size cannot be shared."""
    other = dataclasses.replace(
        released[1], card=dataclasses.replace(released[1].card, input_size=64)
    )

    with pytest.raises(ValueError, match="needs two"):
        join_classifiers(tmp_path, released[:1], cases(9), name="x", version="1")
    with pytest.raises(ValueError, match="differ in input_size"):
        join_classifiers(tmp_path, [released[0], other], cases(9), name="x", version="1")


def test_a_weight_of_no_member_is_refused(released, tmp_path):
    """Names say which member a weight belongs to."""
    joined = join_classifiers(tmp_path, released, cases(18, first=36), name="pair", version="1")
    joined.weights["members.2.norm.weight"] = torch.zeros(1)

    with pytest.raises(ModelBundleError, match="belongs to no member"):
        Classifier(joined, device=CPU)


def test_cases_cut_otherwise_are_refused(tmp_path):
    """A recipe of 10 mm does not learn from boxes of 0 mm."""
    split = Split(
        training=(
            dataclasses.replace(case(0, expands=True), cut="box 0 mm"),
            case(1, expands=False),
        ),
        validation=tuple(cases(6, first=10)),
    )

    with pytest.raises(ValueError, match="was cut as 'box 0 mm'"):
        fit(split, tiny_recipe(epochs=1), output=tmp_path, on_epoch=[].append)


def test_the_papers_recipe_is_the_papers(pytestconfig):
    """Adam, 2e-4 to 1e-4, batch 256, 100 epochs, 224 pixels, ViT-B/16, no reweighting."""
    recipe = read_recipe(pytestconfig.rootpath / "config/training/npj_classification.toml")

    schedule = recipe.schedule
    assert (schedule.learning_rate, schedule.final_learning_rate) == (2e-4, 1e-4)
    assert (schedule.batch_size, schedule.epochs, schedule.weight_decay) == (256, 100, 0)
    assert (schedule.averaging, schedule.gradient_limit, recipe.balance.he_share) == (0, 0, 0)
    assert recipe.network.architecture == "vit_base_patch16_224.orig_in21k_ft_in1k"
    assert recipe.network.input_size == 224
    assert recipe.slices.mean == recipe.slices.sd == (0.5,)


def test_weights_are_read_without_running_code(tmp_path):
    """Tensors by name, also below ``model``; a file of another kind is refused."""
    torch.save({"model": {"cls_token": torch.ones(2)}}, tmp_path / "deit.pth")
    torch.save({"epoch": 3}, tmp_path / "other.pth")

    assert read_initial_weights(tmp_path / "deit.pth")["cls_token"].tolist() == [1, 1]
    with pytest.raises(ValueError, match="no weights by name"):
        read_initial_weights(tmp_path / "other.pth")
    with pytest.raises(ValueError, match="neither"):
        read_initial_weights(tmp_path / "weights.npz")


def test_without_a_tag_nothing_is_taken_from_the_cache():
    """``vit`` says not which weights are meant."""
    assert cached_weights("vit") is None
