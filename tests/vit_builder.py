"""Small vision transformers for tests."""

import torch
from torch import nn

from pipeline.classification.vit import build_vit

TINY_VIT = {
    "img_size": 32,
    "patch_size": 8,
    "in_chans": 1,
    "embed_dim": 24,
    "depth": 2,
    "num_heads": 2,
}


def tiny_vit(seed: int = 0) -> nn.Module:
    """Return a transformer with 16 patches and random weights."""
    torch.manual_seed(seed)
    network = build_vit("vit", TINY_VIT)
    with torch.no_grad():
        for value in network.parameters():
            value.add_(torch.randn_like(value) * 0.2)
    return network.eval()
