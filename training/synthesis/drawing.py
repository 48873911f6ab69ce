"""The drawing of images: one seed, one image, whatever is drawn beside it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.prediction import HeLabel
from training.synthesis.generator import Generator, class_index
from training.synthesis.samplers import Sampler, image_noise, sample

OnStep = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawingOptions:
    """How images are drawn.

    Attributes
    ----------
    sampler : Sampler
        Second-order solver by default.
    steps : int or None
        Evaluations of the network; None: the sampler's usual number.
    guidance : float
        Of a conditional generator: by how much the class is stressed. 0: not beyond itself.

    Raises
    ------
    ValueError
        If the guidance is negative.
    """

    sampler: Sampler = Sampler.DPM_SOLVER
    steps: int | None = None
    guidance: float = 0.0

    def __post_init__(self) -> None:
        if self.guidance < 0:
            raise ValueError(f"guidance cannot be negative, got {self.guidance}")


def _silent(done: int, total: int) -> None:
    del done, total


@torch.inference_mode()
def draw(
    generator: Generator,
    seeds: Sequence[int],
    *,
    options: DrawingOptions,
    label: HeLabel = HeLabel.HE,
    on_step: OnStep = _silent,
) -> Tensor:
    """Return one grey image for each seed.

    Parameters
    ----------
    generator : Generator
        Trained network and its card.
    seeds : sequence of int
        Of the images; an image depends on its seed, the generator and the options alone.
    options : DrawingOptions
        Sampler, steps, guidance.
    label : HeLabel
        Class of the images, for a conditional generator. Another draws what it has learnt.
    on_step : callable
        Told how many steps of how many are done.

    Returns
    -------
    Tensor of float32, shape (N, 1, S, S)
        -1..1, on the CPU. Of a generator with three channels their mean, which is grey.
    """
    card, network = generator.card, generator.network
    device = next(network.parameters()).device
    channels = int(card.network.get("image_channels", 1))
    source = image_noise([torch.Generator().manual_seed(seed) for seed in seeds])
    start = source(torch.Size([len(seeds), channels, card.image_size, card.image_size]))
    classes = torch.full([len(seeds)], class_index(label), device=device)

    def denoiser(images: Tensor, step: int) -> Tensor:
        times = torch.full([len(images)], step, device=device)
        said: Tensor = network(images, times, classes if card.is_conditional else None)
        if card.is_conditional and options.guidance > 0:
            unguided: Tensor = network(images, times)
            said = said + options.guidance * (said - unguided)
        return card.noise.noise_in(images, said, times, card.target)

    images = sample(
        options.sampler,
        denoiser,
        start.to(device),
        card.noise,
        source=source,
        steps=options.steps,
        on_step=on_step,
    )
    return images.mean(dim=1, keepdim=True).cpu()
