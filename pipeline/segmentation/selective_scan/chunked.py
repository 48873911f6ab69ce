"""The scan over chunks of tokens: what backends share, with its gradient.

Forward keeps the operands and one state per chunk; backward computes a chunk's states again.
Working memory is that of one chunk, however long the sequence is.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from pipeline.segmentation.selective_scan.sweeps import Chunk, Sweeps


class ChunkedScan(torch.autograd.Function):
    """The scan with a softplus before it and skip and gate behind it, chunk by chunk.

    Called as ``ChunkedScan.apply(sweeps, x, dt, a, b, c, d, z, dt_bias)``; the last three may
    be None. Operands of any floating type are computed with in float32, float64 in float64.
    """

    @staticmethod
    def forward(ctx: Any, sweeps: Sweeps, *operands: Tensor | None) -> Tensor:  # noqa: ANN401  PyTorch's own
        """Return the output (batch, channels, tokens) in the computing precision."""
        of = _Operands(*operands)
        output = torch.empty_like(of.x, dtype=of.dtype, memory_format=torch.contiguous_format)
        state = of.x.new_zeros(of.x.shape[0], *of.a.shape, dtype=of.dtype)
        starts = []
        for tokens in of.chunks(sweeps):
            starts.append(state)
            chunk, _ = of.chunk(tokens)
            values, state = sweeps.forward(chunk, state)
            values = of.with_skip(values, chunk.x)
            gate = of.gate(tokens)
            output[..., tokens] = values if gate is None else values * functional.silu(gate)
        ctx.sweeps = sweeps
        ctx.starts = starts
        ctx.save_for_backward(*operands)
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_output: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401  PyTorch's own
        """Return the gradients of the operands, None for those not given."""
        saved = ctx.saved_tensors  # asked for once: checkpointing gives them out once
        of = _Operands(*saved)
        grads = _Operands(*(_zeros(v, of.dtype) for v in saved))
        d_state = torch.zeros_like(ctx.starts[0])
        for tokens, start in zip(
            reversed(list(of.chunks(ctx.sweeps))), reversed(ctx.starts), strict=True
        ):
            d_state = _chunk_backward(
                ctx.sweeps, of, grads, tokens, start, d_output[..., tokens].to(of.dtype), d_state
            )
        return (None, *grads.all)


def _zeros(operand: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    """Return room for a gradient; what is summed over tokens is summed in full precision."""
    if operand is None:
        return None
    per_token = operand.ndim == 3  # noqa: PLR2004  (batch, rows, tokens)
    return torch.zeros_like(operand, dtype=operand.dtype if per_token else dtype)


def _chunk_backward(
    sweeps: Sweeps,
    of: "_Operands",
    grads: "_Operands",
    tokens: slice,
    start: Tensor,
    d_output: Tensor,
    d_end: Tensor,
) -> Tensor:
    """Write a chunk's gradients; return that of the state before it."""
    chunk, steepness = of.chunk(tokens)
    gate = of.gate(tokens)
    dy = d_output if gate is None else d_output * functional.silu(gate)
    found = sweeps.backward(chunk, start, dy, d_end)
    grads.x[..., tokens] = found.x if of.d is None else found.x + of.d.to(of.dtype)[:, None] * dy
    d_step = found.dt * steepness
    grads.dt[..., tokens] = d_step
    grads.b[..., tokens] = found.b
    grads.c[..., tokens] = found.c
    grads.a.add_(found.a)
    if grads.d is not None:
        grads.d.add_((dy * chunk.x).sum((0, 2)))
    if grads.dt_bias is not None:
        grads.dt_bias.add_(d_step.sum((0, 2)))
    if grads.z is not None and gate is not None:
        bent = torch.sigmoid(gate)
        slope = bent * (1 + gate * (1 - bent))
        grads.z[..., tokens] = d_output * of.with_skip(found.y, chunk.x) * slope
    return found.start


class _Operands:
    """The eight operands, cut into chunks."""

    def __init__(self, *operands: Tensor | None) -> None:
        self.all = operands
        x, dt, a, b, c, self.d, self.z, self.dt_bias = operands
        assert x is not None  # noqa: S101  the scan's caller gives these five
        assert dt is not None  # noqa: S101
        assert a is not None  # noqa: S101
        assert b is not None  # noqa: S101
        assert c is not None  # noqa: S101
        self.x, self.dt, self.a, self.b, self.c = x, dt, a, b, c
        self.dtype = torch.promote_types(x.dtype, torch.float32)

    def chunks(self, sweeps: Sweeps) -> Iterator[slice]:
        """Yield the tokens of each chunk."""
        batch, channels, length = self.x.shape
        size = sweeps.chunk_tokens(batch, channels, self.a.shape[1])
        for first in range(0, length, size):
            yield slice(first, min(first + size, length))

    def chunk(self, tokens: slice) -> tuple[Chunk, Tensor]:
        """Return the chunk in the computing precision, and the softplus's slope."""
        raw = self.dt[..., tokens].to(self.dtype)
        if self.dt_bias is not None:
            raw = raw + self.dt_bias.to(self.dtype)[:, None]
        chunk = Chunk(
            x=self.x[..., tokens].to(self.dtype),
            dt=functional.softplus(raw),
            a=self.a.to(self.dtype),
            b=self.b[..., tokens].to(self.dtype),
            c=self.c[..., tokens].to(self.dtype),
        )
        return chunk, torch.sigmoid(raw)

    def gate(self, tokens: slice) -> Tensor | None:
        """Return the gate's input for some tokens."""
        return None if self.z is None else self.z[..., tokens].to(self.dtype)

    def with_skip(self, y: Tensor, x: Tensor) -> Tensor:
        """Return the output of the recurrence plus the skip."""
        return y if self.d is None else y + self.d.to(self.dtype)[:, None] * x
