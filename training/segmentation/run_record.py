"""What a run leaves for its release: one JSON file beside the weights."""

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.model_card import Intensity
from pipeline.volume import Vector
from training.segmentation.experiment import Patch

RECORD_FILE, WEIGHTS_FILE = "run.json", "weights.safetensors"

#: Layout version of the file.
_FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """A training as its card will tell it.

    Attributes
    ----------
    architecture : str
        Name on the command line.
    registry_name : str
        Name on the card.
    arguments : dict
        What the registry builds the network with, deep supervision off.
    loop : str
        Value of `training.segmentation.architectures.Loop`.
    spacing_zyx_mm, patch_size_zyx, intensity
        As on the card.
    class_names : tuple of str
        In the order of the network's outputs.
    hyper_parameters : dict
        Of the experiment or recipe.
    seed : int
        Of weights and augmentation.
    cohorts : tuple of str
        Names of the cohort folders.
    counts : dict of str to int
        Scans and patients by part.
    sources : dict of str to int
        Training scans by data set.
    parameters : int
        Trained numbers.
    seconds, peak_memory_mb : float
        Spent in training.
    epochs, iterations : int
        Done over all runs.
    finished : bool
        Whether the schedule was trained to its end.
    scores : dict
        What the loop measured on validation patches while training.
    """

    architecture: str
    registry_name: str
    arguments: dict[str, Any]
    loop: str
    spacing_zyx_mm: Vector
    patch_size_zyx: Patch
    intensity: Intensity
    class_names: tuple[str, ...] = ("background", "hematoma")
    hyper_parameters: dict[str, Any]
    seed: int
    cohorts: tuple[str, ...]
    counts: dict[str, int]
    sources: dict[str, int]
    parameters: int = 0
    seconds: float = 0.0
    peak_memory_mb: float = 0.0
    epochs: int = 0
    iterations: int = 0
    finished: bool = False
    scores: dict[str, Any] = field(default_factory=dict)

    def differs_in(self, other: "RunRecord") -> tuple[str, ...]:
        """Return what must be equal for one run to go on from the other, but is not."""
        names = (
            *("architecture", "arguments", "spacing_zyx_mm", "patch_size_zyx"),
            *("cohorts", "counts", "seed"),
        )
        return tuple(name for name in names if getattr(self, name) != getattr(other, name))


def write_record(folder: Path, record: RunRecord) -> None:
    """Write the record of a run to its folder."""
    content = {"format": _FORMAT, **dataclasses.asdict(record)}
    partial = folder / f"{RECORD_FILE}.part"
    partial.write_text(json.dumps(content, indent=1) + "\n")
    partial.replace(folder / RECORD_FILE)


def read_record(folder: Path) -> RunRecord:
    """Return the record of a run.

    Raises
    ------
    ValueError
        If the folder holds no run.
    """
    path = folder / RECORD_FILE
    if not path.exists():
        raise ValueError(f"{folder} holds no {RECORD_FILE}: no training has written there")
    content = json.loads(path.read_text())
    if content.pop("format", None) != _FORMAT:
        raise ValueError(f"{path} was written by another version")
    content["intensity"] = Intensity(**content["intensity"])
    for name in ("spacing_zyx_mm", "patch_size_zyx", "class_names", "cohorts"):
        content[name] = tuple(content[name])
    return RunRecord(**content)
