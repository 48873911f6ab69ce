"""The selective scan, token by token, as the paper writes it."""

import torch
from torch import Tensor
from torch.nn import functional


def reference_scan(
    x: Tensor,
    dt: Tensor,
    a: Tensor,
    b: Tensor,
    c: Tensor,
    d: Tensor | None,
    z: Tensor | None,
    dt_bias: Tensor | None,
) -> Tensor:
    """Return the output (batch, channels, tokens); autograd keeps every state.

    Operands as in :func:`pipeline.segmentation.selective_scan.scan.selective_scan`.
    """
    dtype = torch.promote_types(x.dtype, torch.float32)
    x, raw, a, b, c = (value.to(dtype) for value in (x, dt, a, b, c))
    if dt_bias is not None:
        raw = raw + dt_bias.to(dtype)[:, None]
    step = functional.softplus(raw)
    state = x.new_zeros(x.shape[0], *a.shape)
    outputs = []
    for token in range(x.shape[-1]):
        now = step[:, :, token, None]
        drive = now * x[:, :, token, None] * b[:, None, :, token]
        state = torch.exp(now * a) * state + drive
        outputs.append((state * c[:, None, :, token]).sum(-1))
    y = torch.stack(outputs, -1)
    if d is not None:
        y = y + d.to(dtype)[:, None] * x
    return y if z is None else y * functional.silu(z.to(dtype))
