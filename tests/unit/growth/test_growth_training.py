"""Patches, augmentation, folds, and a loop that can be interrupted anywhere."""

import dataclasses

import numpy as np
import pytest
import torch

from tests.growth_builder import INTENSITY, small_pair, small_recipe
from training.growth.arms import PAPER_ARMS, PLANS, Arm
from training.growth.folds import EVERYBODY, Fold, everybody, make_folds
from training.growth.learning_log import LOG
from training.growth.pair import save_pair, save_shrunk
from training.growth.patches import cut_patch, draw_places
from training.growth.prepare import prepare_pairs
from training.growth.recipe import (
    Course,
    GrowthRecipe,
    Sampling,
    Turning,
    read_growth_recipe,
    recipe_from_fields,
)
from training.growth.run import begin_run, read_run, train_fold
from training.growth.shrinking import Shrinking, shrink_baseline
from training.growth.trainer import CHECKPOINT, GrowthTrainer
from training.growth.turning import rotate, turned

CPU = torch.device("cpu")


def shrunk_of(pair, variant=1):
    return shrink_baseline(
        pair, variant=variant, how=Shrinking(erosion_mm=2.0), rng=np.random.default_rng(variant)
    )


def trainer(folder, arm=Arm.ORIGINAL, *, recipe=None, learning=None, deciding=None):
    return GrowthTrainer(
        recipe or small_recipe(),
        arm,
        learning or [small_pair("a"), small_pair("bb", follow_up_mm=14)],
        deciding or [small_pair("ccc")],
        folder=folder,
        device=CPU,
        clock=lambda: 0.0,
    )


def test_four_patches_of_five_lie_where_the_hematoma_grew():
    """80 % of the centres are in the ring, the others elsewhere in the brain (section 2.3)."""
    pair = small_pair()

    places = draw_places([pair], patches=50, ring_share=0.8, seed=1)

    in_ring = [bool(pair.ring_zyx[place.centre_zyx]) for place in places]
    assert in_ring == [True] * 40 + [False] * 10
    assert all(pair.brain_zyx[place.centre_zyx] for place in places)


def test_without_growth_all_patches_lie_in_the_brain():
    """A hematoma that stayed has no ring to sample."""
    pair = small_pair(follow_up_mm=8)

    places = draw_places([pair], patches=10, ring_share=0.8, seed=1)

    assert len(places) == 10
    assert all(pair.brain_zyx[place.centre_zyx] for place in places)


def test_places_depend_on_the_patient_not_on_the_others():
    """A cohort that grows does not change the patches of those who were there."""
    alone = draw_places([small_pair("a")], patches=5, ring_share=0.8, seed=1)
    together = draw_places([small_pair("bb"), small_pair("a")], patches=5, ring_share=0.8, seed=1)

    assert [one.centre_zyx for one in together[5:]] == [one.centre_zyx for one in alone]


def test_a_patch_beyond_the_edge_is_filled_with_nothing():
    """The centre voxel stands at half the size; beyond the scan and the brain lies zero."""
    pair = small_pair()

    patch = cut_patch(pair, (1, 10, 10), (8, 8, 8), INTENSITY)

    assert patch.shape == (4, 8, 8, 8)
    assert torch.equal(
        patch[1] > 0,
        torch.from_numpy(np.pad(pair.baseline_zyx[:5, 6:14, 6:14], ((3, 0), (0, 0), (0, 0)))),
    )
    assert patch[:, :3].abs().sum() == 0
    middle = pair.baseline_hu_zyx[5, 10, 10] / 100
    assert cut_patch(pair, (5, 10, 10), (8, 8, 8), INTENSITY)[0, 4, 4, 4] == pytest.approx(middle)


def test_a_quarter_turn_takes_y_to_x():
    """Turned by 90 degrees about z, voxel (y, x) holds what was at (x, -y): rot90, from y to x."""
    patch = cut_patch(small_pair(), (8, 9, 11), (8, 8, 8), INTENSITY)

    found = rotate(patch, (np.pi / 2, 0.0, 0.0), spacing_zyx_mm=(5.0, 1.0, 1.0))

    assert torch.allclose(found, torch.rot90(patch, 1, dims=(2, 3)), atol=1e-4)


def test_turning_is_in_space_not_on_the_grid():
    """With voxels of 4 x 1 x 1 mm, 45 degrees about x keep a line of points at its distance."""
    patch = torch.zeros(4, 9, 33, 5)
    patch[0, 4, 28, :] = 1.0  # 12 mm from the middle along y

    found = rotate(patch, (0.0, 0.0, np.pi / 4), spacing_zyx_mm=(4.0, 1.0, 1.0))

    z, y, _ = np.unravel_index(int(found[0].argmax()), found.shape[1:])
    assert np.hypot((z - 4) * 4.0, y - 16) == pytest.approx(12.0, abs=1.0)
    assert abs((z - 4) * 4.0) == pytest.approx(12 / np.sqrt(2), abs=1.0)


