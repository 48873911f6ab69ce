"""What a backend computes for one chunk of tokens."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Chunk:
    """Consecutive tokens of a batch of sequences, in the computing precision.

    Attributes
    ----------
    x, dt : Tensor
        (batch, channels, tokens); `dt` is the positive step.
    a : Tensor
        (channels, states), not positive.
    b, c : Tensor
        (batch, states, tokens).
    """

    x: Tensor
    dt: Tensor
    a: Tensor
    b: Tensor
    c: Tensor


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ChunkGradients:
    """The output of a chunk once more, and the gradients of a loss.

    Attributes
    ----------
    y : Tensor
        (batch, channels, tokens), recomputed output of the recurrence.
    x, dt, a, b, c : Tensor
        Gradients, shaped like the operands of the chunk.
    start : Tensor
        (batch, channels, states), gradient of the state before the chunk.
    """

    y: Tensor
    x: Tensor
    dt: Tensor
    a: Tensor
    b: Tensor
    c: Tensor
    start: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweeps:
    """How one backend runs over a chunk.

    Attributes
    ----------
    chunk_tokens : callable
        From (batch, channels, states) to the tokens that it takes at a time.
    forward : callable
        From a chunk and the state before it, (batch, channels, states), to the output
        (batch, channels, tokens) and the state after it.
    backward : callable
        From a chunk, the state before it, the gradient of the output and the gradient of the
        state after it to the gradients.
    """

    chunk_tokens: Callable[[int, int, int], int]
    forward: Callable[[Chunk, Tensor], tuple[Tensor, Tensor]]
    backward: Callable[[Chunk, Tensor, Tensor, Tensor], ChunkGradients]
