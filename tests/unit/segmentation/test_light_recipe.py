"""What an experiment for every architecture makes of those with sizes and loops of their own."""

import dataclasses

import pytest

from training.segmentation.architectures import architecture_arguments
from training.segmentation.experiment import Budget, Experiment
from training.segmentation.light_run import light_recipe

COARSE = Experiment(
    spacing_zyx_mm=(5.0, 3.0, 3.0),
    patch_size_zyx=(8, 64, 64),
    width=8,
    learning_rate=0.003,
    weight_decay=3e-5,
    epochs=4,
    iterations=40,
    foreground_share=0.5,
)


@pytest.mark.parametrize(("pixel_mm", "fold"), [(0.5, 4), (1.0, 2), (2.0, 1), (3.0, 1)])
def test_compact_folds_pixels_to_cells_of_about_two_millimetres(pixel_mm, fold):
    """4 x 0.5 mm, 2 x 1 mm, 1 x 2 mm; coarser pixels are not folded."""
    found = architecture_arguments(
        "compact",
        patch_size_zyx=(8, 64, 64),
        spacing_zyx_mm=(5.0, pixel_mm, pixel_mm),
        width=8,
    )

    assert found["fold"] == fold


@pytest.mark.parametrize(("width", "channels"), [(None, 96), (32, 96), (8, 24)])
def test_nnformer_narrows_in_proportion_to_nnunet(width, channels):
    """nnU-Net begins with 32 channels and nnFormer with 96; a quarter of each is 8 and 24."""
    found = architecture_arguments(
        "nnformer", patch_size_zyx=(8, 64, 64), spacing_zyx_mm=(5.0, 3.0, 3.0), width=width
    )

    assert found["width"] == channels


def test_an_experiment_for_adamw_sets_the_light_loops_rates():
    """The light loop trains by AdamW: rates meant for it are taken, those of SGD are not."""
    taken = light_recipe(
        "compact", dataclasses.replace(COARSE, optimiser="adamw"), Budget(), seed=1
    )
    kept = light_recipe("compact", COARSE, Budget(), seed=1)

    assert taken.schedule.learning_rate == 0.003
    assert taken.schedule.weight_decay == 3e-5
    assert kept.schedule.learning_rate == 2e-3
    assert taken.sampling.foreground_share == 0.5


@pytest.mark.parametrize(("epochs", "decay"), [(4, 0.9375), (50, 0.995), (1, 0.75)])
def test_weights_of_a_short_training_are_averaged_over_its_last_tenth(epochs, decay):
    """160 steps average about 16, 40 about 4; 2000 and more the usual 200."""
    recipe = light_recipe("compact", COARSE, Budget(epochs=epochs), seed=1)

    assert recipe.schedule.ema_decay == pytest.approx(decay)
