"""SLEX-Net's own recipe: triplets, loss, resuming, release."""

import csv
import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.model_bundle import load_bundle
from pipeline.segmentation.networks.slex_net import SlexOutput
from pipeline.segmentation.segmenter import load_segmenter
from training.cohort.case import IGNORED, Case
from training.segmentation.augmentation import Augmentation
from training.segmentation.evaluation import volume_of
from training.segmentation.experiment import Budget
from training.segmentation.slex.fit import train_slex
from training.segmentation.slex.loss import slex_loss, weighted_cross_entropy
from training.segmentation.slex.recipe import SlexRecipe, SlexSchedule, read_slex_recipe
from training.segmentation.slex.release import read_summary, release_slex
from training.segmentation.slex.stacks import draw_triplet, stack_of, targets_of
from training.segmentation.slex.trainer import SlexTrainer

CONFIG = Path(__file__).parents[3] / "config" / "training"


def recipe(**changes):
    schedule = {
        "epochs": 6,
        "iterations": 10,
        "learning_rate": 3e-3,
        "decay_epochs": 4,
        "validate_every": 3,
        **changes.pop("schedule", {}),
    }
    fields = {
        "architecture_arguments": {"width": 4},
        "spacing_zyx_mm": (5.0, 2.0, 2.0),
        "patch_size_zyx": (3, 48, 32),
        "schedule": SlexSchedule(**schedule),
    }
    return SlexRecipe(**{**fields, **changes})


def toy_case(number, *, depth=5, spacing=(5.0, 2.0, 2.0)):
    """Return a grey box with a bright block in all slices but the first."""
    rng = np.random.default_rng(number)
    hu = rng.normal(30, 3, (depth, 40, 30))
    label = np.zeros(hu.shape, dtype=np.uint8)
    y, x = rng.integers(4, 18, size=2)
    label[1:, y : y + 14, x : x + 10] = 1
    hu[label == 1] += 35
    return Case(
        case_id=f"toy-{number}",
        patient_id=f"toy-{number}",
        source="toy",
        hu_zyx=hu.astype(np.int16),
        label_zyx=label,
        spacing_zyx_mm=spacing,
    )


CASES = [toy_case(number) for number in range(6)]


def test_shipped_recipe_is_the_published_one():
    """Adam 1e-5, betas 0.97 and 0.999, decay 6e-4, a tenth every 20 of 100 epochs, batch 2."""
    plan = read_slex_recipe(CONFIG / "slex_net.toml")

    schedule = plan.schedule
    assert (schedule.learning_rate, schedule.betas) == (1e-5, (0.97, 0.999))
    assert (schedule.weight_decay, schedule.batch_size, schedule.epochs) == (6e-4, 2, 100)
    assert (schedule.decay_epochs, schedule.decay) == (20, 0.1)
    assert plan.class_weights == (0.1, 1.0)
    assert plan.augmentation is None
    assert plan == SlexRecipe(architecture_arguments={"width": 64})


def test_small_recipe_is_readable():
    """The recipe for a CPU uses only known keys."""
    assert read_slex_recipe(CONFIG / "slex_net_small.toml").architecture_arguments["width"] == 8


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("speed = 3", "unknown key speed"),
        ("[schedule]\nsteps = 3", r"\[schedule\]: unknown key steps"),
        ("patch_size_zyx = [5, 32, 32]", "3 slices"),
        ("patch_size_zyx = [3, 30, 32]", "multiples of 16"),
        ("healthy_share = 1.5", "healthy_share"),
        ("[schedule]\nepochs = 0", "epochs must be positive"),
        ("[schedule]\nvalidate_every = 0", "validate_every"),
        ("speed", "no TOML"),
    ],
)
def test_faulty_recipe_is_refused_by_the_name_of_the_key(tmp_path, text, message):
    """File, table and key are named."""
    path = tmp_path / "recipe.toml"
    path.write_text(text)

    with pytest.raises(ValueError, match=message):
        read_slex_recipe(path)


