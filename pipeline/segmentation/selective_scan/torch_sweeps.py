"""The chunk in plain PyTorch: its segments side by side, each token by token.

A chunk is cut into segments of equal length. A first sweep runs all of them at once from an
empty state and yields what each adds to the state; these are carried from segment to segment;
a second sweep starts every segment with its right state. Decays are only ever multiplied, never
divided by, hence nothing is lost when they vanish.

The layout inside is (step, state, channel, batch, segment), so that every operation runs over
contiguous memory of the size of a processor's cache.
"""

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import functional

from pipeline.segmentation.selective_scan.sweeps import Chunk, ChunkGradients, Sweeps

#: Steps of a segment. Measured on one core of an EPYC 9004 (64 channels, 16 states): 32 to 64
#: with 2**15 values per operation are the fastest, beyond them the buffers leave the cache.
_STEPS = 32

#: Values that one operation treats, per thread: operations are then longer than their start.
_VALUES_PER_THREAD = 2**15


def chunk_tokens(batch: int, channels: int, states: int) -> int:
    """Return how many tokens are worked on at a time."""
    wanted = _VALUES_PER_THREAD * torch.get_num_threads()
    return _STEPS * max(1, wanted // (batch * channels * states))


def sweep_forward(chunk: Chunk, start: Tensor) -> tuple[Tensor, Tensor]:
    """Return the output (batch, channels, tokens) and the state after the chunk."""
    operands = _arranged(chunk)
    decay, states = _decay(operands), _drive(operands)
    decays = decay.unbind(0)
    _, end = _fill(states, decays, _lead(operands), _inner(start))
    outputs = torch.empty_like(operands.x)
    product = torch.empty_like(states[0])
    for state, read, output in zip(states.unbind(0), operands.c, outputs, strict=True):
        torch.sum(torch.mul(state, read, out=product), 0, out=output)
    return _outer(outputs, chunk.x.shape[-1]), _outer_state(end)


def sweep_backward(chunk: Chunk, start: Tensor, dy: Tensor, d_end: Tensor) -> ChunkGradients:
    """Return the gradients of the operands and of the state before the chunk."""
    operands = _arranged(chunk)
    decay, states = _decay(operands), _drive(operands)
    decays = decay.unbind(0)
    lead = _lead(operands)
    starts, _ = _fill(states, decays, lead, _inner(start))
    d_out = _segments(dy)
    slopes = torch.mul(operands.c, d_out[:, None])
    d_start = _fill_backwards(slopes, decays, lead, _inner(d_end))
    tokens = chunk.x.shape[-1]
    sums = _Sums(operands)
    before = [starts, *states.unbind(0)[:-1]]
    for step, (state, previous) in enumerate(zip(states.unbind(0), before, strict=True)):
        sums.add(step, state, previous, slopes[step], decays[step], d_out[step])
    return ChunkGradients(
        y=_outer(sums.y, tokens),
        x=_outer(sums.dx, tokens),
        dt=_outer(sums.ddt, tokens),
        a=sums.da.sum((2, 3)).t(),
        b=_outer(sums.db, tokens),
        c=_outer(sums.dc, tokens),
        start=_outer_state(d_start),
    )


TORCH_SWEEPS = Sweeps(chunk_tokens=chunk_tokens, forward=sweep_forward, backward=sweep_backward)


class _Sums:
    """The gradients of a chunk, gathered step by step."""

    def __init__(self, operands: Chunk) -> None:
        self.operands = operands
        self.driven = operands.dt * operands.x
        self.y, self.dx, self.ddt = (torch.empty_like(operands.x) for _ in range(3))
        self.db, self.dc = (operands.b.new_empty(operands.b[:, :, 0].shape) for _ in range(2))
        self.da = operands.x.new_zeros(len(operands.a), *operands.x.shape[1:])
        self.product = torch.empty_like(self.da)

    def add(
        self,
        step: int,
        state: Tensor,
        previous: Tensor,
        slope: Tensor,
        decay: Tensor,
        d_out: Tensor,
    ) -> None:
        """Add what one step contributes; `slope` is the gradient of the state after it."""
        of, product = self.operands, self.product
        torch.sum(torch.mul(state, of.c[step], out=product), 0, out=self.y[step])
        torch.sum(torch.mul(state, d_out, out=product), 1, out=self.dc[step])
        torch.sum(torch.mul(slope, self.driven[step], out=product), 1, out=self.db[step])
        d_driven = torch.mul(slope, of.b[step], out=product).sum(0)
        # The exponent dt * a reaches the state through decay * previous.
        exponent = torch.mul(slope, decay, out=product).mul_(previous)
        self.da.addcmul_(exponent, of.dt[step])
        torch.sum(exponent.mul_(of.a), 0, out=self.ddt[step])
        self.ddt[step].addcmul_(d_driven, of.x[step])
        torch.mul(d_driven, of.dt[step], out=self.dx[step])


def _arranged(chunk: Chunk) -> Chunk:
    """Return the operands as (step, [state,] channel, batch, segment); the tail is padded.

    A padding token has dt = 0: it neither decays the state nor adds to it.
    """
    return Chunk(
        x=_segments(chunk.x),
        dt=_segments(chunk.dt),
        a=chunk.a.t()[:, :, None, None].contiguous(),
        b=_segments(chunk.b)[:, :, None],
        c=_segments(chunk.c)[:, :, None],
    )


def _segments(values: Tensor) -> Tensor:
    """Return (batch, rows, tokens) as (step, row, batch, segment)."""
    batch, rows, tokens = values.shape
    count = -(-tokens // _STEPS)
    padded = functional.pad(values, (0, count * _STEPS - tokens))
    return padded.reshape(batch, rows, count, _STEPS).permute(3, 1, 0, 2).contiguous()


def _outer(values: Tensor, tokens: int) -> Tensor:
    """Return (step, row, batch, segment) as (batch, row, token), padding cut off."""
    return values.permute(2, 1, 3, 0).flatten(2)[..., :tokens]


def _inner(state: Tensor) -> Tensor:
    """Return a state (batch, channel, state) as (state, channel, batch)."""
    return state.permute(2, 1, 0)


def _outer_state(state: Tensor) -> Tensor:
    """Return a state (state, channel, batch) as (batch, channel, state)."""
    return state.permute(2, 1, 0).contiguous()


def _decay(operands: Chunk) -> Tensor:
    """Return exp(dt a), (step, state, channel, batch, segment)."""
    return torch.mul(operands.a, operands.dt[:, None]).exp_()


def _drive(operands: Chunk) -> Tensor:
    """Return dt b x, (step, state, channel, batch, segment)."""
    return torch.mul(operands.b, (operands.dt * operands.x)[:, None])


def _lead(operands: Chunk) -> Tensor:
    """Return how far a state decays over each segment, (state, channel, batch, segment)."""
    return torch.mul(operands.a, operands.dt.sum(0)).exp_()


def _fill(
    values: Tensor, decays: tuple[Tensor, ...], lead: Tensor, start: Tensor
) -> tuple[Tensor, Tensor]:
    """Turn the drive into the states, in place; return each segment's start and the last end."""
    parts = values.unbind(0)
    ends = parts[0].clone()
    for decay, part in zip(decays[1:], parts[1:], strict=True):
        torch.addcmul(part, decay, ends, out=ends)
    starts, end = _carry(ends.unbind(-1), lead.unbind(-1), start)
    begin = state = torch.stack(starts, -1)
    for decay, part in zip(decays, parts, strict=True):
        state = torch.addcmul(part, decay, state, out=part)
    return begin, end


def _fill_backwards(
    values: Tensor, decays: tuple[Tensor, ...], lead: Tensor, d_end: Tensor
) -> Tensor:
    """Turn the outputs' pull into the states' gradients, in place; return that of the start."""
    parts = values.unbind(0)
    ends = parts[-1].clone()
    for decay, part in zip(decays[:0:-1], parts[-2::-1], strict=True):
        torch.addcmul(part, decay, ends, out=ends)
    ends.mul_(decays[0])
    pulls, d_start = _carry(ends.unbind(-1)[::-1], lead.unbind(-1)[::-1], d_end)
    slope = parts[-1].add_(torch.stack(pulls[::-1], -1))
    for decay, part in zip(decays[:0:-1], parts[-2::-1], strict=True):
        slope = torch.addcmul(part, decay, slope, out=part)
    return d_start


def _carry(
    ends: Iterable[Tensor], leads: Iterable[Tensor], start: Tensor
) -> tuple[list[Tensor], Tensor]:
    """Return what each segment starts from, and what the last one leaves."""
    states = [start]
    for end, lead in zip(ends, leads, strict=True):
        states.append(torch.addcmul(end, lead, states[-1]))
    last = states.pop()
    return states, last
