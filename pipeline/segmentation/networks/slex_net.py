"""SLEX-Net: a slice-wise U-Net that lets neighbouring slices vote on the slice between them.

A backbone segments every slice. The Slice Expansion Module (SEM), a second U-Net, maps the
backbone's opinion on a neighbour onto the target slice: once from the slice before it (forward
path), once from the slice after it (backward path). Where both paths agree, they weigh in most.
Their spread with the backbone gives an uncertainty without a second pass [1]_.

The published code runs the backbone three times for every target slice. Here a stack's slices
pass it once and serve their neighbours as well: three U-Net passes a slice instead of five.

.. [1] X. Li et al., "Hematoma Expansion Context Guided Intracranial Hemorrhage Segmentation and
   Uncertainty Estimation", IEEE J. Biomed. Health Inform. 26(3), 1140-1151 (2022).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.errors import ModelBundleError
from pipeline.segmentation.networks.upstream import load_upstream

#: Names under which the published twin classes store the expansion module.
_UPSTREAM_EXPANSION = ("SMM.", "SEM.")

#: Slices that pass a U-Net together outside training; more cost memory and bring no speed.
_SLICES_AT_ONCE = 4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SlexOutput:
    """Everything that the network says of target slices, as logits (N, 2, Y, X).

    Attributes
    ----------
    final : Tensor
        The weighted opinion, the one that counts.
    forward_path, backward_path : Tensor
        Opinion mapped from the slice before and from the slice after the target.
    backbone : Tensor
        The backbone's own opinion on the target.
    """

    final: Tensor
    forward_path: Tensor
    backward_path: Tensor
    backbone: Tensor


class SlexNet(nn.Module):
    """Backbone and Slice Expansion Module.

    Parameters
    ----------
    width : int
        Channels of the finest level; 64 as published (26.79 M parameters).
    consistency_weight : float
        Weight of each path where both agree, lambda in the paper; 0.2 as published.
    as_released_uncertainty : bool
        Take the foreground's term -m ln m alone, as the published code does, instead of the
        entropy -m ln m - (1 - m) ln(1 - m). That term peaks at m = 0.37 and calls a voxel
        with m = 0.9 more doubtful than one with m = 0.02.

    Raises
    ------
    ValueError
        If the width is not positive or the weight lies outside [0, 0.5].
    """

    def __init__(
        self,
        *,
        width: int = 64,
        consistency_weight: float = 0.2,
        as_released_uncertainty: bool = False,
    ) -> None:
        super().__init__()
        if width < 1:
            raise ValueError(f"The width must be positive, got {width}")
        if not 0 <= consistency_weight <= 0.5:  # noqa: PLR2004  beyond it the backbone's turns negative
            raise ValueError(f"consistency_weight lies in [0, 0.5], got {consistency_weight}")
        self.consistency_weight = consistency_weight
        self.as_released_uncertainty = as_released_uncertainty
        self.backbone = _SliceUNet(1, width)
        # Neighbour, target and the backbone's foreground logit of the neighbour.
        self.expansion = _SliceUNet(3, width)

    def forward(self, stack: Tensor) -> Tensor:
        """Return class logits (N, 2, Z, Y, X) of stacks (N, 1, Z, Y, X); every slice counts."""
        return self.segment_stack(stack)[0]

    def segment_stack(self, stack: Tensor) -> tuple[Tensor, Tensor]:
        """Return class logits and uncertainty of stacks of slices in one pass.

        Parameters
        ----------
        stack : Tensor
            Normalised slices (N, 1, Z, Y, X), inferior to superior. The end slices stand in
            for their missing neighbours. Y and X are at least 16.

        Returns
        -------
        logits : Tensor
            (N, 2, Z, Y, X), background and hematoma.
        entropy : Tensor
            (N, Z, Y, X) in nats; see `uncertainty`.
        """
        samples, _, depth, height, width = stack.shape
        slices = stack.reshape(samples * depth, 1, height, width)
        opinions = self._in_turn(self.backbone, slices)
        before, after = _neighbours(samples, depth, device=stack.device)
        output = self._weigh(
            backbone=opinions,
            forward_path=self._expand(slices, opinions, before),
            backward_path=self._expand(slices, opinions, after),
        )
        logits = output.final.reshape(samples, depth, 2, height, width).transpose(1, 2)
        return logits, self.uncertainty(output).reshape(samples, depth, height, width)

    def segment_triplets(self, triplets: Tensor) -> SlexOutput:
        """Return everything said of the middle slices of triplets (N, 3, Y, X).

        The way the network is trained: as in the published code each slice position passes
        the backbone by itself, which shows in the statistics of batch normalisation.
        """
        before, target, after = triplets.chunk(3, dim=1)
        opinion_before, opinion, opinion_after = map(self.backbone, (before, target, after))
        return self._weigh(
            backbone=opinion,
            backward_path=self.expansion(_sem_input(after, target, opinion_after)),
            forward_path=self.expansion(_sem_input(before, target, opinion_before)),
        )

    def uncertainty(self, output: SlexOutput) -> Tensor:
        """Return the doubt on target slices in nats, (N, Y, X).

        The entropy of the mean foreground probability of both paths and the backbone: it is
        high where one of them is undecided and where they contradict one another.
        """
        opinions = (output.forward_path, output.backward_path, output.backbone)
        mean = torch.stack([torch.softmax(logits, dim=1)[:, 1] for logits in opinions]).mean(0)
        if self.as_released_uncertainty:
            return -torch.xlogy(mean, mean)
        return -torch.xlogy(mean, mean) - torch.xlogy(1 - mean, 1 - mean)

    def _expand(self, slices: Tensor, opinions: Tensor, neighbour: Tensor) -> Tensor:
        """Return what a neighbour of every slice says of it."""
        return self._in_turn(
            self.expansion, _sem_input(slices[neighbour], slices, opinions[neighbour])
        )

    def _in_turn(self, network: nn.Module, slices: Tensor) -> Tensor:
        """Return a U-Net's logits, a few slices at a time unless they are normalised together."""
        step = len(slices) if self.training else _SLICES_AT_ONCE
        parts = [network(slices[first : first + step]) for first in range(0, len(slices), step)]
        # The paths are weighed in the input's precision, whatever the U-Nets compute in.
        return torch.cat(parts).to(slices.dtype)

    def _weigh(
        self, *, backbone: Tensor, forward_path: Tensor, backward_path: Tensor
    ) -> SlexOutput:
        agreement = torch.exp(-((forward_path - backward_path) ** 2))
        weight = self.consistency_weight * agreement
        return SlexOutput(
            final=backbone * (1 - 2 * weight) + weight * (forward_path + backward_path),
            forward_path=forward_path,
            backward_path=backward_path,
            backbone=backbone,
        )


