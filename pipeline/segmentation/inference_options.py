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
    whole_field : bool
        Whether tiles are laid over the whole field of view, as nnU-Net lays them, rather than
        over the head's box. Either way tiles that hold nothing of the head are skipped.
    bfloat16 : bool or None
        Whether the network computes in bfloat16; None where that is faster on the device.
        Results are always summed in float32.
    batch : int or None
        Tiles and mirrored copies per pass; None for as many as the memory at hand allows.
    """

    device: torch.device
    step: float = 0.5
    mirror_axes: tuple[int, ...] = ()
    compiled: bool = False
    whole_field: bool = False
    bfloat16: bool | None = None
    batch: int | None = None

    @property
    def computes_bfloat16(self) -> bool:
        """Whether the network computes in bfloat16 on the device."""
        if self.bfloat16 is not None:
            return self.bfloat16
        if self.device.type == "cuda":
            return bool(torch.cuda.is_bf16_supported(including_emulation=False))
        # Other processors emulate bfloat16, several times slower than float32.
        return bool(torch.cpu._is_avx512_bf16_supported())  # noqa: SLF001  there is no public name
