"""How a benchmark has an architecture trained."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from training.segmentation.architectures import ARCHITECTURES, Loop, architecture
from training.segmentation.benchmark.shared_preparation import share_preparation
from training.segmentation.experiment import Budget, Experiment
from training.segmentation.nnunet.layout import NnunetLayout
from training.segmentation.run_result import RunProgress, RunResult

if TYPE_CHECKING:
    from training.segmentation.recipe import Recipe
    from training.segmentation.slex.recipe import SlexRecipe

#: Folder of nnU-Net's files in a training's folder.
_NNUNET = "nnunet"

OnRunProgress = Callable[[RunProgress], None]


class TrainOne(Protocol):
    """Trains one architecture with everything else bound: cohort, experiment, budget, seed."""

    def __call__(
        self, architecture: str, folder: Path, *, on_progress: OnRunProgress
    ) -> RunResult:
        """Train into a folder, going on where an earlier call was stopped.

        Parameters
        ----------
        architecture : str
            Name on the command line.
        folder : Path
            Receives everything.
        on_progress : callable
            Told how far the training has come.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class EqualTraining:
    """Trains every architecture on the same data with the same budget.

    Attributes
    ----------
    cohorts : tuple of Path
        Folders of prepared cases.
    experiment : Experiment
        For every architecture.
    recipes : mapping of str to Recipe or SlexRecipe
        In place of it for architectures with a loop of their own.
    budget : Budget
        For every architecture.
    seed : int
        Likewise.
    device : str
        A torch device.
    """

    cohorts: tuple[Path, ...]
    experiment: Experiment
    recipes: "Mapping[str, Recipe | SlexRecipe]" = field(default_factory=dict)
    budget: Budget
    seed: int
    device: str

    def __call__(
        self, architecture: str, folder: Path, *, on_progress: OnRunProgress
    ) -> RunResult:
        """Train one architecture, or go on, with images that another has prepared already."""
        from training.segmentation.run import train_architecture

        if ARCHITECTURES[architecture].loop is Loop.NNUNET:
            others = sorted(folder.parent.parent.glob(f"*/{folder.name}/{_NNUNET}"))
            share_preparation(
                NnunetLayout(root=folder / _NNUNET), [NnunetLayout(root=one) for one in others]
            )
        return train_architecture(
            architecture,
            cohort=self.cohorts,
            output=folder,
            experiment=self.recipes.get(architecture, self.experiment),
            budget=self.budget_of(architecture),
            seed=self.seed,
            device=self.device,
            on_progress=on_progress,
        )

    def budget_of(self, name: str) -> Budget:
        """Return the budget of an architecture: as many patches for each.

        The light loop takes one patch in a step, the others a batch.
        """
        if architecture(name).loop is not Loop.LIGHT:
            return self.budget
        steps = self.budget.iterations or self.experiment.iterations
        epochs = self.budget.epochs or self.experiment.epochs
        return dataclasses.replace(
            self.budget, epochs=epochs, iterations=steps * self.experiment.batch_size
        )


def read_recipes(texts: Sequence[str]) -> "dict[str, Recipe | SlexRecipe]":
    """Return recipes for architectures with a loop of their own, each given as ``NAME=FILE``.

    Raises
    ------
    ValueError
        If the name is unknown or has no loop of its own, or the file is faulty.
    """
    from training.segmentation.recipe import read_recipe
    from training.segmentation.slex.recipe import read_slex_recipe

    own = [name for name, row in ARCHITECTURES.items() if row.loop is not Loop.NNUNET]
    recipes: dict[str, Recipe | SlexRecipe] = {}
    for text in texts:
        name, separator, path = text.partition("=")
        if not separator or name not in own:
            raise ValueError(f"Recipe {text!r}: NAME=FILE expected, NAME of {', '.join(own)}")
        slex = ARCHITECTURES[name].loop is Loop.SLEX
        recipes[name] = read_slex_recipe(Path(path)) if slex else read_recipe(Path(path))
    return recipes


def parse_budget(text: str) -> Budget:
    """Return a budget written as ``epochs=20,iterations=50`` or ``minutes=5``; empty is none.

    Raises
    ------
    ValueError
        If a name is unknown or a value no positive number.
    """
    names = [item.name for item in dataclasses.fields(Budget)]
    values: dict[str, float] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, separator, value = part.partition("=")
        if not separator or name not in names or name in values:
            raise ValueError(f"Budget {part!r}: NAME=NUMBER expected, NAME of {', '.join(names)}")
        try:
            values[name] = float(value) if name == "minutes" else int(value)
        except ValueError:
            raise ValueError(f"Budget {name}: a number expected, got {value!r}") from None
    return Budget(**values)  # type: ignore[arg-type]  # whole numbers by the branch above
