"""In which numbers a training computes."""

import torch

from training.segmentation.experiment import Precision

_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}


def training_type(precision: Precision, device: torch.device) -> torch.dtype:
    """Return the type that convolutions and matrix products of a training compute in.

    Left to itself, a training on CUDA computes in bfloat16, whose range is that of float32; in
    float16 U-Mamba's activations overflow. Everywhere else it computes in float32. On a CPU it
    must: the bfloat16 kernels of PyTorch 2.14 give wrong gradients of convolution weights (up to
    1e33, from memory never written to) for small inputs, such as a 3 x 3 x 3 convolution of two
    slices, and do not say so. What a network predicts is not affected.

    Raises
    ------
    ValueError
        If a CPU is asked for less than float32.
    """
    if precision == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    if device.type == "cpu" and precision != "fp32":
        raise ValueError(
            f"precision {precision!r} is for CUDA: on a CPU it gives wrong gradients where a "
            "network has few slices left; use 'auto' or 'fp32'"
        )
    return _TYPES[precision]
