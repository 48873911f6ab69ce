"""The recipe of a diffusion training, read from a TOML file."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from training.recipe_file import read_recipe_file
from training.synthesis.noise_schedule import NoiseSchedule, Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """How long and how fast is learnt; the defaults are the npj paper's.

    Attributes
    ----------
    epochs, batch_size : int
        Passes over the slices, and slices in a step.
    fewest_steps : int
        Steps of an epoch: few slices are passed more than once in it.
    limit_minutes : float or None
        Training ends here even if epochs are left; earlier runs into the same folder count.
    learning_rate : float
        At the top of the cosine, which falls to zero at the end.
    warm_up_share, warm_up_from : float
        First share of the epochs in which the rate rises, from this part of it. The cosine then
        ends as far above zero, which is how the released code has it.
    weight_decay : float
        0 makes the optimiser plain Adam.
    gradient_clip : float
        Greatest norm of the gradient.
    ema_decay : float
        Share of the running average that stays at each step; 0: no average.
    summed_loss : bool
        Sum of squared errors / 1000 as released, in place of their mean; every step is then
        clipped.
    checkpoint_every, sheet_every : int
        In steps and in epochs.
    """

    epochs: int = 1000
    batch_size: int = 32
    fewest_steps: int = 1
    limit_minutes: float | None = None
    learning_rate: float = 1e-4
    warm_up_share: float = 0.0
    warm_up_from: float = 1.0
    weight_decay: float = 0.0
    gradient_clip: float = 1.0
    ema_decay: float = 0.9999
    summed_loss: bool = False
    checkpoint_every: int = 200
    sheet_every: int = 50

    def __post_init__(self) -> None:
        counts = ("epochs", "batch_size", "fewest_steps", "checkpoint_every", "sheet_every")
        for name in (*counts, "learning_rate"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        for name in ("warm_up_share", "warm_up_from", "ema_decay"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} lies in [0, 1], got {getattr(self, name)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SynthesisRecipe:
    """Everything that decides what a training yields, but for the slices themselves.

    Attributes
    ----------
    name : str
        Of the generator.
    seed : int
        Of weights and of every random choice.
    image_size : int
        Height and width in pixels.
    network : dict
        Arguments of `UKanDiffusion`.
    class_conditional : bool
        Learn HE and NHE slices with their class; else HE alone, as in the paper.
    class_dropout : float
        Share of slices whose class is withheld, so that guidance is possible.
    flip_left_right, flip_up_down : bool
        Mirror every second slice. Heads are nearly symmetric from left to right; upside down,
        as the released code also turns them, they are not.
    target : Target
        What the network learns to say; the papers' says the noise.
    noise : NoiseSchedule
        See there.
    course : Course
        See there.

    Raises
    ------
    ValueError
        If a value is impossible; the message names it.
    """

    name: str = "diffusion-ukan"
    seed: int = 1
    image_size: int = 256
    network: dict[str, Any] = field(default_factory=dict)
    class_conditional: bool = False
    class_dropout: float = 0.1
    flip_left_right: bool = True
    flip_up_down: bool = False
    target: Target = Target.NOISE
    noise: NoiseSchedule = field(default_factory=NoiseSchedule)
    course: Course = field(default_factory=Course)

    def __post_init__(self) -> None:
        # A recipe's file holds the word.
        object.__setattr__(self, "target", Target(self.target))
        if not 0 <= self.class_dropout <= 1:
            raise ValueError(f"class_dropout lies in [0, 1], got {self.class_dropout}")
        reserved = sorted({"classes", "steps"} & set(self.network))
        if reserved:
            raise ValueError(
                f"network: {', '.join(reserved)} follow from class_conditional and [noise]"
            )

    @property
    def network_arguments(self) -> dict[str, Any]:
        """Arguments of the network, those that follow from other values included."""
        classes = 2 if self.class_conditional else 0
        return {**self.network, "steps": self.noise.steps, "classes": classes}


def read_synthesis_recipe(path: Path) -> SynthesisRecipe:
    """Return the recipe in a TOML file.

    Raises
    ------
    ValueError
        If the file is no TOML, a key is unknown or a value impossible; the message names it.
    """
    tables = {"noise": NoiseSchedule, "course": Course}
    return read_recipe_file(SynthesisRecipe, path, tables)
