"""Prepared cases as stacks of slices on the network's grid, and triplets cut from them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.segmentation.sampling import normalise
from training.cohort.case import IGNORED, Case
from training.cohort.regrid import on_grid
from training.segmentation.augmentation import sample_patch, vary_intensity
from training.segmentation.slex.recipe import SlexRecipe


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stack:
    """The slices of one scan on the grid of a recipe.

    Attributes
    ----------
    patient_id, source : str
        As on the case.
    hu_zyx : ndarray of int16, shape (Z, Y, X)
        Hounsfield units, clipped to the recipe's range.
    label_zyx : ndarray of uint8, shape (Z, Y, X)
        1 hematoma, 0 none, `IGNORED` unknown.
    """

    patient_id: str
    source: str
    hu_zyx: NDArray[np.int16]
    label_zyx: NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A slice to be learnt: which stack, which slice, and whether it shows hematoma."""

    stack: int
    place: int
    bleeds: bool


def stack_of(case: Case, recipe: SlexRecipe) -> Stack:
    """Return a case on the recipe's grid, resampled as the pipeline resamples scans."""
    fitting = on_grid(case, recipe.spacing_zyx_mm)
    return Stack(
        patient_id=case.patient_id,
        source=case.source,
        hu_zyx=np.clip(fitting.hu_zyx, int(recipe.clip_low_hu), int(recipe.clip_high_hu)),
        label_zyx=fitting.label_zyx,
    )


def targets_of(stacks: Sequence[Stack]) -> list[Target]:
    """Return every slice of which something is known; also the first and last of a stack."""
    return [
        Target(stack=number, place=place, bleeds=bool((plane == 1).any()))
        for number, stack in enumerate(stacks)
        for place, plane in enumerate(stack.label_zyx)
        if (plane != IGNORED).any()
    ]


def draw_triplet(
    stack: Stack, place: int, recipe: SlexRecipe, *, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Return the normalised triplet (3, Y, X) about a slice and the slice's label (Y, X).

    The triplet is centred on the stack's picture. Beyond it there is air whose label is
    ignored; an end slice stands in for its missing neighbour.
    """
    chosen = np.clip([place - 1, place, place + 1], 0, len(stack.hu_zyx) - 1)
    hu, label = stack.hu_zyx[chosen], stack.label_zyx[chosen]
    if recipe.augmentation is None:
        patch = _centred(hu, recipe, fill=int(recipe.clip_low_hu)).astype(np.float32)
        known = _centred(label, recipe, fill=IGNORED)
        return normalise(patch, recipe.intensity), known[1]
    rows, columns = hu.shape[1:]
    patch, labels = sample_patch(
        hu,
        label,
        corner_z=0,
        centre_yx=((rows - 1) / 2, (columns - 1) / 2),
        shape_zyx=recipe.patch_size_zyx,
        outside_hu=recipe.clip_low_hu,
        rng=rng,
        augmentation=recipe.augmentation,
    )
    patch = vary_intensity(patch, rng=rng, augmentation=recipe.augmentation)
    return normalise(patch, recipe.intensity), labels[1]


def _centred(planes: NDArray[np.generic], recipe: SlexRecipe, *, fill: int) -> NDArray[np.generic]:
    """Return planes (3, y, x) cropped or padded about their centre to the recipe's size."""
    for axis, size in enumerate(recipe.patch_size_zyx[1:], start=1):
        surplus = planes.shape[axis] - size
        if surplus > 0:
            first = surplus // 2
            planes = planes.take(np.arange(first, first + size), axis=axis)
        if surplus < 0:
            padding = [(0, 0)] * 3
            padding[axis] = (-surplus // 2, -surplus - -surplus // 2)
            planes = np.pad(planes, padding, constant_values=fill)
    return planes
