"""The experiment: what decides a training besides architecture and data, read from TOML."""

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pipeline.volume import Vector
from training.recipe_file import from_table, read_toml

Patch = tuple[int, int, int]
Precision = Literal["auto", "bf16", "fp16", "fp32"]
Optimiser = Literal["sgd", "adamw"]

_PRECISIONS = ("auto", "bf16", "fp16", "fp32")
_OPTIMISERS = ("sgd", "adamw")
_AXES = 3
_COUNTS = (
    *("width", "epochs", "iterations", "validation_iterations"),
    *("batch_size", "checkpoint_every"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """Hyper-parameters of a training in nnU-Net's loop; the defaults are the npj study's [1]_.

    What the paper leaves open is what its code and nnU-Net do: 250 iterations an epoch, 50 of
    validation, deep supervision, a third of the patches forced onto hematoma, the learning rate
    falling as (1 - epoch / epochs) ** 0.9, gradients clipped at a norm of 12.

    Attributes
    ----------
    spacing_zyx_mm : Vector
        Grid that is trained on.
    patch_size_zyx : tuple of int
        Patch; the default is what nnU-Net's planner gives for head CT on that grid and 8 GB.
    width : int or None
        Channels of the first stage of nnU-Net's networks, 32 as published; nnFormer takes
        three times as many. None leaves every architecture its own.
    optimiser : str
        ``sgd``, with Nesterov momentum, or ``adamw``, by which transformers learn within few
        steps too.
    learning_rate, momentum, weight_decay : float
        Of the optimiser; AdamW has no momentum to set.
    epochs, iterations, validation_iterations : int
        Epochs, and optimiser steps and validation batches in each.
    batch_size : int
        Patches in a step.
    foreground_share : float
        Share of patches that are centred on hematoma.
    deep_supervision : bool
        Whether lower resolutions are supervised too, where the architecture has heads for them.
    precision : str
        ``auto`` (bfloat16 on CUDA, float32 on a CPU, whose gradients are wrong in bfloat16),
        ``bf16`` and ``fp16`` (CUDA only) or ``fp32``. U-Mamba's activations overflow in fp16,
        which upstream's users meet as NaN.
    recompute : bool
        Compute activations again on the way back instead of keeping them: the same values in
        far less memory, a step takes about a third longer.
    checkpoint_every : int
        Epochs between checkpoints.
    augmentation_workers : int or None
        Processes that augment; None chooses by the device, 0 augments in the training process.

    Raises
    ------
    ValueError
        If a value is impossible; the message names it.

    References
    ----------
    .. [1] Q. Yu et al., "An end-to-end deep learning pipeline for hematoma expansion prediction
       in spontaneous intracerebral hemorrhage based on non-contrast computed tomography",
       npj Digital Medicine (2025), "Automated hematoma segmentation".
    """

    spacing_zyx_mm: Vector = (5.0, 0.5, 0.5)
    patch_size_zyx: Patch = (20, 320, 256)
    width: int | None = None
    optimiser: Optimiser = "sgd"
    learning_rate: float = 1e-3
    momentum: float = 0.99
    weight_decay: float = 3e-5
    epochs: int = 500
    iterations: int = 250
    validation_iterations: int = 50
    batch_size: int = 2
    foreground_share: float = 0.33
    deep_supervision: bool = True
    precision: Precision = "auto"
    recompute: bool = False
    checkpoint_every: int = 1
    augmentation_workers: int | None = None

    def __post_init__(self) -> None:
        for name in ("spacing_zyx_mm", "patch_size_zyx"):
            if len(getattr(self, name)) != _AXES or min(getattr(self, name)) <= 0:
                raise ValueError(
                    f"{name}: three positive numbers expected, got {getattr(self, name)}"
                )
        for name in _COUNTS:
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        if not self.learning_rate > 0 or not math.isfinite(self.learning_rate):
            raise ValueError(f"learning_rate must be positive, got {self.learning_rate}")
        if not 0 <= self.foreground_share <= 1:
            raise ValueError(f"foreground_share lies in [0, 1], got {self.foreground_share}")
        for name, known in (("precision", _PRECISIONS), ("optimiser", _OPTIMISERS)):
            if getattr(self, name) not in known:
                raise ValueError(
                    f"{name} {getattr(self, name)!r} is unknown; known: {', '.join(known)}"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What a training may cost; whatever is None is left as the experiment says.

    Attributes
    ----------
    epochs, iterations, validation_iterations : int or None
        In place of the experiment's.
    minutes : float or None
        Training ends here even if epochs are left; the learning rate falls towards whichever
        end comes first. Time of earlier runs into the same folder counts.
    """

    epochs: int | None = None
    iterations: int | None = None
    validation_iterations: int | None = None
    minutes: float | None = None

    def __post_init__(self) -> None:
        for name in ("epochs", "iterations", "validation_iterations", "minutes"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"Budget: {name} must be positive, got {value}")

    def applied_to(self, experiment: Experiment) -> Experiment:
        """Return an experiment with the lengths that the budget grants."""
        names = ("epochs", "iterations", "validation_iterations")
        changes = {name: getattr(self, name) for name in names}
        granted = {name: value for name, value in changes.items() if value is not None}
        return dataclasses.replace(experiment, **granted)


def read_experiment(path: Path) -> Experiment:
    """Return the experiment in a TOML file.

    Raises
    ------
    ValueError
        If a key is unknown or a value impossible; the message names file and key.
    """
    return experiment_from(read_toml(path), where=str(path))


def experiment_from(content: dict[str, Any], *, where: str) -> Experiment:
    """Return the experiment in parsed TOML or JSON.

    Raises
    ------
    ValueError
        If a key is unknown or a value impossible; `where` names the file in the message.
    """
    values = dict(content)
    if "spacing_zyx_mm" in values:
        values["spacing_zyx_mm"] = tuple(float(step) for step in values["spacing_zyx_mm"])
    if "patch_size_zyx" in values:
        values["patch_size_zyx"] = tuple(int(size) for size in values["patch_size_zyx"])
    return from_table(Experiment, values, where=where)
