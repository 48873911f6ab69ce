"""The diffusion's training: whom it reads, how it goes on, what it learns."""

import csv
import dataclasses
import json

import numpy as np
import pytest
import torch
from diffusion_builder import slice_image, tiny_recipe, write_triplets

from pipeline.prediction import HeLabel
from training.cohort.patient_split import Part
from training.synthesis.generator import load_generator, load_generator_card
from training.synthesis.learning_slices import read_learning_slices
from training.synthesis.noise_schedule import Target
from training.synthesis.provenance import fingerprint
from training.synthesis.recipe import SynthesisRecipe, read_synthesis_recipe
from training.synthesis.trainer import DiffusionTrainer
from training.synthesis.training_run import train_generator
from training.synthesis.triplet_files import find_triplets, split_of

CPU = torch.device("cpu")


def slices_of(folder, **options):
    found = find_triplets([folder])
    split = split_of(found, [folder], given=None)
    return read_learning_slices(found, split, image_size=16, **options)


def test_held_out_patients_are_never_read(tmp_path):
    """Images of held-out patients cannot be read without an error; the training succeeds."""
    write_triplets(tmp_path / "cases", held_out=(0, 3, 7))

    recipe = tiny_recipe(course={"epochs": 1})

    card = train_generator([tmp_path / "cases"], recipe, output=tmp_path / "run", device=CPU)

    learnt = {fingerprint(f"p{number:02d}") for number in (1, 2, 4, 5)}
    assert set(card.learnt_from) == learnt
    assert card.training["slices"] == 12
    with pytest.raises(ValueError, match="Object arrays"):
        slices_of(tmp_path / "cases", part=Part.VALIDATION)


def test_only_expanding_hematomas_are_learnt_unless_the_class_is_an_input(tmp_path):
    """Six patients of fifteen expand, three slices each."""
    write_triplets(tmp_path)

    alone, both = slices_of(tmp_path), slices_of(tmp_path, both_classes=True)

    assert len(alone) == 18
    assert set(alone.labels.tolist()) == {int(HeLabel.HE)}
    assert len(both) == 45


def test_slices_are_prepared_as_for_the_classifier(tmp_path):
    """A slice of 20 x 20 shrunk to 16 x 16 keeps its mean, in -1..1."""
    write_triplets(tmp_path)

    slices = slices_of(tmp_path)

    assert slices.images.shape == (18, 1, 16, 16)
    assert slices.shapes_yx[0] == (20, 20)
    expected = slice_image(0, side=20).mean() / 127.5 - 1
    assert float(slices.images[0].mean()) == pytest.approx(expected, abs=0.02)


def losses_of(run):
    with (run / "log.csv").open() as stream:
        return [float(row["loss"]) for row in csv.DictReader(stream)]


@pytest.mark.parametrize(
    ("conditional", "target"), [(False, "noise"), (True, "noise"), (False, "velocity")]
)
def test_an_interrupted_training_ends_at_the_same_weights(tmp_path, conditional, target):
    """Stopped within an epoch and called again, it equals one that was never stopped."""
    write_triplets(tmp_path / "cases")
    slices = slices_of(tmp_path / "cases", both_classes=conditional)
    recipe = tiny_recipe(
        class_conditional=conditional, target=target, course={"checkpoint_every": 1}
    )
    whole = DiffusionTrainer(recipe, slices, folder=tmp_path / "whole", device=CPU)
    whole.run()

    def kill(_):
        if first.step == 4:
            raise InterruptedError

    first = DiffusionTrainer(recipe, slices, folder=tmp_path / "parts", device=CPU)
    with pytest.raises(InterruptedError):
        first.run(on_progress=kill)
    second = DiffusionTrainer(recipe, slices, folder=tmp_path / "parts", device=CPU)
    assert second.step == 4
    second.run()

    assert second.step == whole.step
    for name, value in whole.average.state_dict().items():
        assert torch.equal(value, second.average.state_dict()[name]), name
    assert losses_of(tmp_path / "whole") == losses_of(tmp_path / "parts")


def test_few_slices_are_passed_often_enough(tmp_path):
    """18 slices in batches of 8 are three steps; where ten are wanted an epoch has ten."""
    write_triplets(tmp_path / "cases")
    recipe = tiny_recipe(course={"epochs": 1, "fewest_steps": 10})
    slices = slices_of(tmp_path / "cases")
    trainer = DiffusionTrainer(recipe, slices, folder=tmp_path / "run", device=CPU)

    trainer.run()

    assert (trainer.epoch, trainer.step) == (1, 10)
    short = DiffusionTrainer(tiny_recipe(), slices, folder=tmp_path / "other", device=CPU)
    assert short.steps_per_epoch == 3