def test_masks_stay_masks_and_both_scans_turn_alike():
    """Augmentation never makes half hematomas, nor growth out of nothing."""
    pair = small_pair(follow_up_mm=8)
    patch = cut_patch(pair, (9, 9, 9), (12, 12, 12), INTENSITY)
    patch[2:] = patch[:2]

    found = turned(
        patch,
        Turning(turned_share=1.0, mirrored_share=1.0, most_degrees=40),
        np.random.default_rng(1),
        spacing_zyx_mm=(2.0, 2.0, 2.0),
    )

    assert set(found[1].unique().tolist()) == {0.0, 1.0}
    assert torch.equal(found[:2], found[2:])
    assert not torch.equal(found, patch)


@pytest.mark.parametrize(("count", "sizes"), [(5, [3, 3, 2, 2, 2]), (None, [1] * 12)])
def test_every_patient_is_tested_once_and_never_by_a_network_that_saw_them(count, sizes):
    """12 patients in 5 folds, or one at a time; the other parts never overlap the tested ones."""
    patients = [f"p{number}" for number in range(12)]

    folds = make_folds(patients, count=count, validation_share=0.2)

    assert [len(fold.testing) for fold in folds] == sizes
    assert sorted(one for fold in folds for one in fold.testing) == sorted(patients)
    for fold in folds:
        assert sorted((*fold.learning, *fold.deciding, *fold.testing)) == sorted(patients)
        assert len(fold.deciding) == round(0.2 * (12 - len(fold.testing)))
    assert make_folds(patients[::-1], count=count, validation_share=0.2) == folds


def test_a_fold_without_test_patients_is_everybodys():
    """For a release all patients are learnt from or decide."""
    fold = everybody(["a", "b", "c"], validation_share=0.2)

    assert (fold.number, fold.name, fold.testing) == (EVERYBODY, "all", ())
    assert len(fold.learning) == 2


@pytest.mark.parametrize("count", [1, 4])
def test_impossible_folds_are_refused(count):
    """Three patients make two or three folds."""
    with pytest.raises(ValueError, match="divided"):
        make_folds(["a", "b", "c"], count=count, validation_share=0.2)


def test_a_patient_cannot_have_two_parts():
    """Leaks are refused where folds are made."""
    with pytest.raises(ValueError, match="two parts"):
        Fold(number=0, learning=("a", "b"), deciding=("b",), testing=())


def test_the_recipes_on_disk_are_the_papers_and_a_small_one(request):
    """The default recipe is the file's, number by number; both survive JSON."""
    folder = request.config.rootpath / "config" / "training"

    paper = read_growth_recipe(folder / "growth.toml")
    small = read_growth_recipe(folder / "growth_small.toml")

    assert (
        dataclasses.replace(paper, course=dataclasses.replace(paper.course, checkpoint_every=100))
        == GrowthRecipe()
    )
    assert paper.course == Course(checkpoint_every=200)
    assert (paper.sampling.patches_per_case, paper.shrinking.variants) == (500, 5)
    assert recipe_from_fields(dataclasses.asdict(small), where="x") == small


@pytest.mark.parametrize(
    "change",
    [
        {"patch_size_zyx": (8, 8, 7)},
        {"clip_low_hu": 100.0},
        {"sampling": {"ring_share": 2.0}},
        {"course": {"patience": 0}},
        {"turning": {"most_degrees": 400.0}},
        {"colour": "blue"},
    ],
)
def test_impossible_recipes_are_refused(change):
    """The message names what is wrong."""
    with pytest.raises(
        ValueError, match=next(iter(change)).split("_")[0] + "|ring|patience|most|Grey"
    ):
        recipe_from_fields(change, where="recipe")


def test_the_three_arms_of_the_paper_differ_in_one_thing_each():
    """Original has neither, DA is augmented, synthesis learns from made baselines."""
    traits = [(PLANS[arm].augmented, PLANS[arm].synthetic) for arm in PAPER_ARMS]

    assert traits == [(False, False), (True, False), (False, True)]
    assert set(PLANS) == set(Arm)


def test_synthetic_pairs_enter_training_only():
    """They may not decide, and only the arms with synthesis learn from them."""
    pair, other = small_pair("a"), small_pair("bb")
    made = shrunk_of(pair).of(pair)

    with pytest.raises(ValueError, match="training alone"):
        trainer(None, Arm.SYNTHESIS, learning=[other], deciding=[made])
    with pytest.raises(ValueError, match="does not learn from synthetic"):
        trainer(None, Arm.ORIGINAL, learning=[pair, made], deciding=[other])
    with pytest.raises(ValueError, match="learnt from and decides"):
        trainer(None, Arm.ORIGINAL, learning=[pair], deciding=[pair])


