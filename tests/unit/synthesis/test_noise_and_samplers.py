"""Noise schedule and samplers against closed forms for normally distributed data."""

import math

import numpy as np
import pytest
import torch

from training.synthesis.noise_schedule import NoiseSchedule, Target
from training.synthesis.samplers import (
    Sampler,
    Variance,
    ddim,
    ddpm,
    dpm_solver,
    image_noise,
    sample,
)

SCHEDULE = NoiseSchedule()
MEAN, SD = 0.3, 0.5


def exact(image, step):
    """Return the expected noise in an image if clean ones are normal with MEAN and SD.

    Noisy images have mean a m and variance a^2 s^2 + b^2 (a^2 the share kept, b^2 = 1 - a^2);
    noise and image have covariance b, so the regression is b (x - a m) / (a^2 s^2 + b^2).
    """
    kept = float(np.prod(1 - np.linspace(1e-4, 0.02, 1000)[: step + 1]))
    spread = kept * SD**2 + 1 - kept
    return math.sqrt(1 - kept) * (image - math.sqrt(kept) * MEAN) / spread


def mean_and_sd(sampler, **options):
    """Return mean and deviation of what a deterministic sampler makes of standard noise.

    For the exact score its steps are linear, so two starting points tell everything.
    """
    start = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
    zero, one = sampler(exact, start, SCHEDULE, clip=False, **options)[:, 0].tolist()
    return zero, abs(one - zero)


def none(shape):
    raise AssertionError(f"No noise was to be drawn, asked for {shape}")


def noise_of(seed):
    generator = torch.Generator().manual_seed(seed)
    return lambda shape: torch.randn(shape, generator=generator, dtype=torch.float64)


def test_the_schedule_is_the_papers():
    """1000 steps from 1e-4 to 0.02 leave 4.04e-5 of the image's variance (Ho et al.)."""
    kept = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))

    assert SCHEDULE.kept.numpy() == pytest.approx(kept)
    assert SCHEDULE.kept_at(999) == pytest.approx(4.04e-5, rel=0.01)
    assert SCHEDULE.kept_at(-1) == 1


def test_one_jump_equals_all_the_steps_before_it():
    """The closed marginal has mean and variance of the chain x <- sqrt(1-b) x + sqrt(b) e."""
    factor, variance = 1.0, 0.0
    for beta in np.linspace(1e-4, 0.02, 1000)[:401]:
        factor, variance = factor * math.sqrt(1 - beta), variance * (1 - beta) + beta
    clean, times = torch.tensor([[2.0], [2.0]]), torch.tensor([400, 400])

    still, moved = SCHEDULE.noised(clean, torch.tensor([[0.0], [1.0]]), times)[:, 0].tolist()

    assert still == pytest.approx(2 * factor, rel=1e-5)
    assert (moved - still) ** 2 == pytest.approx(variance, rel=1e-5)


def test_few_deterministic_steps_give_mean_and_deviation():
    """50 steps of DDIM come within 6 % of the deviation, 30 of the solver within 1 %."""
    ddim_mean, ddim_sd = mean_and_sd(ddim, steps=50, source=none)
    solver_mean, solver_sd = mean_and_sd(dpm_solver, steps=30)

    assert ddim_mean == pytest.approx(MEAN, rel=0.01)
    assert ddim_sd == pytest.approx(SD, rel=0.06)
    assert solver_mean == pytest.approx(MEAN, rel=0.01)
    assert solver_sd == pytest.approx(SD, rel=0.01)


def test_the_solver_is_of_second_order_and_ddim_of_first():
    """Twice the steps halve the error of DDIM and quarter that of the solver."""

    def error(sampler, count, **options):
        return abs(mean_and_sd(sampler, steps=count, **options)[1] - SD)

    ddim_ratio = error(ddim, 50, source=none) / error(ddim, 100, source=none)
    solver_ratio = error(dpm_solver, 25) / error(dpm_solver, 50)

    assert ddim_ratio == pytest.approx(2, abs=0.2)
    assert solver_ratio == pytest.approx(4, abs=0.6)


def test_ddim_with_noise_is_ancestral_sampling():
    """With eta 1 and every step both draw the same noise and give the same images."""
    start = noise_of(1)(torch.Size([64, 1]))

    implicit = ddim(exact, start, SCHEDULE, steps=1000, eta=1.0, source=noise_of(2), clip=False)
    ancestral = ddpm(exact, start, SCHEDULE, source=noise_of(2), clip=False)

    assert torch.allclose(implicit, ancestral, atol=1e-9)


@pytest.mark.parametrize("variance", list(Variance))
def test_ancestral_sampling_gives_mean_and_deviation(variance):
    """4,000 draws: the mean within 4 standard errors, the deviation within 5 %."""
    start = noise_of(3)(torch.Size([4_000, 1]))

    images = ddpm(exact, start, SCHEDULE, source=noise_of(4), variance=variance, clip=False)

    assert float(images.mean()) == pytest.approx(MEAN, abs=4 * SD / math.sqrt(4_000))
    assert float(images.std()) == pytest.approx(SD, rel=0.05)


@pytest.mark.parametrize("sampler", list(Sampler))
def test_clipping_keeps_to_the_grey_range(sampler):
    """No sampler leaves -1..1 with clipping on, however wild the prediction."""
    start = 3 * noise_of(5)(torch.Size([8, 4]))

    images = sample(
        sampler, lambda image, _: -image, start, SCHEDULE, source=noise_of(6), steps=10
    )

    assert float(images.abs().max()) <= 1


def test_progress_is_told_step_by_step():
    """The last call says that all is done."""
    told = []

    dpm_solver(exact, torch.zeros(1, 1), SCHEDULE, steps=5, on_step=lambda *one: told.append(one))

    assert told == [(1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]


def test_an_images_noise_does_not_depend_on_its_batch():
    """Each image has its own generator."""

    def generators(*seeds):
        return [torch.Generator().manual_seed(seed) for seed in seeds]

    alone = image_noise(generators(7))(torch.Size([1, 5]))
    together = image_noise(generators(6, 7))(torch.Size([2, 5]))

    assert torch.equal(alone[0], together[1])


def test_impossible_step_counts_are_refused():
    """Fewer than two and more than the schedule has."""
    for count in (1, 1001):
        with pytest.raises(ValueError, match="steps"):
            SCHEDULE.visited(count)
    with pytest.raises(ValueError, match="first_beta"):
        NoiseSchedule(first_beta=0.02, last_beta=0.01)


def test_noise_is_told_from_velocity():
    """If x = a x0 + b e and v = a e - b x0, then a v + b x = e, since a^2 + b^2 = 1."""
    torch.manual_seed(2)
    clean, noise = torch.randn(2, 3, 1, 4, 4, dtype=torch.float64)
    times = torch.tensor([0, 400, 999])
    noisy = SCHEDULE.noised(clean, noise, times)

    for target in Target:
        said = SCHEDULE.target(clean, noise, times, target)
        assert torch.allclose(SCHEDULE.noise_in(noisy, said, times, target), noise)
    # At the last step all is noise: whatever is said of it, the noise is the image.
    silent = SCHEDULE.noise_in(noisy, torch.zeros_like(noisy), times, Target.VELOCITY)
    assert torch.allclose(silent[2], noise[2], atol=0.03)
    assert SCHEDULE.target(clean, noise, times, Target.NOISE) is noise
