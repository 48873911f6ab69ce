"""Weights and images from a formula, the same with every version of every library."""

import zlib

import numpy as np
import torch


def formula_noise(name, shape):
    """Return numbers in [-1, 1) that depend on the name and the place only."""
    count = int(np.prod(shape))
    bits = np.arange(count, dtype=np.uint32) * np.uint32(2654435761) ^ np.uint32(
        zlib.crc32(name.encode())
    )
    # The finalizer of MurmurHash3 (public domain): every bit of the input moves half of them.
    for multiplier, shift in ((0x85EBCA6B, 16), (0xC2B2AE35, 13), (1, 16)):
        bits = (bits ^ (bits >> np.uint32(shift))) * np.uint32(multiplier)
    noise = bits.astype(np.float64) / 2**31 - 1
    return torch.from_numpy(noise.reshape(shape).astype(np.float32))


def formula_image(shape):
    """Return an image of noise with unit variance."""
    return formula_noise("image", shape) * 3**0.5


def formula_state(state):
    """Return a state like `state` with weights from the formula; integers are kept."""
    return {key: _weight(key, value) for key, value in state.items()}


def _weight(key, value):
    if not value.is_floating_point():
        return value
    noise = formula_noise(key, value.shape)
    name = key.rsplit(".", 1)[-1]
    if name in {"temperature", "temperature2", "running_var"} or (
        name == "weight" and value.ndim == 1
    ):
        return 1 + noise / 2
    if name in {"bias", "running_mean"}:
        return noise / 5
    if name in {"pos_embed", "gamma"}:
        return noise
    return noise * (3 / max(1, value[0].numel())) ** 0.5