def test_another_recipe_or_cohort_does_not_go_on(tmp_path):
    """A folder belongs to one training; only the rhythm of saving may change."""
    write_triplets(tmp_path / "cases")
    slices = slices_of(tmp_path / "cases")
    DiffusionTrainer(tiny_recipe(), slices, folder=tmp_path / "run", device=CPU).run()
    fewer = dataclasses.replace(slices, patients=("p00",) * len(slices))

    DiffusionTrainer(
        tiny_recipe(course={"checkpoint_every": 7}), slices, folder=tmp_path / "run", device=CPU
    )
    with pytest.raises(ValueError, match="recipe"):
        DiffusionTrainer(tiny_recipe(seed=5), slices, folder=tmp_path / "run", device=CPU)
    with pytest.raises(ValueError, match="patients"):
        DiffusionTrainer(tiny_recipe(), fewer, folder=tmp_path / "run", device=CPU)


def test_the_loss_falls(tmp_path):
    """Predicting nothing costs 1, the variance of the noise; 36 steps cost less than half."""
    write_triplets(tmp_path / "cases", expanding=8, others=0)
    recipe = tiny_recipe(course={"epochs": 12, "learning_rate": 1e-2})
    trainer = DiffusionTrainer(
        recipe, slices_of(tmp_path / "cases"), folder=tmp_path / "run", device=CPU
    )

    trainer.run()

    losses = losses_of(tmp_path / "run")
    assert len(losses) == 12
    assert losses[0] > 0.6
    assert np.mean(losses[-5:]) < 1 / 2


def test_the_rate_is_a_cosine_and_as_released_rises_first(tmp_path):
    """Paper: 1e-4 falling. Released code: 1e-4 to 2e-4 in a tenth, 1.3e-4 at half, 5e-6 last."""
    write_triplets(tmp_path / "cases")
    slices = slices_of(tmp_path / "cases")

    def rates(**course):
        recipe = tiny_recipe(course={"epochs": 1000, "batch_size": 18, **course})
        trainer = DiffusionTrainer(recipe, slices, folder=tmp_path / str(course), device=CPU)
        found = {}
        for step in (0, 50, 100, 500, 999):
            trainer.step = step
            found[step] = trainer.learning_rate()
        return found

    paper = rates(learning_rate=1e-4)
    released = rates(learning_rate=2e-4, warm_up_share=0.1, warm_up_from=0.5)

    assert paper[0] == pytest.approx(1e-4)
    assert paper[500] == pytest.approx(0.5e-4)
    assert paper[999] < 1e-9
    assert released[0] == pytest.approx(1e-4)
    assert released[50] == pytest.approx(1.5e-4)
    assert released[100] == pytest.approx(2e-4)
    assert released[500] == pytest.approx(1.3e-4, rel=0.01)
    assert released[999] == pytest.approx(5e-6, rel=0.05)


def test_the_run_leaves_sheets_and_a_generator(tmp_path):
    """Two sheets of samples, one of real slices, and a generator whose digest is checked."""
    write_triplets(tmp_path / "cases")

    card = train_generator(
        [tmp_path / "cases"], tiny_recipe(), output=tmp_path / "run", device=CPU
    )

    sheets = sorted(path.name for path in (tmp_path / "run" / "sheets").iterdir())
    assert sheets == ["epoch_00001.png", "epoch_00002.png", "real.png"]
    loaded = load_generator(tmp_path / "run" / "generator")
    assert loaded.card == card
    text = json.loads((tmp_path / "run" / "generator" / "generator.json").read_text())
    assert "p00" not in json.dumps(text)


def test_a_generator_knows_what_its_network_says(tmp_path):
    """A network's words are of the velocity where it has learnt that; cards of old say nothing."""
    write_triplets(tmp_path / "cases")
    recipe = tiny_recipe(target="velocity", course={"epochs": 1})
    train_generator([tmp_path / "cases"], recipe, output=tmp_path / "run", device=CPU)
    path = tmp_path / "run" / "generator" / "generator.json"

    found = load_generator_card(path.parent).target
    content = json.loads(path.read_text())
    del content["target"]
    path.write_text(json.dumps(content))

    assert found is Target.VELOCITY
    assert load_generator_card(path.parent).target is Target.NOISE
    with pytest.raises(ValueError, match="colour"):
        tiny_recipe(target="colour")


def test_flips_are_from_left_to_right_only():
    """Heads are not flipped upside down unless the released code is to be imitated."""
    assert SynthesisRecipe().flip_left_right
    assert not SynthesisRecipe().flip_up_down


def test_a_recipe_names_what_is_wrong(tmp_path):
    """Unknown keys and impossible values are named with their file."""
    path = tmp_path / "recipe.toml"
    for text, words in (
        ("colour = true", "unknown key colour"),
        ("[course]\nepochs = 0", "epochs must be positive"),
        ("[network]\nclasses = 2", "follow from class_conditional"),
        ("a = ", "no TOML"),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=words):
            read_synthesis_recipe(path)
