"""The noise schedule: how much of the image is left at each time step."""

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

import torch
from torch import Tensor


class Target(StrEnum):
    """What a network says of a noisy image."""

    #: The noise; the papers'.
    NOISE = "noise"
    #: ``sqrt(kept) * noise - sqrt(1 - kept) * clean``. A small network learns it in fewer steps:
    #: of an image that is nearly all noise, the noise must be told to a thousandth, or the
    #: brightness of the clean image is off; this need not.
    VELOCITY = "velocity"


@dataclass(frozen=True, kw_only=True)
class NoiseSchedule:
    """A linear schedule of variances.

    Step ``t`` in 0..steps-1 turns a clean image ``x0`` into
    ``sqrt(kept[t]) * x0 + sqrt(1 - kept[t]) * noise``.

    Attributes
    ----------
    steps : int
        Number of time steps.
    first_beta, last_beta : float
        Variance that the first and the last step add; the defaults are those of the papers.

    Raises
    ------
    ValueError
        If the variances do not rise within (0, 1), or there are fewer than two steps.

    References
    ----------
    .. [1] J. Ho et al., "Denoising Diffusion Probabilistic Models", NeurIPS (2020).
    .. [2] T. Salimans, J. Ho, "Progressive Distillation for Fast Sampling of Diffusion Models",
       ICLR (2022): the velocity.
    """

    steps: int = 1000
    first_beta: float = 1e-4
    last_beta: float = 0.02

    def __post_init__(self) -> None:
        if not (self.steps > 1 and 0 < self.first_beta <= self.last_beta < 1):
            raise ValueError(
                "Two steps and 0 < first_beta <= last_beta < 1 expected, got "
                f"{self.steps}, {self.first_beta}, {self.last_beta}"
            )

    @cached_property
    def betas(self) -> Tensor:
        """Variance added by each step, float64, shape (steps,)."""
        return torch.linspace(self.first_beta, self.last_beta, self.steps, dtype=torch.float64)

    @cached_property
    def kept(self) -> Tensor:
        """Share of the variance that is still the image's, float64, shape (steps,)."""
        return torch.cumprod(1 - self.betas, dim=0)

    def kept_at(self, step: int) -> float:
        """Return the share at one step; at step -1, the clean image, it is 1."""
        return 1.0 if step < 0 else float(self.kept[step])

    def noised(self, clean: Tensor, noise: Tensor, times: Tensor) -> Tensor:
        """Return images at the time steps given, one for each.

        Parameters
        ----------
        clean, noise : Tensor, shape (N, ...)
            Images and standard normal noise.
        times : Tensor of int64, shape (N,)
            Steps.
        """
        signal, spread = self._shares(clean, times)
        return signal * clean + spread * noise

    def target(self, clean: Tensor, noise: Tensor, times: Tensor, target: Target) -> Tensor:
        """Return what a network is to say of the images that `noised` makes."""
        if target is Target.NOISE:
            return noise
        signal, spread = self._shares(clean, times)
        return signal * noise - spread * clean

    def noise_in(self, noisy: Tensor, said: Tensor, times: Tensor, target: Target) -> Tensor:
        """Return the noise in noisy images by what a network says of them."""
        if target is Target.NOISE:
            return said
        signal, spread = self._shares(noisy, times)
        return signal * said + spread * noisy

    def visited(self, count: int) -> list[int]:
        """Return `count` time steps from the last to the first, evenly spaced.

        Raises
        ------
        ValueError
            If there are fewer than two or more than there are steps.
        """
        if not 1 < count <= self.steps:
            raise ValueError(f"Between 2 and {self.steps} steps can be taken, got {count}")
        even = torch.linspace(self.steps - 1, 0, count, dtype=torch.float64).round()
        return [int(step) for step in even]

    def _shares(self, images: Tensor, times: Tensor) -> tuple[Tensor, Tensor]:
        """Return the factors of clean image and noise, for images of shape (N, ...)."""
        kept = self.kept.to(images.device)[times].reshape(-1, *[1] * (images.ndim - 1))
        return kept.sqrt().to(images), (1 - kept).sqrt().to(images)
