"""The probe: whether a small classifier can tell synthetic slices from real ones.

Near 0.5 its AUC says no. Near 1 it has found a shortcut, which the classifier of expansion,
all of whose synthetic slices are HE, would take too.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from pipeline.classification.transform import to_batch
from pipeline.statistics.estimate import Estimate
from training.evaluation.auc_interval import auc_with_interval

FOLDS = 5

#: Height and width of what the convolutional probe sees.
_SIZE = 64

#: Passes, images in a step, and learning rate of the convolutional probe.
_PASSES, _BATCH, _RATE = 12, 32, 2e-3

#: Small sets are passed more often: fewer steps than these find nothing.
_FEWEST_STEPS = 80

#: Ridge of the logistic regression, in units of standardised features.
_RIDGE = 1.0

_NEWTON_STEPS = 25

_BANDS = 8

Images = Sequence[NDArray[np.uint8]]


class Probe(StrEnum):
    """Ways to tell images apart."""

    STATISTICS = "statistics"  #: size, grey levels, texture; no anatomy
    CONVOLUTIONS = "convolutions"  #: a small network that sees the picture


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeResult:
    """What a probe found.

    Attributes
    ----------
    probe : Probe
        Which.
    auc : Estimate
        Of "is synthetic" in held-out folds, its interval drawn by patient.
    """

    probe: Probe
    auc: Estimate


def probe_images(
    probe: Probe,
    synthetic: Images,
    real: Images,
    *,
    patients: Sequence[str],
    seed: int = 0,
) -> ProbeResult:
    """Return how well a probe tells synthetic images from real ones it has not seen.

    As many of either kind are taken as the smaller set has. Five folds, by patient.

    Parameters
    ----------
    probe : Probe
        How.
    synthetic, real : sequence of ndarray of uint8
        Slices at native size.
    patients : sequence of str
        Patient of each real slice.
    seed : int
        Of the choice, the folds and the network.

    Raises
    ------
    ValueError
        If there are fewer images of a kind, or fewer patients, than folds.
    """
    rng = np.random.default_rng(seed)
    count = min(len(synthetic), len(real))
    if count < FOLDS or len(set(patients)) < FOLDS:
        raise ValueError(f"{FOLDS} folds need as many patients and synthetic images")
    new = rng.choice(len(synthetic), count, replace=False)
    old = rng.choice(len(real), count, replace=False)
    images = [synthetic[index] for index in new] + [real[index] for index in old]
    groups = [f"new-{index}" for index in new] + [f"old-{patients[index]}" for index in old]
    target = np.arange(2 * count) < count
    fold = _folds(groups, rng)
    fit = _by_statistics(images) if probe is Probe.STATISTICS else _by_network(images, seed)
    scores = np.zeros(len(images))
    for held_out in range(FOLDS):
        scores[fold == held_out] = fit(fold != held_out, target)[fold == held_out]
    return ProbeResult(
        probe=probe, auc=auc_with_interval(target, scores, patients=groups, rng=rng)
    )


def statistics_of(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return what can be known of a slice without looking at its anatomy, shape (24,).

    Logarithm of height and width, aspect, mean and deviation, nine quantiles, shares of black
    and white, and the logarithm of eight bands of the spectrum of the contrast.
    """
    levels = image.astype(np.float64) / 255
    quantiles = np.quantile(levels, np.linspace(0.1, 0.9, 9))
    ends = [float(np.mean(image == 0)), float(np.mean(image == 255))]  # noqa: PLR2004  white
    contrast = levels - levels.mean()
    power = np.abs(np.fft.fft2(contrast)) ** 2 / contrast.size
    y, x = np.meshgrid(*(np.fft.fftfreq(one) for one in levels.shape), indexing="ij")
    band = np.minimum((np.hypot(y, x) * 2 * _BANDS).astype(int), _BANDS - 1)
    sums = np.bincount(band.ravel(), power.ravel(), minlength=_BANDS)
    members = np.bincount(band.ravel(), minlength=_BANDS)
    bands = np.log(sums / np.maximum(members, 1) + 1e-8)
    height, width = levels.shape
    sizes = [np.log(height), np.log(width), height / width - 1]
    return np.concatenate([sizes, [levels.mean(), levels.std()], quantiles, ends, bands])


