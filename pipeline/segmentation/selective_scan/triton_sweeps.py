"""The chunk on a CUDA device by Triton kernels."""

import torch
import triton  # type: ignore[import-untyped] # ships no types
from torch import Tensor

from pipeline.segmentation.selective_scan import triton_kernels
from pipeline.segmentation.selective_scan.sweeps import Chunk, ChunkGradients, Sweeps

#: Tokens that a program walks through. Short segments give many programs; the state that each
#: leaves is then 1/64 of the memory of all states.
_LENGTH = 64

#: States (channels x states) that a program holds. Its one warp then needs 137 registers a
#: thread for the gradients (compiled for sm_90; 512 states take 217 of 255).
_CELLS = 256
_WARPS = 1

#: States kept at a time for the backward pass; 2**25 float32 are 128 MiB.
_KEPT_STATES = 2**25


def chunk_tokens(batch: int, channels: int, states: int) -> int:
    """Return how many tokens are worked on at a time."""
    return _LENGTH * max(1, _KEPT_STATES // (batch * channels * states * _LENGTH))


def sweep_forward(chunk: Chunk, start: Tensor) -> tuple[Tensor, Tensor]:
    """Return the output (batch, channels, tokens) and the state after the chunk."""
    launch = _Launch(chunk)
    y, _, end = launch.forward(start, keep=False)
    return y.transpose(1, 2), end


def sweep_backward(chunk: Chunk, start: Tensor, dy: Tensor, d_end: Tensor) -> ChunkGradients:
    """Return the gradients of the operands and of the state before the chunk."""
    launch = _Launch(chunk)
    y, states, _ = launch.forward(start, keep=True)
    return launch.backward(y, states, _rows(dy), d_end)


TRITON_SWEEPS = Sweeps(chunk_tokens=chunk_tokens, forward=sweep_forward, backward=sweep_backward)


class _Launch:
    """The operands of a chunk as rows per token, and the grid that runs over them."""

    def __init__(self, chunk: Chunk) -> None:
        self.dt, self.x = _rows(chunk.dt), _rows(chunk.x)
        self.b, self.c = _rows(chunk.b), _rows(chunk.c)
        self.a = chunk.a.float().contiguous()
        self.batch, self.tokens, self.channels = self.x.shape
        self.states = self.a.shape[1]
        self.segments = -(-self.tokens // _LENGTH)
        block_states = triton.next_power_of_2(self.states)
        block_channels = min(triton.next_power_of_2(self.channels), max(1, _CELLS // block_states))
        self.blocks = -(-self.channels // block_channels)
        self.grid = (self.segments, self.blocks, self.batch)
        self.sizes = (self.tokens, self.channels, self.states)
        self.meta = {"BD": block_channels, "BN": block_states, "num_warps": _WARPS}

    def forward(self, start: Tensor, *, keep: bool) -> tuple[Tensor, Tensor, Tensor]:
        """Return outputs (batch, token, channel), states before each token, last state."""
        starts, leads = self._per_segment(), self._per_segment()
        triton_kernels.summarize[self.grid](
            self.dt,
            self.x,
            self.b,
            self.a,
            starts,
            leads,
            *self.sizes,
            LENGTH=_LENGTH,
            **self.meta,
        )
        end = self._carried(starts, leads, start, backwards=False)
        y = torch.empty_like(self.x)
        kept = (*self.x.shape, self.states) if keep else (1,)
        states = self.x.new_empty(kept)
        operands = (self.dt, self.x, self.b, self.c, self.a, starts, y, states)
        triton_kernels.read_out[self.grid](
            *operands, *self.sizes, LENGTH=_LENGTH, KEEP=keep, **self.meta
        )
        return y, states, end

    def backward(self, y: Tensor, states: Tensor, dy: Tensor, d_end: Tensor) -> ChunkGradients:
        """Return the gradients, from outputs and states of the forward sweep."""
        starts = self._per_segment()
        leads = torch.exp(_per_segment_sum(self.dt)[..., None] * self.a)
        triton_kernels.summarize_backwards[self.grid](
            self.dt, self.c, self.a, dy, starts, *self.sizes, LENGTH=_LENGTH, **self.meta
        )
        d_start = self._carried(starts, leads, d_end, backwards=True)
        d_dt, d_x, d_a = torch.empty_like(self.dt), torch.empty_like(self.x), self._per_segment()
        d_b, d_c = (self.b.new_empty(self.blocks, *self.b.shape) for _ in range(2))
        given = (self.dt, self.x, self.b, self.c, self.a, dy, states, starts)
        triton_kernels.gradients[self.grid](
            *given, d_dt, d_x, d_b, d_c, d_a, *self.sizes, LENGTH=_LENGTH, **self.meta
        )
        return ChunkGradients(
            y=y.transpose(1, 2),
            x=d_x.transpose(1, 2),
            dt=d_dt.transpose(1, 2),
            a=d_a.sum((0, 1)),
            b=d_b.sum(0).transpose(1, 2),
            c=d_c.sum(0).transpose(1, 2),
            start=d_start,
        )

    def _per_segment(self) -> Tensor:
        """Return room for one state per segment, (batch, segment, channel, state)."""
        return self.x.new_empty(self.batch, self.segments, self.channels, self.states)

    def _carried(self, starts: Tensor, leads: Tensor, start: Tensor, *, backwards: bool) -> Tensor:
        """Carry the state through the segments; return what the last one leaves."""
        start = start.float().contiguous()
        end = torch.empty_like(start)
        triton_kernels.carry[self.blocks, self.batch](
            starts,
            leads,
            start,
            end,
            self.segments,
            *self.sizes[1:],
            BACKWARDS=backwards,
            **self.meta,
        )
        return end


def _rows(values: Tensor) -> Tensor:
    """Return (batch, rows, tokens) as contiguous float32 (batch, token, row)."""
    return values.float().transpose(1, 2).contiguous()


def _per_segment_sum(dt: Tensor) -> Tensor:
    """Return the sum of steps of each segment, (batch, segment, channel)."""
    batch, tokens, channels = dt.shape
    padded = torch.nn.functional.pad(dt, (0, 0, 0, -tokens % _LENGTH))
    return padded.reshape(batch, -1, _LENGTH, channels).sum(2)
