"""Samplers: from noise to an image, by many small steps or few long ones."""

import math
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from itertools import pairwise

import torch
from torch import Tensor

from training.synthesis.noise_schedule import NoiseSchedule

#: From noisy images (N, ...) and one time step to the noise in them.
Denoiser = Callable[[Tensor, int], Tensor]

#: Standard normal noise of a shape.
NoiseSource = Callable[[torch.Size], Tensor]

OnStep = Callable[[int, int], None]


class Sampler(StrEnum):
    """Ways to sample."""

    DDPM = "ddpm"  #: ancestral, every step; the paper's
    DDIM = "ddim"  #: deterministic, first order
    DPM_SOLVER = "dpm-solver"  #: DPM-Solver++, deterministic, second order


class Variance(StrEnum):
    """Variance of an ancestral step; the papers call both optimal for some data."""

    POSTERIOR = "posterior"  #: right for data that are one point
    BETA = "beta"  #: right for normal data; the released code's


#: Steps that suffice, by sampler; None: all.
DEFAULT_STEPS = {Sampler.DDPM: None, Sampler.DDIM: 50, Sampler.DPM_SOLVER: 30}


def _silent(done: int, total: int) -> None:
    del done, total


def sample(
    sampler: Sampler,
    denoiser: Denoiser,
    start: Tensor,
    schedule: NoiseSchedule,
    *,
    source: NoiseSource,
    steps: int | None = None,
    clip: bool = True,
    on_step: OnStep = _silent,
) -> Tensor:
    """Return images by the sampler named, with its usual number of steps if none is given."""
    usual = min(DEFAULT_STEPS[sampler] or schedule.steps, schedule.steps)
    count = usual if steps is None else steps
    if sampler is Sampler.DPM_SOLVER:
        return dpm_solver(denoiser, start, schedule, steps=count, clip=clip, on_step=on_step)
    stochastic = ddim if sampler is Sampler.DDIM else ddpm
    return stochastic(
        denoiser, start, schedule, steps=count, source=source, clip=clip, on_step=on_step
    )


def ddpm(
    denoiser: Denoiser,
    start: Tensor,
    schedule: NoiseSchedule,
    *,
    source: NoiseSource,
    steps: int | None = None,
    variance: Variance = Variance.POSTERIOR,
    clip: bool = True,
    on_step: OnStep = _silent,
) -> Tensor:
    """Return images by ancestral sampling.

    Parameters
    ----------
    denoiser : callable
        Predicts noise.
    start : Tensor, shape (N, ...)
        Standard normal noise.
    schedule : NoiseSchedule
        That the denoiser was trained with.
    source : callable
        Noise that the steps add.
    steps : int, optional
        How many are taken; all of the schedule's if not given.
    variance : Variance
        Of the noise that a step adds.
    clip : bool
        Keep the predicted clean image within -1..1 at every step.
    on_step : callable
        Told how many steps of how many are done.
    """
    visited = schedule.visited(steps or schedule.steps)
    image = start
    for number, (step, following) in enumerate(pairwise([*visited, -1])):
        kept, kept_next = schedule.kept_at(step), schedule.kept_at(following)
        clean, _ = _predicted(denoiser, image, step, kept, clip=clip)
        beta = 1 - kept / kept_next
        # The mean of the normal distribution of the next image, given this one and `clean`.
        image = (
            math.sqrt(kept_next) * beta / (1 - kept) * clean
            + math.sqrt(1 - beta) * (1 - kept_next) / (1 - kept) * image
        )
        if following >= 0:
            spread = beta * (1 - kept_next) / (1 - kept)
            added = beta if variance is Variance.BETA else spread
            image = image + math.sqrt(added) * source(image.shape).to(image)
        on_step(number + 1, len(visited))
    return image.clamp(-1, 1) if clip else image


