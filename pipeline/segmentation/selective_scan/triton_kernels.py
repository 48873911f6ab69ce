"""Triton kernels of the scan: one program per segment of tokens and block of channels.

A program holds its state in registers and walks through its tokens. Segments run side by side
from an empty state first (`summarize`), their states are carried on (`carry`), then each runs
from its right start (`read_out`); likewise backwards. Tokens behind the end read as dt = 0,
which neither decays the state nor adds to it.

Memory is row-major float32: per token (batch, token, channel) or (batch, token, state), per
segment (batch, segment, channel, state). T is the number of tokens, D of channels, N of states;
BD and BN are the block's sizes.
"""

# A kernel is handed its memory piece by piece, and its constants are upper case as in Triton.
# ruff: noqa: N803, PLR0913, PLR0917
# Triton ships no types, so its decorator has none.
# mypy: disable-error-code="untyped-decorator"

from typing import TYPE_CHECKING

import triton  # type: ignore[import-untyped] # ships no types
import triton.language as tl  # type: ignore[import-untyped] # ships no types

if TYPE_CHECKING:
    # Triton reads annotations as part of a kernel: a name that it does not know must be quoted.
    from torch import Tensor


@triton.jit
def summarize(
    dt: "Tensor",
    x: "Tensor",
    b: "Tensor",
    a: "Tensor",
    ends: "Tensor",
    leads: "Tensor",
    T: int,
    D: int,
    N: int,
    LENGTH: tl.constexpr,
    BD: tl.constexpr,
    BN: tl.constexpr,
) -> None:
    """Write what each segment adds to an empty state, and how far it decays another."""
    segment, block, batch = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    channel, state = block * BD + tl.arange(0, BD), tl.arange(0, BN)
    has_channel, has_state = channel < D, state < N
    cell = channel[:, None] * N + state[None, :]
    has_cell = has_channel[:, None] & has_state[None, :]
    rate = tl.load(a + cell, mask=has_cell, other=0.0)
    h = tl.zeros((BD, BN), tl.float32)
    total = tl.zeros((BD,), tl.float32)
    for step in range(LENGTH):
        token = segment * LENGTH + step
        row = batch * T + token
        inside = token < T
        s = tl.load(dt + row * D + channel, mask=has_channel & inside, other=0.0)
        value = tl.load(x + row * D + channel, mask=has_channel & inside, other=0.0)
        write = tl.load(b + row * N + state, mask=has_state & inside, other=0.0)
        h = tl.exp(s[:, None] * rate) * h + (s * value)[:, None] * write[None, :]
        total += s
    place = (batch * tl.num_programs(0) + segment) * D * N + cell
    tl.store(ends + place, h, mask=has_cell)
    tl.store(leads + place, tl.exp(total[:, None] * rate), mask=has_cell)


@triton.jit
def carry(
    ends: "Tensor",
    leads: "Tensor",
    start: "Tensor",
    end: "Tensor",
    segments: int,
    D: int,
    N: int,
    BACKWARDS: tl.constexpr,
    BD: tl.constexpr,
    BN: tl.constexpr,
) -> None:
    """Replace what segments add by what each starts from; write what the last one leaves."""
    block, batch = tl.program_id(0), tl.program_id(1)
    channel, state = block * BD + tl.arange(0, BD), tl.arange(0, BN)
    cell = channel[:, None] * N + state[None, :]
    has_cell = (channel < D)[:, None] & (state < N)[None, :]
    h = tl.load(start + batch * D * N + cell, mask=has_cell, other=0.0)
    for step in range(segments):
        segment = segments - 1 - step if BACKWARDS else step
        place = (batch * segments + segment) * D * N + cell
        added = tl.load(ends + place, mask=has_cell, other=0.0)
        lead = tl.load(leads + place, mask=has_cell, other=0.0)
        tl.store(ends + place, h, mask=has_cell)
        h = lead * h + added
    tl.store(end + batch * D * N + cell, h, mask=has_cell)


@triton.jit
def read_out(
    dt: "Tensor",
    x: "Tensor",
    b: "Tensor",
    c: "Tensor",
    a: "Tensor",
    starts: "Tensor",
    y: "Tensor",
    states: "Tensor",
    T: int,
    D: int,
    N: int,
    LENGTH: tl.constexpr,
    KEEP: tl.constexpr,
    BD: tl.constexpr,
    BN: tl.constexpr,
) -> None:
    """Write the output; with KEEP also the state before each token."""
    segment, block, batch = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    channel, state = block * BD + tl.arange(0, BD), tl.arange(0, BN)
    has_channel, has_state = channel < D, state < N
    cell = channel[:, None] * N + state[None, :]
    has_cell = has_channel[:, None] & has_state[None, :]
    rate = tl.load(a + cell, mask=has_cell, other=0.0)
    place = (batch * tl.num_programs(0) + segment) * D * N + cell
    h = tl.load(starts + place, mask=has_cell, other=0.0)
    for step in range(LENGTH):
        token = segment * LENGTH + step
        row = batch * T + token
        inside = token < T
        s = tl.load(dt + row * D + channel, mask=has_channel & inside, other=0.0)
        value = tl.load(x + row * D + channel, mask=has_channel & inside, other=0.0)
        write = tl.load(b + row * N + state, mask=has_state & inside, other=0.0)
        read = tl.load(c + row * N + state, mask=has_state & inside, other=0.0)
        if KEEP:
            tl.store(states + row * D * N + cell, h, mask=has_cell & inside)
        h = tl.exp(s[:, None] * rate) * h + (s * value)[:, None] * write[None, :]
        out = tl.sum(h * read[None, :], axis=1)
        tl.store(y + row * D + channel, out, mask=has_channel & inside)


