"""Grad-CAM against a hand implementation and a network whose reason is known."""

import numpy as np
import torch
from scipy.ndimage import zoom
from torch import nn
from vit_builder import tiny_vit

from pipeline.classification.grad_cam import grad_cam
from pipeline.classification.vit import build_vit
from pipeline.prediction import HeLabel


def grad_cam_by_hand(network: nn.Module, image: torch.Tensor) -> np.ndarray:
    """Return Grad-CAM on the patches from plain autograd, shape (4, 4)."""
    kept: list[torch.Tensor] = []
    hook = network.blocks[-1].norm1.register_forward_hook(lambda *event: kept.append(event[2]))
    logit = network(image[None])[0, HeLabel.HE]
    hook.remove()
    (gradient,) = torch.autograd.grad(logit, kept[0])
    weight = gradient[0, 1:].mean(dim=0)
    return torch.relu(kept[0][0, 1:] @ weight).detach().reshape(4, 4).numpy()


def test_maps_are_those_of_a_hand_implementation():
    """Hook, gradient, mean, sum, ReLU: the same relevance at every pixel."""
    network = tiny_vit(seed=3)
    batch = torch.rand(3, 1, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1

    maps = grad_cam(network, batch)

    assert maps.shape == (3, 32, 32)
    for found, image in zip(maps, batch, strict=True):
        enlarged = zoom(
            grad_cam_by_hand(network, image), 8, order=1, mode="nearest", grid_mode=True
        )
        expected = (enlarged - enlarged.min()) / np.ptp(enlarged)
        assert np.allclose(found, expected, atol=0.01)


def one_patch_network() -> nn.Module:
    """Return a transformer whose HE logit is the brightness of the brightest patch.

    Channel 0 of a token is the patch's brightness, nothing else exists. Every query is 0, so
    the class token attends to all patches alike and takes up the mean of what they carry.
    """
    network = build_vit(
        "vit",
        {
            "img_size": 32,
            "patch_size": 8,
            "in_chans": 1,
            "embed_dim": 4,
            "depth": 1,
            "num_heads": 1,
        },
    )
    with torch.no_grad():
        for value in network.parameters():
            value.zero_()
        network.patch_embed.proj.weight[0] = 1 / 64
        block = network.blocks[0]
        block.norm1.weight.fill_(1)
        block.attn.qkv.weight[8:12] = torch.eye(4)
        block.attn.proj.weight.copy_(torch.eye(4))
        network.norm.weight.fill_(1)
        network.head.weight[HeLabel.HE, 0] = 1
    return network.eval()


def test_the_map_peaks_at_the_patch_that_decides():
    """One bright patch makes the logit, wherever it lies; the map is brightest there."""
    network = one_patch_network()
    for row, column in ((0, 0), (1, 2), (3, 3)):
        image = torch.zeros(1, 1, 32, 32)
        image[0, 0, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8] = 1

        (found,) = grad_cam(network, image)

        patches = found.reshape(4, 8, 4, 8).mean(axis=(1, 3))
        assert found.max() > 0.9
        assert np.unravel_index(patches.argmax(), (4, 4)) == (row, column)


def test_the_head_that_decides_is_the_head_that_explains():
    """Turning the trained head round turns the map: what spoke for HE speaks against it."""
    network = tiny_vit(seed=3)
    batch = torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1
    before = grad_cam(network, batch)
    with torch.no_grad():
        network.head.weight.neg_()

    after = grad_cam(network, batch)

    patches = [found[0].reshape(4, 8, 4, 8).mean(axis=(1, 3)).ravel() for found in (before, after)]
    assert np.corrcoef(*patches)[0, 1] < 0


def test_explaining_leaves_no_trace_in_the_network():
    """No gradient stays behind and the outputs are the same afterwards."""
    network = tiny_vit()
    batch = torch.rand(2, 1, 32, 32)
    before = network(batch).detach()

    grad_cam(network, batch)

    assert all(value.grad is None for value in network.parameters())
    assert torch.equal(network(batch), before)
    assert not network.blocks[-1].norm1._forward_hooks


def test_maps_can_be_made_under_inference_mode():
    """The worker runs without gradients; the explanation switches them on for itself."""
    network = tiny_vit(seed=3)
    batch = torch.rand(1, 1, 32, 32)

    with torch.no_grad():
        assert grad_cam(network, batch).shape == (1, 32, 32)