def test_learning_lowers_the_loss(tmp_path):
    """A ball that grows evenly is learnt within a few steps."""
    recipe = small_recipe(
        widths=(4, 8),
        sampling=Sampling(patches_per_case=16, validation_patches_per_case=8),
        course=Course(epochs=8, batch_size=4, learning_rate=2e-2),
        patch_size_zyx=(16, 16, 16),
    )
    one = trainer(tmp_path, recipe=recipe)

    one.run()

    assert one.best_loss < 0.75 * one.lines[0].validation_loss
    assert one.best_loss == min(line.validation_loss for line in one.lines)
    assert (tmp_path / LOG).read_text().count("\n") == 1 + one.epoch


@pytest.mark.parametrize("arm", [Arm.AUGMENTATION, Arm.DIFFEOMORPHIC, Arm.AS_RELEASED])
def test_a_killed_training_ends_at_the_same_weights(tmp_path, arm):
    """Interrupted between two checkpoints and gone on with, or never interrupted: equal bits."""

    class KilledError(Exception):
        pass

    def kill_at(progress):
        if progress.epoch == 1 and progress.share == 1.0:
            raise KilledError

    pair = small_pair("a")
    learning = [pair, small_pair("bb", follow_up_mm=14)]
    if PLANS[arm].synthetic:
        learning.append(shrunk_of(pair).of(pair))
    whole = trainer(tmp_path / "whole", arm, learning=learning)
    whole.run()
    with pytest.raises(KilledError):
        trainer(tmp_path / "killed", arm, learning=learning).run(on_progress=kill_at)

    again = trainer(tmp_path / "killed", arm, learning=learning)
    assert again.epoch == 1
    again.run()

    assert again.lines == whole.lines
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, again.network.state_dict()[name]), name
    for name, value in whole.best.items():
        assert torch.equal(value, again.best[name]), name


def test_a_folder_keeps_to_one_training(tmp_path):
    """Another recipe does not go on with a training's weights."""
    trainer(tmp_path).run()

    with pytest.raises(ValueError, match="other recipe"):
        trainer(tmp_path, recipe=small_recipe(seed=2))
    with pytest.raises(ValueError, match="other patients"):
        trainer(tmp_path, deciding=[small_pair("dddd")])


def test_training_stops_when_nothing_is_gained(tmp_path):
    """Two epochs without a better validation loss end it; the best weights are kept."""
    recipe = small_recipe(course=Course(epochs=50, patience=2, batch_size=4, learning_rate=1e-12))
    one = trainer(tmp_path, recipe=recipe)

    one.run()

    assert one.epoch == one.best_epoch + 2 < 50


def test_the_released_way_does_not_pull_at_roughness(tmp_path):
    """As released, smoothness is printed but has no gradient; otherwise it has."""
    for arm in Arm:
        made = trainer(tmp_path / arm, arm)
        assert made._weights.smoothness_is_detached == (arm is Arm.AS_RELEASED)


def test_a_run_trains_each_arm_and_fold_once(tmp_path):
    """Weights, curves and result stand in a folder of their own; a second call changes nothing."""
    pairs = tmp_path / "pairs"
    recipe = small_recipe(course=Course(epochs=1, batch_size=4))
    prepare_pairs([], pairs, recipe.preparation)
    for name in ("a", "bb", "ccc", "dddd"):
        pair = small_pair(name)
        save_pair(pairs, pair)
        save_shrunk(pairs, shrunk_of(pair))
    folds = make_folds(["a", "bb", "ccc", "dddd"], count=2, validation_share=0.2)
    run = begin_run(tmp_path / "run", pairs, recipe, folds)

    train_fold(run, Arm.SYNTHESIS, folds[0], device=CPU)
    place = tmp_path / "run" / "synthesis" / "fold-0"
    before = {path.name: path.read_bytes() for path in place.iterdir()}
    train_fold(run, Arm.SYNTHESIS, folds[0], device=CPU)

    assert set(before) == {"weights.safetensors", "result.json", "curves.png", "log.csv"}
    assert {path.name: path.read_bytes() for path in place.iterdir()} == before
    assert CHECKPOINT not in before
    again = read_run(tmp_path / "run", pairs)
    assert again == run
    assert again.done(folds[0]) == [Arm.SYNTHESIS]
    with pytest.raises(ValueError, match="other recipe"):
        begin_run(tmp_path / "run", pairs, small_recipe(seed=5), folds)
    with pytest.raises(ValueError, match="voxels"):
        begin_run(tmp_path / "new", pairs, small_recipe(spacing_zyx_mm=(1.0, 1.0, 1.0)), folds)