@triton.jit
def summarize_backwards(
    dt: "Tensor",
    c: "Tensor",
    a: "Tensor",
    dy: "Tensor",
    ends: "Tensor",
    T: int,
    D: int,
    N: int,
    LENGTH: tl.constexpr,
    BD: tl.constexpr,
    BN: tl.constexpr,
) -> None:
    """Write the gradient that each segment alone sends to the state before it."""
    segment, block, batch = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    channel, state = block * BD + tl.arange(0, BD), tl.arange(0, BN)
    has_channel, has_state = channel < D, state < N
    cell = channel[:, None] * N + state[None, :]
    has_cell = has_channel[:, None] & has_state[None, :]
    rate = tl.load(a + cell, mask=has_cell, other=0.0)
    slope = tl.zeros((BD, BN), tl.float32)
    for step in range(LENGTH):
        token = segment * LENGTH + LENGTH - 1 - step
        row = batch * T + token
        inside = token < T
        s = tl.load(dt + row * D + channel, mask=has_channel & inside, other=0.0)
        pull = tl.load(dy + row * D + channel, mask=has_channel & inside, other=0.0)
        read = tl.load(c + row * N + state, mask=has_state & inside, other=0.0)
        slope = tl.exp(s[:, None] * rate) * (slope + pull[:, None] * read[None, :])
    place = (batch * tl.num_programs(0) + segment) * D * N + cell
    tl.store(ends + place, slope, mask=has_cell)


@triton.jit
def gradients(
    dt: "Tensor",
    x: "Tensor",
    b: "Tensor",
    c: "Tensor",
    a: "Tensor",
    dy: "Tensor",
    states: "Tensor",
    starts: "Tensor",
    d_dt: "Tensor",
    d_x: "Tensor",
    d_b: "Tensor",
    d_c: "Tensor",
    d_a: "Tensor",
    T: int,
    D: int,
    N: int,
    LENGTH: tl.constexpr,
    BD: tl.constexpr,
    BN: tl.constexpr,
) -> None:
    """Write all gradients; those of b and c per block of channels, that of a per segment."""
    segment, block, batch = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    channel, state = block * BD + tl.arange(0, BD), tl.arange(0, BN)
    has_channel, has_state = channel < D, state < N
    cell = channel[:, None] * N + state[None, :]
    has_cell = has_channel[:, None] & has_state[None, :]
    rate = tl.load(a + cell, mask=has_cell, other=0.0)
    place = (batch * tl.num_programs(0) + segment) * D * N + cell
    slope = tl.load(starts + place, mask=has_cell, other=0.0)
    sum_a = tl.zeros((BD, BN), tl.float32)
    for step in range(LENGTH):
        token = segment * LENGTH + LENGTH - 1 - step
        row = batch * T + token
        inside = token < T
        s = tl.load(dt + row * D + channel, mask=has_channel & inside, other=0.0)
        value = tl.load(x + row * D + channel, mask=has_channel & inside, other=0.0)
        pull = tl.load(dy + row * D + channel, mask=has_channel & inside, other=0.0)
        write = tl.load(b + row * N + state, mask=has_state & inside, other=0.0)
        read = tl.load(c + row * N + state, mask=has_state & inside, other=0.0)
        before = tl.load(states + row * D * N + cell, mask=has_cell & inside, other=0.0)
        decay = tl.exp(s[:, None] * rate)
        h = decay * before + (s * value)[:, None] * write[None, :]
        slope += pull[:, None] * read[None, :]
        part = (tl.num_programs(2) * block + batch) * T + token
        sum_b = tl.sum(slope * (s * value)[:, None], axis=0)
        sum_c = tl.sum(h * pull[:, None], axis=0)
        tl.store(d_b + part * N + state, sum_b, mask=has_state & inside)
        tl.store(d_c + part * N + state, sum_c, mask=has_state & inside)
        driven = tl.sum(slope * write[None, :], axis=1)
        slope *= decay
        exponent = slope * before
        step_slope = tl.sum(exponent * rate, axis=1) + driven * value
        tl.store(d_dt + row * D + channel, step_slope, mask=has_channel & inside)
        tl.store(d_x + row * D + channel, driven * s, mask=has_channel & inside)
        sum_a += exponent * s[:, None]
    tl.store(d_a + place, sum_a, mask=has_cell)
