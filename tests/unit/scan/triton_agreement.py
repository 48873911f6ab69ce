"""A program that runs the Triton kernels on a processor: it prints how far they are off.

It must run in a process of its own, with TRITON_INTERPRET=1 from its start.
"""

import json

import torch

from pipeline.segmentation.selective_scan import triton_sweeps
from pipeline.segmentation.selective_scan.scan import selective_scan

#: Short segments and small blocks: several of each, and an incomplete one at the end.
triton_sweeps._LENGTH = 4
triton_sweeps._CELLS = 8
triton_sweeps._KEPT_STATES = 1


def main() -> None:
    draw = torch.Generator().manual_seed(5)
    batch, channels, states, tokens = 1, 3, 3, 7
    per_token, per_state = (batch, channels, tokens), (batch, states, tokens)
    shapes = {
        "x": per_token, "dt": per_token, "a": (channels, states), "b": per_state, "c": per_state,
        "d": (channels,), "z": per_token, "dt_bias": (channels,),
    }  # fmt: skip
    operands = {name: torch.randn(shape, generator=draw) for name, shape in shapes.items()}
    operands["a"] = -operands["a"].exp()
    for value in operands.values():
        value.requires_grad_()
    pull = torch.randn(per_token, generator=draw)
    found = {}
    for backend in ("reference", "triton"):
        y = selective_scan(**operands, backend=backend)
        gradients = torch.autograd.grad((y * pull).sum(), list(operands.values()))
        found[backend] = [y, *gradients]
    errors = {
        name: float((ours - theirs).abs().max())
        for name, ours, theirs in zip(
            ["y", *operands], found["triton"], found["reference"], strict=True
        )
    }
    print(json.dumps(errors))


if __name__ == "__main__":
    main()
