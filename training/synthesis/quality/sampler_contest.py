"""The contest of samplers: the same seeds, all steps against few."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import torch
from numpy.typing import NDArray

from training.synthesis.drawing import DrawingOptions, draw
from training.synthesis.generator import Generator
from training.synthesis.quality.distances import Spread, frechet_distance, kernel_distance
from training.synthesis.quality.features import FeatureNetwork
from training.synthesis.sample_sheet import to_grey
from training.synthesis.samplers import Sampler

#: As many subsets of the kernel distance as others take.
_SUBSETS = 100

#: Images drawn at once.
_BATCH = 16

#: Steps that the fast samplers are tried with.
FEW_STEPS = (10, 20, 30, 50)


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplerResult:
    """What a sampler's images are like.

    Attributes
    ----------
    sampler : Sampler
        Which.
    steps : int
        Evaluations of the network for an image.
    seconds_each : float
        Time for an image.
    frechet : float
        Squared Frechet distance to the real slices.
    kernel : Spread
        Kernel distance to the real slices.
    kernel_to_all_steps : Spread
        Kernel distance to what all steps make of other seeds.
    """

    sampler: Sampler
    steps: int
    seconds_each: float
    frechet: float
    kernel: Spread
    kernel_to_all_steps: Spread


def compare_samplers(
    generator: Generator,
    real: Sequence[NDArray[np.uint8]],
    *,
    network: FeatureNetwork,
    count: int,
    steps: Sequence[int] = FEW_STEPS,
    seed: int = 0,
    on_progress: Callable[[str, int, int], None] = lambda *_: None,
    clock: Callable[[], float] = perf_counter,
) -> list[SamplerResult]:
    """Return how near each sampler comes to real slices, all steps first.

    Parameters
    ----------
    generator : Generator
        That draws.
    real : sequence of ndarray of uint8, shape (S, S)
        Learnt slices as the generator sees them.
    network : FeatureNetwork
        For the distances.
    count : int
        Images of each sampler.
    steps : sequence of int
        How many the fast samplers take, in turn.
    seed : int
        Base of the seeds.
    on_progress : callable
        Told sampler, images done and images in all.
    clock : callable
        Seconds.
    """
    rng = np.random.default_rng(seed)
    learnt = network.describe(real).features
    every = generator.card.noise.steps

    def features(sampler: Sampler, first: int, taken: int) -> tuple[NDArray[np.float64], float]:
        images, started = [], clock()
        options = DrawingOptions(sampler=sampler, steps=taken)
        for begin in range(first, first + count, _BATCH):
            seeds = range(begin, min(begin + _BATCH, first + count))
            images.append(draw(generator, seeds, options=options))
            on_progress(f"{sampler}, {taken} steps", seeds[-1] + 1 - first, count)
        seconds = (clock() - started) / count
        return network.describe(list(to_grey(torch.cat(images)))).features, seconds

    # Other seeds, so that "all steps" is compared with itself on equal terms.
    reference, _ = features(Sampler.DDPM, seed + count, every)
    few = sorted({min(one, every) for one in steps})
    ways = [(Sampler.DDPM, every)]
    ways += [(sampler, one) for sampler in (Sampler.DDIM, Sampler.DPM_SOLVER) for one in few]
    results = []
    for sampler, taken in ways:
        found, seconds = features(sampler, seed, taken)
        results.append(
            SamplerResult(
                sampler=sampler,
                steps=taken,
                seconds_each=seconds,
                frechet=frechet_distance(found, learnt),
                kernel=kernel_distance(found, learnt, rng=rng, subsets=_SUBSETS),
                kernel_to_all_steps=kernel_distance(found, reference, rng=rng, subsets=_SUBSETS),
            )
        )
    return results
