"""The vision transformer is timm's, with two outputs."""

import pytest
import torch
from vit_builder import TINY_VIT

from pipeline.classification.vit import build_vit, logits, spatial_tokens
from pipeline.errors import ModelBundleError


def test_the_paper_network_has_the_keys_and_size_of_the_released_one():
    """ViT-B/16 with two classes has 85.8 million parameters under timm's names."""
    with torch.device("meta"):
        network = build_vit("vit_base_patch16_224", {})

    assert sum(value.numel() for value in network.parameters()) == pytest.approx(85.8e6, rel=1e-3)
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    assert shapes["head.weight"] == (2, 768)
    assert shapes["pos_embed"] == (1, 197, 768)
    assert shapes["blocks.11.attn.qkv.weight"] == (2304, 768)


def test_a_grey_slice_is_given_to_every_channel():
    """Three channels of the same grey are what a grey image becomes as RGB."""
    network = build_vit("vit", {**TINY_VIT, "in_chans": 3}).eval()
    batch = torch.rand(2, 1, 32, 32)

    assert torch.allclose(logits(network, batch), network(batch.repeat(1, 3, 1, 1)))


def test_tokens_become_an_image_in_reading_order():
    """Token 1 is the upper left patch; the class token is left out."""
    network = build_vit("vit", TINY_VIT)
    tokens = torch.arange(17.0)[None, :, None].repeat(1, 1, 3)

    image = spatial_tokens(tokens, network)

    assert image.shape == (1, 3, 4, 4)
    assert image[0, 0].tolist() == torch.arange(1.0, 17.0).reshape(4, 4).tolist()


@pytest.mark.parametrize(
    ("architecture", "arguments"),
    [
        ("no_such_network", {}),
        ("vit", {**TINY_VIT, "no_such_argument": 1}),
        ("vit", {**TINY_VIT, "embed_dim": 25}),  # not divisible by the heads
        ("resnet18", {}),
    ],
)
def test_what_is_no_vision_transformer_is_refused(architecture, arguments):
    """The message names the architecture, so that the card can be mended."""
    with pytest.raises(ModelBundleError, match=architecture):
        build_vit(architecture, arguments)