def ddim(
    denoiser: Denoiser,
    start: Tensor,
    schedule: NoiseSchedule,
    *,
    source: NoiseSource,
    steps: int = 50,
    eta: float = 0.0,
    clip: bool = True,
    on_step: OnStep = _silent,
) -> Tensor:
    """Return images by implicit sampling, parameters as for `ddpm`.

    With ``eta`` 0 no noise is added; with 1 and all steps it is ancestral sampling.

    References
    ----------
    .. [1] J. Song et al., "Denoising Diffusion Implicit Models", ICLR (2021), equations 12, 16.
    """
    visited = schedule.visited(steps)
    image = start
    for number, (step, following) in enumerate(pairwise([*visited, -1])):
        kept, kept_next = schedule.kept_at(step), schedule.kept_at(following)
        clean, noise = _predicted(denoiser, image, step, kept, clip=clip)
        added = eta * math.sqrt((1 - kept_next) / (1 - kept) * (1 - kept / kept_next))
        image = math.sqrt(kept_next) * clean + math.sqrt(1 - kept_next - added**2) * noise
        if added > 0:
            image = image + added * source(image.shape).to(image)
        on_step(number + 1, len(visited))
    return image.clamp(-1, 1) if clip else image


def dpm_solver(
    denoiser: Denoiser,
    start: Tensor,
    schedule: NoiseSchedule,
    *,
    steps: int = 30,
    clip: bool = True,
    on_step: OnStep = _silent,
) -> Tensor:
    """Return images by DPM-Solver++ (2M), parameters as for `ddpm`.

    A multistep method of second order in half the logarithm of the signal-to-noise ratio,
    over which its steps are even. The first and the last step are of first order.

    References
    ----------
    .. [1] C. Lu et al., "DPM-Solver++: Fast Solver for Guided Sampling of Diffusion
       Probabilistic Models", arXiv:2211.01095 (2022), algorithm 2.
    """
    visited = _even_in_log_snr(schedule, steps)
    image, earlier, earlier_length = start, None, 0.0
    for number, (step, following) in enumerate(pairwise([*visited, -1])):
        kept, kept_next = schedule.kept_at(step), schedule.kept_at(following)
        clean, _ = _predicted(denoiser, image, step, kept, clip=clip)
        if following < 0:
            # From here the way to the clean image is infinitely long in log SNR.
            image = clean
        else:
            length = _log_snr(kept_next) - _log_snr(kept)
            towards = clean
            if earlier is not None:
                towards = clean + length / (2 * earlier_length) * (clean - earlier)
            image = (
                math.sqrt((1 - kept_next) / (1 - kept)) * image
                - math.sqrt(kept_next) * math.expm1(-length) * towards
            )
            earlier, earlier_length = clean, length
        on_step(number + 1, len(visited))
    return image.clamp(-1, 1) if clip else image


def image_noise(generators: Sequence[torch.Generator]) -> NoiseSource:
    """Return a source that draws for each image from its own generator.

    An image then depends on its seed alone, not on what it shares a batch with.
    """

    def draw(shape: torch.Size) -> Tensor:
        return torch.stack([torch.randn(shape[1:], generator=one) for one in generators])

    return draw


def _predicted(
    denoiser: Denoiser, image: Tensor, step: int, kept: float, *, clip: bool
) -> tuple[Tensor, Tensor]:
    """Return the clean image and the noise that the denoiser sees in an image."""
    noise = denoiser(image, step)
    clean = (image - math.sqrt(1 - kept) * noise) / math.sqrt(kept)
    if not clip:
        return clean, noise
    clean = clean.clamp(-1, 1)
    return clean, (image - math.sqrt(kept) * clean) / math.sqrt(1 - kept)


def _log_snr(kept: float) -> float:
    """Return half the logarithm of the signal-to-noise ratio."""
    return 0.5 * math.log(kept / (1 - kept))


def _even_in_log_snr(schedule: NoiseSchedule, count: int) -> list[int]:
    """Return about `count` different time steps, even in log SNR, from the last to the first."""
    schedule.visited(count)  # refuses an impossible count
    levels = 0.5 * torch.log(schedule.kept / (1 - schedule.kept))
    wanted = torch.linspace(float(levels[-1]), float(levels[0]), count, dtype=torch.float64)
    nearest = (levels[:, None] - wanted[None]).abs().argmin(dim=0)
    return list(_distinct(int(step) for step in nearest))


def _distinct(steps: Iterator[int]) -> Iterator[int]:
    """Yield falling steps without repetitions."""
    last = None
    for step in steps:
        if last is None or step < last:
            yield step
        last = step if last is None else min(step, last)