def load_upstream_slex(network: SlexNet, state: Mapping[str, Tensor]) -> None:
    """Load a checkpoint of the published code, whichever twin class wrote it.

    Raises
    ------
    ModelBundleError
        If a key is unknown or missing, a shape differs, or both names of the expansion module
        occur.
    """
    present = [name for name in _UPSTREAM_EXPANSION if any(key.startswith(name) for key in state)]
    if len(present) > 1:
        raise ModelBundleError(f"Checkpoint holds the expansion module twice, {present}")
    load_upstream(network, state, rename=_own_name)


def _own_name(key: str) -> str:
    for prefix in _UPSTREAM_EXPANSION:
        if key.startswith(prefix):
            return "expansion." + key.removeprefix(prefix)
    return key


def _neighbours(samples: int, depth: int, *, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return for each of N * Z slices the index of the one before and of the one after it."""
    place = torch.arange(depth, device=device)
    first = depth * torch.arange(samples, device=device)[:, None]
    before, after = (place - 1).clamp_min(0), (place + 1).clamp_max(depth - 1)
    return (first + before).flatten(), (first + after).flatten()


def _sem_input(neighbour: Tensor, target: Tensor, opinion: Tensor) -> Tensor:
    return torch.cat([neighbour, target, opinion[:, 1:2]], dim=1)


class _SliceUNet(nn.Module):
    """Plain 2D U-Net from (N, C, Y, X) to two class logits; module names as published."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.inc = _DoubleConv(channels, width)
        self.down1 = _Down(width, 2 * width)
        self.down2 = _Down(2 * width, 4 * width)
        self.down3 = _Down(4 * width, 8 * width)
        self.down4 = _Down(8 * width, 8 * width)
        self.up1 = _Up(16 * width, 4 * width)
        self.up2 = _Up(8 * width, 2 * width)
        self.up3 = _Up(4 * width, width)
        self.up4 = _Up(2 * width, width)
        self.outc = _Exit(width, 2)
        self.apply(_initialise)

    def forward(self, image: Tensor) -> Tensor:
        skips = [self.inc(image)]
        for down in (self.down1, self.down2, self.down3, self.down4):
            skips.append(down(skips[-1]))
        current = skips.pop()
        for up in (self.up1, self.up2, self.up3, self.up4):
            current = up(current, skips.pop())
        result: Tensor = self.outc(current)
        return result


class _DoubleConv(nn.Module):
    """Two convolutions with batch normalisation."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for source in (inputs, outputs):
            layers += [
                nn.Conv2d(source, outputs, 3, padding=1),
                nn.BatchNorm2d(outputs),
                nn.ReLU(inplace=True),
            ]
        self.double_conv = nn.Sequential(*layers)

    def forward(self, image: Tensor) -> Tensor:
        result: Tensor = self.double_conv(image)
        return result


class _Down(nn.Module):
    """Half the resolution."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.maxpool_conv = nn.Sequential(nn.MaxPool2d(2), _DoubleConv(inputs, outputs))

    def forward(self, image: Tensor) -> Tensor:
        result: Tensor = self.maxpool_conv(image)
        return result


class _Up(nn.Module):
    """Twice the resolution, merged with the skip."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = _DoubleConv(inputs, outputs)

    def forward(self, deep: Tensor, skip: Tensor) -> Tensor:
        raised = functional.interpolate(deep, scale_factor=2, mode="bilinear", align_corners=True)
        rows, columns = skip.shape[2] - raised.shape[2], skip.shape[3] - raised.shape[3]
        # Pooling drops an odd last row or column; zeros make up for it.
        padding = (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2)
        merged = torch.cat([skip, functional.pad(raised, padding)], dim=1)
        result: Tensor = self.conv(merged)
        return result


class _Exit(nn.Module):
    """Class logits of every pixel."""

    def __init__(self, inputs: int, classes: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, classes, 1)

    def forward(self, image: Tensor) -> Tensor:
        result: Tensor = self.conv(image)
        return result


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
