"""A training's gradients on a CPU are those of float32, and lower precision is refused there."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from pipeline.segmentation.networks.registry import build_network
from training.cohort.case import Case, save_case
from training.segmentation.experiment import Budget, Experiment
from training.segmentation.light_run import light_recipe
from training.segmentation.loss import dice_and_cross_entropy
from training.segmentation.patches import CasePool, draw_patch
from training.segmentation.precision import training_type
from training.segmentation.run import train_architecture
from training.segmentation.trainer import Trainer

#: 8 slices, halved twice: the deepest level of compact convolves 2 slices by 3 x 3 x 3.
SMALL = Experiment(
    spacing_zyx_mm=(5.0, 2.0, 2.0),
    patch_size_zyx=(8, 64, 64),
    width=16,
    epochs=1,
    iterations=1,
    validation_iterations=1,
    foreground_share=1.0,
)


def head(number: int) -> Case:
    rng = np.random.default_rng(number)
    hu = rng.normal(30, 3, (12, 64, 64))
    label = np.zeros(hu.shape, dtype=np.uint8)
    label[3:9, 20:40, 22:44] = 1
    hu[label == 1] += 35
    return Case(
        case_id=f"head-{number}",
        patient_id=f"head-{number}",
        source="toy",
        hu_zyx=hu.astype(np.int16),
        label_zyx=label,
        spacing_zyx_mm=(5.0, 2.0, 2.0),
    )


def test_gradients_of_a_step_at_two_slices_are_those_of_float32(tmp_path):
    """The light loop's gradients equal those of the same patch, computed apart in float64.

    In bfloat16 PyTorch 2.14 takes the weight gradient of a 3 x 3 x 3 convolution of two slices
    from memory that was never written to. To see it: let `training_type` return bfloat16.
    """
    for number in range(4):
        save_case(tmp_path / "cases", head(number))
    recipe = light_recipe("compact", SMALL, Budget(), seed=1)
    pool = CasePool(
        folders=[tmp_path / "cases"], spacing_zyx_mm=(5.0, 2.0, 2.0), validation_fraction=0.3
    )
    pool.refresh()
    trainer = Trainer(recipe, pool, folder=tmp_path / "run")
    apart = build_network(recipe.architecture, recipe.architecture_arguments).double()
    apart.load_state_dict(
        {key: value.double() for key, value in trainer.network.state_dict().items()}
    )
    image, label = draw_patch(pool, recipe, np.random.default_rng(recipe.seed))

    trainer.run()

    apart.train()
    logits = apart(torch.from_numpy(image)[None, None].double())
    dice_and_cross_entropy(
        logits, torch.from_numpy(label)[None], voxel_ml=math.prod(recipe.spacing_zyx_mm) / 1000
    ).backward()
    torch.nn.utils.clip_grad_norm_(apart.parameters(), 5.0)
    for name, wanted in apart.named_parameters():
        found = trainer.network.get_parameter(name).grad
        # Rounding turns single activations over the bend at zero, which shows in single numbers:
        # noise of 1e-6 on the image, all in float64, moves a gradient by up to 0.3 % as well.
        assert (found.double() - wanted.grad).norm() < 0.01 * wanted.grad.norm(), name


@pytest.mark.parametrize(
    ("precision", "device", "computed"),
    [
        ("auto", "cpu", torch.float32),
        ("fp32", "cpu", torch.float32),
        ("auto", "cuda", torch.bfloat16),
        ("bf16", "cuda", torch.bfloat16),
        ("fp16", "cuda", torch.float16),
    ],
)
def test_a_cpu_trains_in_float32_and_cuda_in_bfloat16(precision, device, computed):
    """Only CUDA is trusted with half precision, and takes bfloat16 where nobody chose."""
    assert training_type(precision, torch.device(device)) == computed


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_on_a_cpu_is_refused_before_anything_is_prepared(precision, tmp_path):
    """The message says why and what to choose; the folder stays empty of data."""
    for number in range(12):
        save_case(tmp_path / "cases", head(number))
    experiment = dataclasses.replace(SMALL, precision=precision)

    with pytest.raises(ValueError, match=f"{precision}.*wrong gradients.*'auto' or 'fp32'"):
        train_architecture(
            "nnunet",
            cohort=tmp_path / "cases",
            output=tmp_path / "run",
            experiment=experiment,
        )

    assert not list((tmp_path / "run").iterdir())


def test_the_optimiser_of_an_experiment_is_checked_by_name():
    """A misspelt optimiser is refused, and the known ones are listed."""
    with pytest.raises(ValueError, match="optimiser 'adam' is unknown; known: sgd, adamw"):
        Experiment(optimiser="adam")