def test_a_budget_shortens_the_recipe():
    """Epochs, iterations and minutes of the common budget; what it leaves out stays."""
    plan = recipe().within(Budget(epochs=2, minutes=7.0))

    assert (plan.schedule.epochs, plan.schedule.iterations) == (2, 10)
    assert plan.schedule.limit_minutes == 7.0


def test_a_case_comes_to_the_grid_of_the_recipe():
    """A grid of half the pixel size shrinks to half the pixels; volumes keep, ignored stays."""
    case = toy_case(1, spacing=(5.0, 1.0, 1.0))
    case.label_zyx[:, :, :10] = IGNORED

    stack = stack_of(case, recipe())

    assert stack.hu_zyx.shape == (5, 20, 15)
    assert (stack.label_zyx[:, :, :5] == IGNORED).all()
    bleeding = np.count_nonzero(case.label_zyx == 1)
    assert np.count_nonzero(stack.label_zyx == 1) * 4 == pytest.approx(bleeding, rel=0.3)


def test_every_slice_of_which_something_is_known_is_a_target():
    """First and last slices are learnt too; a slice that is ignored altogether is not."""
    case = toy_case(1)
    case.label_zyx[2] = IGNORED

    targets = targets_of([stack_of(case, recipe())])

    assert [target.place for target in targets] == [0, 1, 3, 4]
    assert [target.bleeds for target in targets] == [False, True, True, True]


def test_an_end_slice_stands_in_for_its_missing_neighbour():
    """The triplet of the first slice shows it twice, that of the last likewise."""
    stack, rng = stack_of(toy_case(1), recipe()), np.random.default_rng(0)

    first, _ = draw_triplet(stack, 0, recipe(), rng=rng)
    last, label = draw_triplet(stack, 4, recipe(), rng=rng)

    np.testing.assert_array_equal(first[0], first[1])
    np.testing.assert_array_equal(last[2], last[1])
    assert first.shape == (3, 48, 32)
    np.testing.assert_array_equal(label[4:44, 1:31], stack.label_zyx[4])


def test_beyond_the_picture_there_is_air_that_nobody_judges():
    """40 x 30 pixels lie in the middle of 48 x 32: air (-20 HU) around, its label ignored."""
    stack = stack_of(toy_case(1), recipe())

    image, label = draw_triplet(stack, 2, recipe(), rng=np.random.default_rng(0))

    assert image[:, :4] == pytest.approx((-20 - 25) / 30)
    assert (label[:4] == IGNORED).all()
    assert (label[:, 31:] == IGNORED).all()
    assert not (label[4:44, 1:31] == IGNORED).any()


def test_a_large_picture_is_cropped_about_its_centre():
    """Of 40 x 30 pixels the middle 16 x 16 stay."""
    plan = recipe(patch_size_zyx=(3, 16, 16))
    stack = stack_of(toy_case(1), plan)

    image, label = draw_triplet(stack, 2, plan, rng=np.random.default_rng(0))

    np.testing.assert_array_equal(label, stack.label_zyx[2, 12:28, 7:23])
    np.testing.assert_allclose(image[0] * 30 + 25, stack.hu_zyx[1, 12:28, 7:23], atol=1e-4)


def test_augmentation_moves_picture_and_label_together():
    """Bright stays labelled and labelled stays bright, another draw gives another picture."""
    plan = recipe(augmentation=Augmentation(pixel_mm=2.0, noise_hu=1.0))
    stack = stack_of(toy_case(1), plan)

    one, label = draw_triplet(stack, 2, plan, rng=np.random.default_rng(1))
    other, _ = draw_triplet(stack, 2, plan, rng=np.random.default_rng(2))

    assert not np.allclose(one, other)
    assert one[1][label == 1].mean() > one[1][label == 0].mean() + 0.7


def test_cross_entropy_is_the_mean_over_known_pixels():
    """Four pixels at even odds cost ln 2 each: background weighs 0.1, one pixel is unknown.

    (0.1 + 0.1 + 1.0) ln 2 / 3 = 0.277259
    """
    labels = torch.tensor([[[0, 0, 1, IGNORED]]])

    loss = weighted_cross_entropy(torch.zeros(1, 2, 1, 4), labels, (0.1, 1.0))

    assert loss.item() == pytest.approx(0.277259, abs=1e-6)


