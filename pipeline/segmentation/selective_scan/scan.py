"""The selective scan of Mamba-1, computed by whatever the machine has for it.

Gu and Dao, "Mamba: Linear-Time Sequence Modeling with Selective State Spaces", 2023, algorithm 2
and section 3.3.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from pipeline.segmentation.selective_scan.backends import Backend, choose_backend, why_unusable
from pipeline.segmentation.selective_scan.chunked import ChunkedScan
from pipeline.segmentation.selective_scan.reference import reference_scan
from pipeline.segmentation.selective_scan.torch_sweeps import TORCH_SWEEPS


def selective_scan(  # noqa: PLR0913  the operands of the recurrence
    x: Tensor,
    dt: Tensor,
    *,
    a: Tensor,
    b: Tensor,
    c: Tensor,
    d: Tensor | None = None,
    z: Tensor | None = None,
    dt_bias: Tensor | None = None,
    backend: Backend = "auto",
) -> Tensor:
    """Return the selective state-space scan of sequences.

    With s = softplus(dt + dt_bias), per token: h <- exp(s a) h + s b x, y = c h + d x, and the
    output is y silu(z). All of it is computed in float32 (float64 where `x` is), whatever
    autocast says. Derivatives of first order are supported.

    Parameters
    ----------
    x, dt : Tensor
        (batch, channels, tokens), any floating type; `dt` before bias and softplus.
    a : Tensor
        (channels, states), not positive: the decay.
    b, c : Tensor
        (batch, states, tokens): what enters the state and what is read from it.
    d : Tensor, optional
        (channels,): the skip.
    z : Tensor, optional
        (batch, channels, tokens): the gate, before its silu.
    dt_bias : Tensor, optional
        (channels,).
    backend : str
        "reference" (a plain loop, for checking), "chunked" (PyTorch, any device; memory beyond
        the operands does not grow with the number of tokens), "triton" (CUDA, or a processor
        under Triton's interpreter), "mamba_ssm" (the authors' CUDA kernel, float32 at most), or
        "auto": on CUDA the authors' kernel if installed, else Triton, else chunked; chunked
        elsewhere.

    Returns
    -------
    Tensor
        (batch, channels, tokens), float32 or float64.

    Raises
    ------
    ValueError
        If shapes do not fit, or the backend cannot run here.
    """
    _check_shapes(x, dt, a, b, c)
    chosen = choose_backend(x.device) if backend == "auto" else backend
    reason = why_unusable(chosen, x.device)
    if reason:
        raise ValueError(f"Backend {chosen!r} of the selective scan cannot run: {reason}")
    with torch.autocast(x.device.type, enabled=False):
        return _SCANS[chosen](x, dt, a, b, c, d, z, dt_bias)


def _check_shapes(x: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor) -> None:
    if x.ndim != 3 or a.ndim != 2 or 0 in x.shape:  # noqa: PLR2004  as documented
        raise ValueError(
            f"x must be (batch, channels, tokens) and a (channels, states), "
            f"got {tuple(x.shape)} and {tuple(a.shape)}"
        )
    batch, channels, tokens = x.shape
    states = a.shape[1]
    wanted = {
        "dt": (dt, (batch, channels, tokens)),
        "a": (a, (channels, states)),
        "b": (b, (batch, states, tokens)),
        "c": (c, (batch, states, tokens)),
    }
    for name, (value, shape) in wanted.items():
        if tuple(value.shape) != shape:
            raise ValueError(f"{name} must have shape {shape}, got {tuple(value.shape)}")


def _chunked(*operands: Tensor | None) -> Tensor:
    output: Tensor = ChunkedScan.apply(TORCH_SWEEPS, *operands)
    return output


def _triton(*operands: Tensor | None) -> Tensor:
    from pipeline.segmentation.selective_scan.triton_sweeps import TRITON_SWEEPS

    output: Tensor = ChunkedScan.apply(TRITON_SWEEPS, *operands)
    return output


def _mamba_ssm(
    x: Tensor,
    dt: Tensor,
    a: Tensor,
    b: Tensor,
    c: Tensor,
    *rest: Tensor | None,
) -> Tensor:
    from mamba_ssm.ops.selective_scan_interface import (  # type: ignore[import-not-found] # optional, ships no types
        selective_scan_fn,
    )

    d, z, dt_bias = (None if value is None else value.float() for value in rest)
    output: Tensor = selective_scan_fn(
        x.float(),
        dt.float(),
        a.float(),
        b.float(),
        c.float(),
        d,
        z=z,
        delta_bias=dt_bias,
        delta_softplus=True,
    )
    return output


#: Every backend by its name.
_SCANS: dict[str, Callable[..., Tensor]] = {
    "reference": reference_scan,
    "chunked": _chunked,
    "triton": _triton,
    "mamba_ssm": _mamba_ssm,
}
