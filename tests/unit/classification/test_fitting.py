"""Learning: what can be seen is learned, and an interrupted fit goes on as if it had not been."""

import dataclasses

import numpy as np
import pytest
import torch
from triplet_builder import cases, tiny_recipe

from pipeline.classification.vit import logits
from pipeline.prediction import HeLabel
from training.classification.fitting import fit, read_log
from training.classification.learner import Learner, margins
from training.classification.slices import expanded, slice_set
from training.classification.split import Split


@pytest.fixture(scope="module")
def split() -> Split:
    """Return 36 training and 18 validation cases, a third of which expand."""
    return Split(training=tuple(cases(36)), validation=tuple(cases(18, first=36)))


def test_what_can_be_seen_is_learned(split, tmp_path):
    """The spot decides; after a few epochs unseen cases are told apart without error."""
    heard = []

    fitted = fit(split, tiny_recipe(epochs=12), output=tmp_path, on_epoch=heard.append)

    assert fitted.record.validation_auc == 1.0
    assert heard[-1].outcome_loss < heard[0].outcome_loss / 2
    unseen = cases(12, first=100)
    slices = slice_set(unseen, input_size=32, signs=())
    probability = torch.softmax(logits(fitted.network, slices.images), dim=1)[:, HeLabel.HE]
    called = slices.case_means(probability.detach()) >= fitted.threshold
    assert called.tolist() == expanded(unseen).tolist()


def test_an_interrupted_fit_ends_where_an_uninterrupted_one_does(split, tmp_path):
    """Stopped after two of four epochs and called again: the same weights and the same log."""
    recipe = tiny_recipe(epochs=4)

    def stop_after_two(record):
        if record.epoch == 2:
            raise KeyboardInterrupt

    whole = fit(split, recipe, output=tmp_path / "whole", on_epoch=[].append)
    with pytest.raises(KeyboardInterrupt):
        fit(split, recipe, output=tmp_path / "halves", on_epoch=stop_after_two)
    resumed = fit(split, recipe, output=tmp_path / "halves", on_epoch=[].append)

    assert read_log(tmp_path / "whole/log.csv") == read_log(tmp_path / "halves/log.csv")
    assert len(read_log(tmp_path / "whole/log.csv")) == 4
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, resumed.network.state_dict()[name]), name


def test_the_learning_rate_follows_the_papers_cosine():
    """From 2e-4 at the end of warm-up to 1e-4 at the end, half way between in the middle."""
    recipe = tiny_recipe(epochs=11)
    recipe = dataclasses.replace(
        recipe,
        schedule=dataclasses.replace(
            recipe.schedule, learning_rate=2e-4, final_learning_rate=1e-4
        ),
    )
    learner = Learner(recipe, sign_count=1, steps_per_epoch=10)

    rates = []
    for step in range(111):
        learner._step = step
        rates.append(learner.learning_rate())

    assert rates[0] < rates[5] < rates[9] < 2e-4
    assert rates[10] == pytest.approx(2e-4)
    assert rates[60] == pytest.approx(1.5e-4)
    assert rates[110] == pytest.approx(1e-4)


def test_signs_that_nobody_recorded_do_not_count(split):
    """A batch without any known sign has a loss of the signs of zero, not NaN."""
    learner = Learner(tiny_recipe(epochs=1), sign_count=2, steps_per_epoch=1)
    images = slice_set(split.training[:4], input_size=32, signs=()).images[:4]

    outcome, signs = learner.learn(
        images, torch.tensor([1.0, 0.0, 1.0, 0.0]), torch.full((4, 2), torch.nan)
    )

    assert np.isfinite(outcome)
    assert signs == 0


def test_signs_alone_leave_the_outcome_head_as_it_was(split):
    """In the first epochs only the signs teach."""
    recipe = tiny_recipe(epochs=2)
    recipe = dataclasses.replace(
        recipe, balance=dataclasses.replace(recipe.balance, signs_only_epochs=1)
    )
    learner = Learner(recipe, sign_count=1, steps_per_epoch=1)
    slices = slice_set(split.training, input_size=32, signs=("left",))
    head = learner.network.head.weight.detach().clone()

    learner.learn(slices.images, slices.targets(chance_share=0), slices.signs)
    after_signs = learner.network.head.weight.detach().clone()
    learner.learn(slices.images, slices.targets(chance_share=0), slices.signs)

    assert torch.equal(head, after_signs)
    assert not torch.equal(head, learner.network.head.weight)


def test_margins_are_the_log_odds_of_the_softmax(split):
    """HE logit minus NHE logit is the logit of the HE probability."""
    network = Learner(tiny_recipe(epochs=1), sign_count=1, steps_per_epoch=1).average
    slices = slice_set(split.validation, input_size=32, signs=("left",))

    found = torch.sigmoid(margins(network, slices))

    expected = torch.softmax(logits(network, slices.images), dim=1)[:, HeLabel.HE]
    assert torch.allclose(found.float(), expected, atol=1e-6)


def test_learning_starts_from_given_weights():
    """A head for other classes is left out, everything else is taken over."""
    recipe = tiny_recipe(epochs=1)
    other = dataclasses.replace(recipe, seed=9)
    given = Learner(other, sign_count=1, steps_per_epoch=1).network.state_dict()
    given["head.weight"] = torch.zeros(1000, 16)
    given["head.bias"] = torch.zeros(1000)

    found = Learner(recipe, sign_count=1, steps_per_epoch=1, initial=given).network.state_dict()

    for name, value in found.items():
        assert name.startswith("head.") or torch.equal(value, given[name]), name
    assert found["head.weight"].shape == (2, 16)


def test_weights_of_another_network_are_refused():
    """Nothing is taken over in silence, and nothing left out but the head."""
    with pytest.raises(ValueError, match="do not fit"):
        Learner(
            tiny_recipe(epochs=1),
            sign_count=1,
            steps_per_epoch=1,
            initial={"blocks.0.norm1.weight": torch.zeros(16)},
        )
