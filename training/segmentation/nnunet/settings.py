"""What our trainer is told through nnU-Net's plans, the one file that it hands to a trainer."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from training.segmentation.experiment import Experiment, experiment_from

#: Key in the plans; nnU-Net leaves it alone.
KEY = "ichnode"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainerSettings:
    """Architecture, hyper-parameters and limits of a run.

    Attributes
    ----------
    architecture : str
        Name in the registry of networks.
    arguments : dict
        What the registry builds it with.
    experiment : Experiment
        Hyper-parameters.
    scales : tuple of tuple of float, or None
        Size of each supervised output as a share of the patch, highest resolution first; None
        trains the full resolution only.
    drop_lowest : bool
        Whether the lowest resolution is left out of the loss, as nnU-Net does for its own
        networks; nnFormer and UNETR++ supervise all of their three.
    seed : int
        Of weights and augmentation.
    limit_seconds : float or None
        Training ends when it has taken so long.
    """

    architecture: str
    arguments: dict[str, Any]
    experiment: Experiment
    scales: tuple[tuple[float, ...], ...] | None
    drop_lowest: bool
    seed: int
    limit_seconds: float | None = None

    def to_plans(self) -> dict[str, Any]:
        """Return the settings as JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_plans(cls, plans: dict[str, Any]) -> "TrainerSettings":
        """Return the settings in nnU-Net's plans.

        Raises
        ------
        ValueError
            If the plans were not made by this project.
        """
        if KEY not in plans:
            raise ValueError(
                f"The plans have no {KEY!r}: IchnodeTrainer needs plans that "
                "`ichtrain segmentation train` has made"
            )
        stored = dict(plans[KEY])
        stored["experiment"] = experiment_from(stored["experiment"], where=f"plans, {KEY}")
        if stored["scales"] is not None:
            stored["scales"] = tuple(tuple(scale) for scale in stored["scales"])
        return cls(**stored)

    def supervision_weights(self) -> tuple[float, ...]:
        """Return the weight of each output in the loss: halved with each step, summing to 1."""
        count = len(self.scales or ((1.0,),))
        weights = [0.5**step for step in range(count)]
        if self.drop_lowest and count > 1:
            weights[-1] = 0.0
        return tuple(weight / sum(weights) for weight in weights)
