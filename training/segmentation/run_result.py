"""What a training hands back."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class RunProgress:
    """How far a training has come; told after every optimiser step and every epoch.

    Attributes
    ----------
    share : float
        Of the budget that is spent, in [0, 1].
    epoch, epochs : int
        Epochs finished and wanted.
    loss : float
        Of the last step.
    pseudo_dice : float or None
        Of the last epoch's validation patches; None before the first.
    """

    share: float
    epoch: int
    epochs: int
    loss: float
    pseudo_dice: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """A finished training.

    Attributes
    ----------
    architecture : str
        Name on the command line.
    folder : Path
        Everything that the training wrote; `training.release` makes bundles of it.
    bundle : Path
        The trained network as a bundle with a draft card, ready for `load_segmenter`.
    parameters : int
        Trained numbers in the network.
    seconds : float
        Spent in training over all runs into the folder, without planning and preprocessing.
    peak_memory_mb : float
        Highest memory while training: on a GPU what PyTorch allocated there, else the highest
        resident size of the process.
    epochs, iterations : int
        Epochs that were finished and optimiser steps that were taken, over all runs.
    """

    architecture: str
    folder: Path
    bundle: Path
    parameters: int
    seconds: float
    peak_memory_mb: float
    epochs: int
    iterations: int
