"""The recipe: every choice that turns triplets into a classifier, read from TOML."""

from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from pipeline.slice_input import SliceInput
from training.recipe_file import read_recipe_file


class Calibration(StrEnum):
    """How probabilities are made to mean what they say."""

    TEMPERATURE = "temperature"  #: one factor of the log odds
    PLATT = "platt"  #: factor and offset, brought to the prevalence of the recipe
    NONE = "none"  #: the network's own


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """The network and what it is given.

    Attributes
    ----------
    architecture : str
        As for `pipeline.classification.vit.build_vit`.
    arguments : dict
        Its arguments.
    input_size : int
        Height and width of the input in pixels.
    """

    architecture: str
    arguments: dict[str, Any]
    input_size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """How long and how fast.

    Attributes
    ----------
    epochs : int
        Passes over the training patients.
    batch_size : int
        Slices per step.
    warmup_epochs : int
        Epochs in which the learning rate rises from zero.
    learning_rate, final_learning_rate : float
        Ends of the cosine; the paper gives 2e-4 and 1e-4.
    weight_decay : float
        Decoupled weight decay; zero makes the optimiser plain Adam, as in the paper.
    averaging : float
        Share of the running average of the weights that stays at each step, in [0, 1).
        The average is what is validated and released; 0 switches it off.
    gradient_limit : float
        Norm at which gradients are cut; 0 for never, as in the paper.
    """

    epochs: int
    batch_size: int
    warmup_epochs: int
    learning_rate: float
    final_learning_rate: float
    weight_decay: float
    averaging: float
    gradient_limit: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """What counts how much.

    Attributes
    ----------
    he_share : float
        Share of HE slices that is drawn, in (0, 1); 0 to take every slice once an epoch, which
        the experiments with synthetic slices need.
    prevalence : float
        Share of HE among the patients whom the classifier is for, in (0, 1); Platt's scaling
        calibrates to it.
    signs_weight : float
        Weight of the recorded signs in the loss, against 1 for the outcome.
    signs_only_epochs : int
        First epochs, in which the outcome does not count yet.
    label_smoothing : float
        Softening of the outcome in the loss.
    chance_share : float
        Of simulated cases, how much the known chance of expansion counts in place of the
        outcome, 0 to 1. An outcome tells little more than one throw of a coin; no patient's
        chance is known.

    Raises
    ------
    ValueError
        If the share lies outside 0 to 1.
    """

    he_share: float
    prevalence: float
    signs_weight: float
    signs_only_epochs: int
    label_smoothing: float
    chance_share: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.chance_share <= 1:
            raise ValueError(f"chance_share lies in [0, 1], got {self.chance_share}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """How far a training slice may differ from the one that was cropped.

    Attributes
    ----------
    flip : bool
        Mirror left and right for every second slice.
    rotation_deg, shift, scale : float
        Greatest turn, greatest shift as part of the side, greatest relative size change.
    contrast, brightness : float
        Greatest relative change of contrast, greatest shift as part of the grey range.
    noise : float
        Greatest standard deviation of added noise, as part of the grey range.
    """

    flip: bool
    rotation_deg: float
    shift: float
    scale: float
    contrast: float
    brightness: float
    noise: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What the validation patients decide.

    Attributes
    ----------
    calibration : Calibration
        Of the probabilities.
    sensitivities : tuple of float
        For each an operating point is put onto the card, e.g. 0.9.
    familiar_share : float
        Part of the validation patients that counts as familiar, in (0, 1); 0 for no limit.

    Raises
    ------
    ValueError
        If the calibration is unknown, or a share is none.
    """

    calibration: Calibration
    sensitivities: tuple[float, ...]
    familiar_share: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "calibration", Calibration(self.calibration))
        if not all(0 < wanted <= 1 for wanted in self.sensitivities):
            raise ValueError(f"sensitivities lie in (0, 1], got {self.sensitivities}")
        if not 0 <= self.familiar_share < 1:
            raise ValueError(f"familiar_share lies in [0, 1), got {self.familiar_share}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """All of it.

    Attributes
    ----------
    name : str
        Name of the model.
    seed : int
        Decides split, initial weights, sampling and augmentation.
    validation_share : float
        Part of the patients that chooses epoch and threshold.
    slices : SliceInput
        How slices are cut and resized; goes onto the card.
    """

    name: str
    seed: int
    validation_share: float
    network: Network
    slices: SliceInput
    schedule: Schedule
    balance: Balance
    augmentation: Augmentation
    validation: Choices


def read_recipe(path: Path) -> Recipe:
    """Return the recipe that a TOML file holds.

    Raises
    ------
    ValueError
        If a key is missing or unknown, or a value is impossible; the message names the file and
        the table.
    """
    tables = {
        "network": Network,
        "slices": SliceInput,
        "schedule": Schedule,
        "balance": Balance,
        "augmentation": Augmentation,
        "validation": Choices,
    }
    return read_recipe_file(Recipe, path, tables)


def with_natural_draw(recipe: Recipe) -> Recipe:
    """Return the recipe with every slice drawn once an epoch, as ratios of slices need."""
    return replace(recipe, balance=replace(recipe.balance, he_share=0.0))
