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
from training.segmentation.experiment import Budget, Experiment

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
    experiment, budget : dict
        Hyper-parameters and budget.
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
    budget: dict[str, Any]
    seed: int
    hardware: str
    kind: str

    def describe(self) -> list[str]:
        """Return the conditions as sentences."""
        budget = ", ".join(
            f"{name.replace('_', ' ')} {value}" for name, value in self.budget.items() if value
        )
        one = self.experiment
        return [
            f"Trained on {self.trained_on}.",
            f"Judged on {self.judged_on}.",
            f"The same for every architecture: {budget or 'the length of the experiment'}; batch "
            + f"{one['batch_size']}, patch {_by(one['patch_size_zyx'])} voxels (z, y, x) of "
            + f"{_by(one['spacing_zyx_mm'])} mm, width {one['width'] or 'its own'}, learning "
            + f"rate {one['learning_rate']}, seed {self.seed}.",
            f"Hardware: {self.hardware}.",
        ]


def conditions(
    cohort: Cohort,
    held_out: HeldOut,
    experiment: Experiment,
    budget: Budget,
    *,
    seed: int,
    hardware: str,
) -> Conditions:
    """Return the conditions of a benchmark."""
    training = cohort.part(Part.TRAIN)
    patients = len({scan.patient_id for scan in training})
    names = ", ".join(folder.name for folder in cohort.folders)
    return Conditions(
        trained_on=f"{len(training)} scans of {patients} patients of cohort {names}",
        judged_on=held_out.describe(),
        training_scans=_digest(scan.case_id for scan in training),
        test_scans=_digest(scan.case_id for scan in held_out.scans),
        experiment=_plain(dataclasses.asdict(experiment)),
        budget=_plain(dataclasses.asdict(budget)),
        seed=seed,
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