def test_the_backbone_is_not_supervised_directly():
    """The loss sums the final opinion and both paths; nothing reaches the backbone's logits."""
    opinions = [torch.zeros(1, 2, 1, 1, requires_grad=True) for _ in range(4)]
    output = SlexOutput(
        final=opinions[0],
        forward_path=opinions[1],
        backward_path=opinions[2],
        backbone=opinions[3],
    )

    loss = slex_loss(output, torch.ones(1, 1, 1, dtype=torch.uint8), class_weights=(0.1, 1.0))
    loss.backward()

    assert loss.item() == pytest.approx(3 * 0.693147, abs=1e-5)
    assert [opinion.grad is not None for opinion in opinions] == [True, True, True, False]


def test_nothing_known_costs_nothing():
    """A patch that is ignored altogether has a finite loss of zero."""
    labels = torch.full((1, 2, 2), IGNORED)

    assert weighted_cross_entropy(torch.zeros(1, 2, 2, 2), labels, (0.1, 1.0)).item() == 0


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Return a run over six toy cases, two of them for validation, and what it told."""
    folder = tmp_path_factory.mktemp("run")
    told = []
    result = train_slex(
        recipe(), CASES[:4], folder=folder, validation=CASES[4:], on_progress=told.append
    )
    return result, told


def test_training_learns_bright_blocks(finished):
    """On toys of 65 HU in 30 HU, held-out Dice exceeds 0.8 within 60 steps."""
    result, told = finished

    summary = read_summary(result.folder)
    assert summary.validation_dice > 0.8
    assert (result.epochs, result.iterations, len(told)) == (6, 60, 60)
    assert told[-1].share == 1.0
    assert [progress.share for progress in told] == sorted(progress.share for progress in told)


def test_the_learning_rate_falls_in_steps(finished):
    """A tenth after every four epochs; one row of the log for each epoch."""
    result, _ = finished

    with (result.folder / "log.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))

    assert [float(row["learning_rate"]) for row in rows] == pytest.approx(4 * [3e-3] + 2 * [3e-4])
    assert [bool(row["validation_dice"]) for row in rows] == 2 * [False, False, True]


def test_the_draft_bundle_runs_and_claims_no_more_than_was_measured(finished):
    """It segments a held-out toy; its card says that nothing was measured on held-out patients."""
    result, _ = finished
    bundle = load_bundle(result.bundle)

    maps = load_segmenter(bundle, device=torch.device("cpu")).probability(volume_of(CASES[5]))

    truth = CASES[5].label_zyx == 1
    assert maps[truth].mean() > 0.5 > maps[~truth].mean()
    assert bundle.card.demonstration
    assert bundle.card.metrics["held_out"] == "not measured"
    assert bundle.card.metrics["validation"]["scans"] == 2
    assert bundle.card.training_cohort.startswith("4 scans of 4 patients from toy; 2 scans of 2 ")
    assert bundle.card.patch_size_zyx == (3, 48, 32)


def test_facts_fill_the_card(finished, tmp_path):
    """What the caller knows replaces the draft; its metrics stand beside the validation's."""
    result, _ = finished
    facts = {"name": "mine", "licence": "CC0-1.0", "metrics": {"held_out": {"scans": 3}}}

    bundle = release_slex(tmp_path, recipe(), result.folder, facts=facts)

    assert (bundle.card.name, bundle.card.licence) == ("mine", "CC0-1.0")
    assert set(bundle.card.metrics) == {"validation", "held_out"}
    assert bundle.card.metrics["held_out"] == {"scans": 3}


