"""Under which conditions a benchmark ran, and the check that a later call keeps them."""

import dataclasses
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.cohort.folder import Cohort
from training.cohort.patient_split import Part
from training.segmentation.benchmark.held_out import HeldOut
from training.segmentation.benchmark.training_port import EqualTraining

FILE = "conditions.json"

#: May differ between calls: where and how fast it ran, not what was compared.
_FREE = frozenset({"hardware"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What every contestant has in common.

    Attributes
    ----------
    trained_on, judged_on : str
        Data, in words.
    training_scans, test_scans : str
        Digests of the scans' identifiers.
    experiment : dict
        Hyper-parameters, the budget's lengths included.
    recipes : dict of str to dict
        Those of architectures with a loop of their own.
    minutes : float or None
        Longest training of each.
    seed : int
        Of weights, patches and bootstrap.
    hardware : str
        In words.
    kind : str
        Whether the heads judged on are real.
    """

    trained_on: str
    judged_on: str
    training_scans: str
    test_scans: str
    experiment: dict[str, Any]
    recipes: dict[str, Any]
    minutes: float | None
    seed: int
    hardware: str
    kind: str

    def describe(self) -> list[str]:
        """Return the conditions as sentences."""
        one = self.experiment
        batch = one["batch_size"]
        patches = one["epochs"] * one["iterations"] * batch
        limit = "" if self.minutes is None else f", at most {self.minutes:g} min"
        voxels = f"{_by(one['patch_size_zyx'])} voxels of {_by(one['spacing_zyx_mm'])} mm"
        return [
            f"Trained on {self.trained_on}.",
            f"Judged on {self.judged_on}.",
            f"Equal budget: {patches} patches, {batch} a step{limit}.",
            f"Patches of {voxels} (z, y, x); SLEX-Net sees triplets of whole sections instead.",
            f"Width {one['width'] or 'its own'}; seed {self.seed}.",
            f"Hardware: {self.hardware}.",
        ]


def conditions(
    cohort: Cohort, held_out: HeldOut, training: EqualTraining, *, hardware: str
) -> Conditions:
    """Return the conditions of a benchmark."""
    scans = cohort.part(Part.TRAIN)
    patients = len({scan.patient_id for scan in scans})
    names = ", ".join(folder.name for folder in cohort.folders)
    return Conditions(
        trained_on=f"{len(scans)} scans of {patients} patients of cohort {names}",
        judged_on=held_out.describe(),
        training_scans=_digest(scan.case_id for scan in scans),
        test_scans=_digest(scan.case_id for scan in held_out.scans),
        experiment=_plain(dataclasses.asdict(training.budget.applied_to(training.experiment))),
        recipes={
            name: _plain(dataclasses.asdict(recipe)) for name, recipe in training.recipes.items()
        },
        minutes=training.budget.minutes,
        seed=training.seed,
        hardware=hardware,
        kind=held_out.kind,
    )


def keep_conditions(folder: Path, wanted: Conditions) -> None:
    """Write the conditions of a new benchmark, or check that they are those of the one begun.

    Raises
    ------
    ValueError
        If the folder holds a benchmark under other conditions; names the first difference.
    """
    path = folder / FILE
    content = dataclasses.asdict(wanted)
    if path.exists():
        begun = json.loads(path.read_text(encoding="utf-8"))
        for name, value in content.items():
            if name not in _FREE and begun.get(name) != value:
                raise ValueError(
                    f"{folder} holds a benchmark with {name} {begun.get(name)}, now it is "
                    f"{value}; results would not compare. Give another --output"
                )
    folder.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(FILE + ".part")
    partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    partial.replace(path)


def _digest(names: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()


def _plain(content: dict[str, Any]) -> dict[str, Any]:
    """Return the content as JSON would give it back: lists, no tuples."""
    plain: dict[str, Any] = json.loads(json.dumps(content))
    return plain


def _by(values: list[float]) -> str:
    return " x ".join(f"{value:g}" for value in values)
