"""How many tiles go through a network at once, by the memory at hand."""

import dataclasses
from collections.abc import Callable

import torch

from pipeline.segmentation.sliding_window import SlidingWindow, TiledLogits

#: Most tiles and mirrored copies in a pass; beyond it a GPU is full and nothing is won.
MOST = 32

#: Share of the free memory that a pass may take; fragmentation needs the rest.
_SHARE = 0.7


class WithinMemory:
    """The size of a pass, measured on CUDA and one on the CPU.

    On a CPU a single tile already keeps all cores busy, and with more of them the activations
    leave the caches: measured on two cores, a pass of four takes as long a tile as four passes
    of one, or longer, and four times the memory.

    Parameters
    ----------
    device : torch.device
        Where the network runs.
    batch : int or None
        Fixed size of a pass; None to measure.
    """

    def __init__(self, device: torch.device, batch: int | None) -> None:
        self._device = device
        self._batch = batch if device.type == "cuda" else batch or 1

    def run(
        self, window: SlidingWindow, predict: Callable[[SlidingWindow], TiledLogits]
    ) -> TiledLogits:
        """Return a prediction made with as large passes as fit.

        The first call on CUDA is made tile by tile, to see how much memory a tile takes. When
        memory runs out all the same the passes are halved and the prediction made again.

        Raises
        ------
        torch.OutOfMemoryError
            If not even a single tile fits.
        """
        if self._batch is None:
            return self._run_measured(window, predict)
        while True:
            try:
                return predict(dataclasses.replace(window, batch=self._batch))
            except torch.OutOfMemoryError:
                if self._batch == 1:
                    raise
            self._batch = max(self._batch // 2, 1)
            torch.cuda.empty_cache()

    def _run_measured(
        self, window: SlidingWindow, predict: Callable[[SlidingWindow], TiledLogits]
    ) -> TiledLogits:
        torch.cuda.reset_peak_memory_stats(self._device)
        before = torch.cuda.memory_allocated(self._device)
        result = predict(dataclasses.replace(window, batch=1))
        needed = torch.cuda.max_memory_allocated(self._device) - before
        torch.cuda.empty_cache()
        free, _ = torch.cuda.mem_get_info(self._device)
        self._batch = batch_for(free_bytes=free, bytes_per_tile=needed)
        return result


def batch_for(*, free_bytes: int, bytes_per_tile: int) -> int:
    """Return how many tiles fit into free memory: at least one, at most `MOST`."""
    return min(max(int(_SHARE * free_bytes / max(bytes_per_tile, 1)), 1), MOST)