def test_an_interrupted_training_ends_as_if_it_had_not_been(tmp_path):
    """Stopped after 7 of 12 steps, within an epoch, and resumed: the same weights to the bit."""
    plan = recipe(schedule={"epochs": 3, "iterations": 4, "checkpoint_every": 1})
    stacks = [stack_of(case, plan) for case in CASES[:3]]

    def stop_at_seven(progress):
        if round(progress.share * 12) == 7:
            raise KeyboardInterrupt

    whole = SlexTrainer(plan, stacks, [], folder=tmp_path / "whole")
    whole.run()
    with pytest.raises(KeyboardInterrupt):
        SlexTrainer(plan, stacks, [], folder=tmp_path / "broken").run(on_progress=stop_at_seven)
    resumed = SlexTrainer(plan, stacks, [], folder=tmp_path / "broken")
    assert resumed.step == 7
    resumed.run()

    for one, other in zip(
        whole.network.state_dict().values(), resumed.network.state_dict().values(), strict=True
    ):
        assert torch.equal(one, other)
    assert (tmp_path / "whole" / "log.csv").read_text().count("\n") == 4
    assert (tmp_path / "broken" / "log.csv").read_text().count("\n") == 4


def test_a_folder_of_another_recipe_is_refused(tmp_path):
    """Weights are not trained on under other class weights; a longer schedule is no change."""
    plan = recipe(schedule={"epochs": 1, "iterations": 1})
    stacks = [stack_of(CASES[0], plan)]
    SlexTrainer(plan, stacks, [], folder=tmp_path).run()

    longer = dataclasses.replace(plan, schedule=SlexSchedule(epochs=2, iterations=1))
    assert SlexTrainer(longer, stacks, [], folder=tmp_path).finished_share == 0.5
    other = dataclasses.replace(plan, class_weights=(0.5, 1.0))
    with pytest.raises(ValueError, match="class_weights differ"):
        SlexTrainer(other, stacks, [], folder=tmp_path)


def test_training_ends_when_its_time_is_up(tmp_path):
    """With a clock that jumps half a minute at each look, a minute is spent before 60 steps."""
    ticks = iter(range(0, 10_000_000, 30))

    result = train_slex(
        recipe(schedule={"limit_minutes": 5.0}),
        CASES[:2],
        folder=tmp_path,
        validation=[],
        clock=lambda: float(next(ticks)),
    )

    assert 0 < result.iterations < 10
    assert (tmp_path / "best.pt").exists()


def test_an_epoch_visits_every_bleeding_slice_and_its_share_of_the_others(tmp_path):
    """Of 4 x 5 slices 16 bleed; with half of the 4 others an epoch has 18 targets, 9 steps."""
    plan = recipe(healthy_share=0.5, schedule={"iterations": None})
    stacks = [stack_of(case, plan) for case in CASES[:4]]
    trainer = SlexTrainer(plan, stacks, [], folder=tmp_path)

    first, second = trainer._order(0), trainer._order(1)

    assert trainer.steps_per_epoch == 9
    assert len(set(first)) == 18
    assert {(stack, place) for stack in range(4) for place in range(1, 5)} < set(first)
    assert first != second


def test_a_scan_in_which_nothing_is_found_counts_with_zero(tmp_path):
    """Empty predictions lower the validation Dice instead of dropping out."""
    plan = recipe()
    stacks = [stack_of(case, plan) for case in CASES[:2]]
    trainer = SlexTrainer(plan, stacks, stacks, folder=tmp_path)
    with torch.no_grad():
        for network in (trainer.network.backbone, trainer.network.expansion):
            network.outc.conv.weight.zero_()
            network.outc.conv.bias.copy_(torch.tensor([5.0, -5.0]))

    assert trainer.validate() == 0.0


def test_a_patient_on_both_sides_is_refused(tmp_path):
    """The message counts the patients without naming them."""
    with pytest.raises(ValueError, match="1 patients are in training and in validation"):
        train_slex(recipe(), CASES[:3], folder=tmp_path, validation=CASES[2:4])


def test_nothing_to_learn_from_is_refused(tmp_path):
    """Without a known slice there is no training."""
    with pytest.raises(ValueError, match="slice to learn from"):
        train_slex(recipe(), [], folder=tmp_path)
