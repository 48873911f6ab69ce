"""Units of a pathway run over a stack of planes, a few planes at a time.

A unit needs three neighbouring planes for one. Kept between the steps are the last two of every
unit, so that nothing is computed twice and what is worked on stays in the processor's cache.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from pipeline.segmentation.blast_ct.folding import FoldedUnit

#: Bytes of one unit's output per step. Below 32 MiB the C library reuses memory instead of
#: asking the system for fresh pages each time.
_STEP_BYTES = 30 * 2**20

_FLOAT_BYTES = 4

#: Planes of context that a 3x3x3 kernel takes on both sides together.
_CONTEXT = 2


def run_units(units: Sequence[FoldedUnit], features: Tensor) -> Tensor:
    """Return the output of consecutive units, all planes at once, (1, O, Z - 2n, Y - 2n, X - 2n).

    Parameters
    ----------
    units : sequence of FoldedUnit
        Units with 3x3x3 kernels.
    features : Tensor, shape (1, I, Z, Y, X)
        Input of the first of them.
    """
    for unit in units:
        mixed = _convolved(unit, activated(unit, features))
        if unit.shortcut is not None:
            mixed.addcmul_(features[:, :, 1:-1, 1:-1, 1:-1], unit.shortcut)
        features = mixed
    return features


def stream_units(units: Sequence[FoldedUnit], image: Tensor) -> Iterator[Tensor]:
    """Yield the output of consecutive units in steps of a few planes, in order.

    Parameters
    ----------
    units : sequence of FoldedUnit
        Units with 3x3x3 kernels.
    image : Tensor, shape (1, I, Z, Y, X)
        Input of the first of them, channels last.

    Yields
    ------
    Tensor, shape (1, O, k, Y - 2n, X - 2n)
        Planes; k may differ from step to step. Together Z - 2n of them.
    """
    step = planes_per_step(units, image.shape[3] * image.shape[4])
    stages = [_StreamedUnit(unit, step) for unit in units]
    for chunk in torch.split(image, step, dim=2):
        features: Tensor | None = chunk
        for stage in stages:
            if features is None:
                break
            features = stage.push(features)
        if features is not None:
            yield features


def planes_per_step(units: Sequence[FoldedUnit], plane_voxels: int) -> int:
    """Return how many planes one step takes."""
    widest = max((len(unit.bias) for unit in units), default=1)
    return max(1, _STEP_BYTES // (widest * plane_voxels * _FLOAT_BYTES))


def activated(unit: FoldedUnit, features: Tensor) -> Tensor:
    """Return the normalised and activated input of a unit, in the type of `features`."""
    if unit.scale is None or unit.shift is None:
        return functional.leaky_relu(features, unit.slope)
    normalised = torch.addcmul(unit.shift, features, unit.scale)
    return functional.leaky_relu(normalised, unit.slope, inplace=True)


def _convolved(unit: FoldedUnit, activations: Tensor) -> Tensor:
    """Return the convolution without the outputs that only fill up, float32."""
    if unit.weight.dtype == unit.bias.dtype:
        return functional.conv3d(activations, unit.weight, unit.bias).narrow(1, 0, unit.outputs)
    mixed = functional.conv3d(activations.to(unit.weight.dtype), unit.weight)
    bias = unit.bias[: unit.outputs].view(1, -1, 1, 1, 1)
    return mixed.narrow(1, 0, unit.outputs).to(bias.dtype).add_(bias)


class _StreamedUnit:
    """A unit that remembers the last two planes."""

    def __init__(self, unit: FoldedUnit, step: int) -> None:
        self._unit = unit
        self._step = step
        self._activations: Tensor | None = None
        self._held = 0
        self._last_input: Tensor | None = None

    def push(self, features: Tensor) -> Tensor | None:
        """Return the planes that have become computable, if any."""
        window = self._append(features)
        mixed = None
        if window.shape[2] > _CONTEXT:
            mixed = _convolved(self._unit, window)
            if self._unit.shortcut is not None:
                self._add_shortcut(mixed, features)
        self._keep(window, features)
        return mixed

    def _append(self, features: Tensor) -> Tensor:
        """Return the activations of held and new planes, one after the other."""
        unit, planes = self._unit, features.shape[2]
        if self._activations is None:
            _, channels, _, rows, columns = features.shape
            self._activations = torch.empty(
                (1, channels, self._step + _CONTEXT, rows, columns),
                dtype=unit.weight.dtype,
                device=features.device,
            ).contiguous(memory_format=torch.channels_last_3d)
        target = self._activations.narrow(2, self._held, planes)
        if target.dtype != features.dtype:
            # Mixed types in one operation are several times slower than a copy.
            target.copy_(activated(unit, features))
        elif unit.scale is None or unit.shift is None:
            functional.leaky_relu(target.copy_(features), unit.slope, inplace=True)
        else:
            torch.addcmul(unit.shift, features, unit.scale, out=target)
            functional.leaky_relu(target, unit.slope, inplace=True)
        return self._activations.narrow(2, 0, self._held + planes)

    def _add_shortcut(self, mixed: Tensor, features: Tensor) -> None:
        """Add the input's planes of which `mixed` are the outputs: all but first and last."""
        assert self._unit.shortcut is not None  # noqa: S101  the caller has looked
        last = self._last_input
        inputs = [features[:, :, 1:-1]] if last is None else [last[:, :, 1:], features[:, :, :-1]]
        start = 0
        for part in inputs:
            target = mixed.narrow(2, start, part.shape[2])
            target.addcmul_(part[:, :, :, 1:-1, 1:-1], self._unit.shortcut)
            start += part.shape[2]

    def _keep(self, window: Tensor, features: Tensor) -> None:
        assert self._activations is not None  # noqa: S101  made by _append
        total = window.shape[2]
        held = min(total, _CONTEXT)
        if total > held:
            last = window.narrow(2, total - held, held)
            if total < 2 * held:  # source and target overlap
                last = last.clone()
            self._activations.narrow(2, 0, held).copy_(last)
        self._held = held
        if self._unit.shortcut is not None:
            inputs = features
            if self._last_input is not None and features.shape[2] < held:
                inputs = torch.cat([self._last_input, features], dim=2)
            self._last_input = inputs.narrow(2, inputs.shape[2] - held, held).clone()
