"""The slices of many cases as tensors, ready to be drawn into batches."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.classification.transform import to_batch
from pipeline.prediction import HeLabel
from pipeline.slice_input import SliceInput
from training.classification.case import TripletCase, require_cut
from training.classification.ideal_reader import CHANCE


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SliceSet:
    """All slices of some cases.

    Attributes
    ----------
    images : Tensor of float32, shape (N, 1, S, S)
        Prepared by `pipeline.classification.transform`.
    labels : Tensor of int64, shape (N,)
        `HeLabel` of the slice's case.
    chances : Tensor of float32, shape (N,)
        Known chance that the slice's case expands; NaN where nobody knows it.
    signs : Tensor of float32, shape (N, K)
        Recorded signs of the case; NaN where nobody recorded them.
    cases : Tensor of int64, shape (N,)
        Number of the case in the sequence that the set was made of.
    """

    images: torch.Tensor
    labels: torch.Tensor
    chances: torch.Tensor
    signs: torch.Tensor
    cases: torch.Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def targets(self, *, chance_share: float) -> torch.Tensor:
        """Return the probability of expansion that each slice should be given, shape (N,).

        The outcome, in which the known chance counts as much as its share.
        """
        outcome = (self.labels == int(HeLabel.HE)).float()
        mixed = (1 - chance_share) * outcome + chance_share * self.chances
        return torch.where(self.chances.isnan(), outcome, mixed)

    def case_means(self, slice_values: torch.Tensor) -> NDArray[np.float64]:
        """Return the mean over each case's slices, shape (number of cases,)."""
        numbers = self.cases.numpy()
        sums = np.bincount(numbers, weights=slice_values.double().numpy())
        return np.asarray(sums / np.bincount(numbers), dtype=np.float64)


def sign_names(cases: Sequence[TripletCase]) -> tuple[str, ...]:
    """Return the names of all signs that were recorded for anybody, sorted."""
    return tuple(sorted({name for case in cases for name in case.signs}))


def expanded(cases: Sequence[TripletCase]) -> NDArray[np.bool_]:
    """Return who expanded, in the order given, shape (N,)."""
    return np.array([case.label is HeLabel.HE for case in cases], dtype=bool)


def slice_set(
    cases: Sequence[TripletCase],
    *,
    input_size: int,
    signs: tuple[str, ...],
    how: SliceInput | None = None,
) -> SliceSet:
    """Return the slices of all cases in order, prepared as for inference.

    Raises
    ------
    ValueError
        If a case was cut otherwise than `how` says.
    """
    how = how or SliceInput()
    require_cut(cases, how)
    counts = [len(case.images_yx) for case in cases]
    values = [[case.signs.get(name, np.nan) for name in signs] for case in cases]
    repeats = torch.tensor(counts)
    return SliceSet(
        images=to_batch(
            [image for case in cases for image in case.images_yx],
            input_size=input_size,
            resizing=how.resizing,
        ),
        labels=torch.tensor([int(case.label) for case in cases]).repeat_interleave(repeats),
        chances=torch.tensor([case.signs.get(CHANCE, np.nan) for case in cases])
        .float()
        .repeat_interleave(repeats),
        signs=torch.tensor(values, dtype=torch.float32)
        .reshape(len(cases), len(signs))
        .repeat_interleave(repeats, dim=0),
        cases=torch.arange(len(cases)).repeat_interleave(repeats),
    )


def draw_epoch(
    slices: SliceSet, *, he_share: float, batch_size: int, generator: torch.Generator
) -> list[torch.Tensor]:
    """Return the batches of one epoch as indices; HE slices make the share asked for.

    As many slices are drawn as there are, with replacement. A share of 0 takes every slice
    once, in random order.
    """
    if he_share == 0:
        order = torch.randperm(len(slices), generator=generator)
        return list(torch.split(order, batch_size))
    is_he = slices.labels == int(HeLabel.HE)
    weights = torch.where(is_he, he_share / is_he.sum(), (1 - he_share) / (~is_he).sum())
    drawn = torch.multinomial(weights, len(slices), replacement=True, generator=generator)
    return list(torch.split(drawn, batch_size))
