"""The budget of a study: what is trained, how long, and by which recipes; read from TOML."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from training.recipe_file import read_recipe_file

#: Where the shipped budgets lie in a checkout, and in an installation.
_CHECKOUT = Path(__file__).parents[2] / "config" / "training"
_INSTALLED = Path("share") / "ichnode" / "training"


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkBudget:
    """Stage "benchmark".

    Attributes
    ----------
    architectures : tuple of str
        As for `ichtrain segmentation benchmark`.
    experiment : str
        File of hyper-parameters, beside the budget; empty for the npj study's.
    recipes : dict of str to str
        Files of recipes by architecture, for those with loops of their own.
    epochs, iterations, minutes : int, int, float or None
        Limits for each architecture; None leaves the experiment's.
    patients : int
        Development patients that take part, as the npj study took 500 of 1103; 0 for all.
    examined_patients : int
        Judge on at most so many held-out patients; 0 for all.
    """

    architectures: tuple[str, ...]
    experiment: str = ""
    recipes: dict[str, str] = field(default_factory=dict)
    epochs: int | None = None
    iterations: int | None = None
    minutes: float | None = None
    patients: int = 0
    examined_patients: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentationBudget:
    """Stage "segmentation": the full model.

    Attributes
    ----------
    architecture : str
        Empty takes the one with the best Dice of the benchmark.
    epochs, iterations, minutes : int, int, float or None
        As for the benchmark.
    examined_patients : int
        Judge on at most so many patients of each set; 0 for all.
    """

    architecture: str = ""
    epochs: int | None = None
    iterations: int | None = None
    minutes: float | None = None
    examined_patients: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SynthesisBudget:
    """Stage "synthesis".

    Attributes
    ----------
    recipe : str
        File of the diffusion's recipe, beside the budget.
    ratios : tuple of str
        HE to NHE, one augmented set each.
    minutes : float or None
        End of the training.
    sampler : str
        Way of drawing.
    steps : int or None
        None for the sampler's usual number.
    convolution_probe : bool
        Also let a small network try to tell synthetic from real.
    """

    recipe: str
    ratios: tuple[str, ...] = ("1:1", "1:2")
    minutes: float | None = None
    sampler: str = "dpm-solver"
    steps: int | None = None
    convolution_probe: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassificationBudget:
    """Stages "slices" and "classification".

    Attributes
    ----------
    recipe : str
        File of the classifier's recipe, beside the budget.
    ratios : tuple of str
        HE to NHE; ``none`` for the real slices as they are, which is the published ViT-1:4.
    shown_ratio : str
        Whose saliency is drawn.
    explained_patients : int
        On how many patients saliency is measured; 0 leaves it out.
    """

    recipe: str
    ratios: tuple[str, ...] = ("1:1", "1:2", "none")
    shown_ratio: str = "1:2"
    explained_patients: int = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class GrowthBudget:
    """Stage "growth".

    Attributes
    ----------
    recipe : str
        File of the forecast's recipe, beside the budget.
    folds : int or None
        Of the cross-validation; None leaves out one patient at a time, as published.
    arms : tuple of str
        Ways of training; the published three by default.
    """

    recipe: str
    folds: int | None = None
    arms: tuple[str, ...] = ("original", "augmentation", "synthesis")


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyBudget:
    """All of it.

    Attributes
    ----------
    name : str
        For the report.
    seed : int
        Of weights, batches, drawings and bootstraps.
    validation, test : float
        Shares of the development patients.
    needs_gpu : bool
        Whether a CPU would take weeks.
    expected_minutes : dict of str to float
        By stage, on the machine that the budget is made for.
    benchmark, segmentation, synthesis, classification : table
        Of the stages.
    growth : table or None
        Of the forecast of growth; None leaves it out.

    Raises
    ------
    ValueError
        If the shares leave nobody to train on or nobody to validate on.
    """

    name: str
    seed: int = 1
    validation: float = 0.2
    test: float = 0.0
    needs_gpu: bool = False
    expected_minutes: dict[str, float] = field(default_factory=dict)
    benchmark: BenchmarkBudget
    segmentation: SegmentationBudget
    synthesis: SynthesisBudget
    classification: ClassificationBudget
    growth: GrowthBudget | None = None

    def __post_init__(self) -> None:
        if not (0 < self.validation < 1 and self.test >= 0 and self.validation + self.test < 1):
            raise ValueError(
                "validation must be positive and leave patients to train on, got "
                f"validation {self.validation:g} and test {self.test:g}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetFile:
    """A budget with the folder that its recipes are named from.

    Attributes
    ----------
    path : Path
        The file.
    budget : StudyBudget
        What it says.
    """

    path: Path
    budget: StudyBudget

    def recipe(self, name: str) -> Path:
        """Return where a recipe that the budget names lies."""
        return self.path.parent / name

    def recipes(self) -> Iterator[Path]:
        """Yield every file that the budget names."""
        budget = self.budget
        names = (
            budget.benchmark.experiment,
            *budget.benchmark.recipes.values(),
            budget.synthesis.recipe,
            budget.classification.recipe,
            budget.growth.recipe if budget.growth is not None else "",
        )
        return (self.recipe(name) for name in dict.fromkeys(names) if name)


def read_budget(name: str) -> BudgetFile:
    """Return a budget by its name (``small``, ``full``) or its file.

    Raises
    ------
    ValueError
        If there is none, it is faulty, or a recipe that it names is not there.
    """
    path = Path(name) if name.endswith(".toml") else _shipped(name)
    tables = {
        "benchmark": BenchmarkBudget,
        "segmentation": SegmentationBudget,
        "synthesis": SynthesisBudget,
        "classification": ClassificationBudget,
        "growth": GrowthBudget,
    }
    found = BudgetFile(path=path, budget=read_recipe_file(StudyBudget, path, tables))
    for recipe in found.recipes():
        if not recipe.is_file():
            raise ValueError(f"{path} names {recipe.name}, which is not beside it")
    return found


def _shipped(name: str) -> Path:
    file = f"study_{name}.toml"
    for folder in (_CHECKOUT, Path(sys.prefix) / _INSTALLED):
        if (folder / file).is_file():
            return folder / file
    known = sorted(path.stem.removeprefix("study_") for path in _CHECKOUT.glob("study_*.toml"))
    raise ValueError(
        f"Budget {name!r} is unknown; known: {', '.join(known)}, or a file that ends in .toml"
    )
