"""Budgets: what they say, and that the shipped ones can be carried out."""

import pytest
from study_builder import write_tiny_budget

from training.classification.recipe import read_recipe
from training.growth.arms import PAPER_ARMS, Arm
from training.growth.recipe import read_growth_recipe
from training.segmentation.architectures import ARCHITECTURES
from training.segmentation.benchmark.training_port import read_recipes
from training.segmentation.experiment import read_experiment
from training.study.budget import read_budget
from training.study.stages import STAGES
from training.synthesis.augmented_set import parse_ratio
from training.synthesis.recipe import read_synthesis_recipe
from training.synthesis.samplers import Sampler


@pytest.mark.parametrize("name", ["small", "full"])
def test_a_shipped_budget_names_recipes_that_can_be_read(name):
    """Every file is there and of its kind, every architecture, ratio and sampler is known."""
    file = read_budget(name)
    budget = file.budget

    read_experiment(file.recipe(budget.benchmark.experiment))
    read_recipes([f"{one}={file.recipe(path)}" for one, path in budget.benchmark.recipes.items()])
    read_synthesis_recipe(file.recipe(budget.synthesis.recipe))
    classifier = read_recipe(file.recipe(budget.classification.recipe))
    read_growth_recipe(file.recipe(budget.growth.recipe))

    assert {Arm(one) for one in budget.growth.arms} == set(PAPER_ARMS)
    assert set(budget.benchmark.architectures) <= set(ARCHITECTURES)
    assert Sampler(budget.synthesis.sampler)
    assert [str(parse_ratio(one)) for one in budget.synthesis.ratios] == ["1:1", "1:2"]
    assert classifier.balance.he_share == 0, "the ratio must be that of the slices"
    assert set(budget.expected_minutes) <= {stage.name for stage in STAGES}


def test_the_full_budget_is_the_published_study():
    """Four architectures, 500 patients, a 4:1 split, 256 px, ViT-B/16; growth one by one."""
    file = read_budget("full")
    budget = file.budget
    diffusion = read_synthesis_recipe(file.recipe(budget.synthesis.recipe))
    classifier = read_recipe(file.recipe(budget.classification.recipe))

    assert set(budget.benchmark.architectures) == {
        *("umamba-enc", "nnunet", "nnformer", "unetr-plus-plus")
    }
    assert budget.benchmark.patients == 500
    assert budget.validation == 0.2
    assert diffusion.image_size == 256
    assert diffusion.course.epochs == 1000
    assert classifier.network.architecture.startswith("vit_base_patch16_224")
    assert classifier.schedule.epochs == 100
    assert budget.growth.folds is None
    assert budget.needs_gpu


def test_the_small_budget_expects_less_than_an_hour():
    """On two idle cores, by its own reckoning."""
    assert sum(read_budget("small").budget.expected_minutes.values()) < 60


def test_an_unknown_budget_is_refused_with_those_there_are():
    """A name is not a file."""
    with pytest.raises(ValueError, match=r"'medium' is unknown; known: full, small"):
        read_budget("medium")


def test_a_recipe_that_is_not_beside_its_budget_is_refused(tmp_path):
    """Found before hours of training, not after."""
    path = write_tiny_budget(tmp_path)
    (tmp_path / "synthesis.toml").unlink()

    with pytest.raises(ValueError, match=r"names synthesis\.toml, which is not beside it"):
        read_budget(str(path))


def test_an_unknown_key_of_a_stage_is_refused_by_name(tmp_path):
    """The message names file, table and key."""
    path = write_tiny_budget(tmp_path)
    path.write_text(path.read_text().replace("[synthesis]", "[synthesis]\nepoch = 3"))

    with pytest.raises(ValueError, match=r"study_tiny\.toml, \[synthesis\]: unknown key epoch"):
        read_budget(str(path))


@pytest.mark.parametrize("share", ["0.0", "1.0"])
def test_a_budget_without_validation_patients_is_refused(tmp_path, share):
    """Somebody must choose epoch and threshold, somebody must be learnt from."""
    path = write_tiny_budget(tmp_path)
    path.write_text(path.read_text().replace("validation = 0.3", f"validation = {share}"))

    with pytest.raises(ValueError, match="leave patients to train on"):
        read_budget(str(path))