Fit = Callable[[NDArray[np.bool_], NDArray[np.bool_]], NDArray[np.float64]]


def _by_statistics(images: Images) -> Fit:
    features = np.stack([statistics_of(image) for image in images])

    def fit(train: NDArray[np.bool_], target: NDArray[np.bool_]) -> NDArray[np.float64]:
        sd = features[train].std(axis=0)
        scaled = (features - features[train].mean(axis=0)) / np.where(sd > 0, sd, 1)
        design = np.column_stack([scaled, np.ones(len(scaled))])
        return np.asarray(design @ logistic_regression(design[train], target[train]))

    return fit


def logistic_regression(
    design: NDArray[np.float64], target: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return the weights of a logistic regression with a ridge on all but the last column.

    Newton's method on the penalised likelihood.
    """
    weights = np.zeros(design.shape[1])
    ridge = np.full(design.shape[1], _RIDGE)
    ridge[-1] = 1e-9  # the intercept is free, but the matrix must stay invertible
    for _ in range(_NEWTON_STEPS):
        margin = np.clip(design @ weights, -30, 30)
        share = 1 / (1 + np.exp(-margin))
        slope = design.T @ (share - target) + ridge * weights
        curvature = (design * (share * (1 - share))[:, None]).T @ design + np.diag(ridge)
        step = np.linalg.solve(curvature, slope)
        weights = weights - step
        if float(np.abs(step).max()) < 1e-8:  # noqa: PLR2004  converged
            break
    return weights


def _by_network(images: Images, seed: int) -> Fit:
    batch = to_batch(images, input_size=_SIZE)

    def fit(train: NDArray[np.bool_], target: NDArray[np.bool_]) -> NDArray[np.float64]:
        chosen = torch.from_numpy(np.flatnonzero(train))
        wanted = torch.from_numpy(target.astype(np.float32))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = _small_network()
            optimiser = torch.optim.AdamW(network.parameters(), lr=_RATE, weight_decay=1e-3)
            steps_in_pass = -(-len(chosen) // _BATCH)
            for _ in range(max(_PASSES, -(-_FEWEST_STEPS // steps_in_pass))):
                order = chosen[torch.randperm(len(chosen))]
                for part in torch.split(order, _BATCH):
                    images_now = batch[part]
                    if torch.rand(()) < 1 / 2:
                        images_now = images_now.flip(-1)
                    logits = network(images_now)[:, 0]
                    loss = functional.binary_cross_entropy_with_logits(logits, wanted[part])
                    optimiser.zero_grad()
                    loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it unannotated
                    optimiser.step()
            network.eval()
            with torch.inference_mode():
                scores = torch.cat([network(part)[:, 0] for part in torch.split(batch, _BATCH)])
        return scores.double().numpy()

    return fit


def _small_network() -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs, outputs in ((1, 8), (8, 16), (16, 32), (32, 32)):
        layers += [
            nn.Conv2d(inputs, outputs, 3, stride=2, padding=1),
            nn.GroupNorm(4, outputs),
            nn.SiLU(),
        ]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 1))


def _folds(groups: Sequence[str], rng: np.random.Generator) -> NDArray[np.int64]:
    """Return a fold for each image; images of one group share it.

    Real and synthetic groups are dealt out separately, so that every fold holds both kinds.
    """
    places: dict[str, int] = {}
    for kind in ("new-", "old-"):
        names = sorted({name for name in groups if name.startswith(kind)})
        for number, index in enumerate(rng.permutation(len(names))):
            places[names[index]] = number % FOLDS
    return np.array([places[name] for name in groups])
