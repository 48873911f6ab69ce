"""How a network is run: on what, with which overlap, and over which mirrored copies."""

from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True, kw_only=True)
class InferenceOptions:
    """What a user may choose about inference; nothing here belongs to the weights.

    Attributes
    ----------
    device : torch.device
        Where the network runs.
    step : float
        Distance between tiles as a share of their size, in (0, 1].
    mirror_axes : tuple of int
        Axes over which mirrored copies are averaged in: 0 = z, 1 = y, 2 = x (left and right).
    compiled : bool
        Whether the network goes through ``torch.compile``.
    """

    device: torch.device
    step: float = 0.5
    mirror_axes: tuple[int, ...] = ()
    compiled: bool = False
