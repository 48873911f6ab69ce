"""SLEX-Net inputs and weights that come from a formula, so that no random generator matters."""

import numpy as np
import torch


def formula_weights(state):
    """Return weights for every key of a state, from sines of the key's rank and the index.

    Convolutions get the scale of Kaiming's rule, so that logits neither vanish nor explode.
    Keys are ranked after every name of the expansion module is made one.
    """

    def canonical(key):
        head, _, rest = key.partition(".")
        return f"{'expansion' if head in {'SMM', 'SEM'} else head}.{rest}"

    filled = {}
    for rank, key in enumerate(sorted(state, key=canonical)):
        shape = tuple(state[key].shape)
        if key.endswith("num_batches_tracked"):
            filled[key] = torch.zeros(shape, dtype=torch.int64)
            continue
        wave = np.sin(0.73 * np.arange(int(np.prod(shape))) ** 1.1 + rank).reshape(shape)
        if len(shape) == 4:
            wave = wave * 2 / np.sqrt(np.prod(shape[1:]))
        elif key.endswith(("running_var", "weight")):
            wave = 1 + 0.3 * wave
        else:
            wave = 0.2 * wave
        filled[key] = torch.from_numpy(wave.astype(np.float32))
    return filled


def formula_triplet(rows=32, columns=48):
    """Return one triplet of slices, shape (1, 3, Y, X): a bright disc that moves and grows."""
    y, x = np.mgrid[0:rows, 0:columns]
    slices = [
        np.sin(0.2 * x + 0.1 * y + place)
        + 2.0 * (np.hypot(y - rows / 2, x - columns / 2 - 2 * place) < 6 + 2 * place)
        for place in range(3)
    ]
    return torch.from_numpy(np.stack(slices)[None].astype(np.float32))
