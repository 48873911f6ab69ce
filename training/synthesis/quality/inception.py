"""The Inception network of the FID, built around weights that the user has."""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

#: Outputs of the network that the FID was defined with; torchvision's has 1000.
FID_CLASSES = 1008

#: Side of the network's input.
INPUT_SIZE = 299


def load_inception(path: Path) -> nn.Module:
    """Return an Inception v3 with the weights in a file, evaluating.

    Two files are known: the port of the original FID network (``pt_inception-2015-12-05``, 1008
    classes, average pools that leave the padding out), and torchvision's
    (``inception_v3_google``). Both take images of -1..1.

    Raises
    ------
    ValueError
        If the file holds no such weights.
    """
    import pickle

    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise ValueError(f"{path} cannot be read as weights: {error}") from error
    classes = state["fc.weight"].shape[0] if "fc.weight" in state else None
    if classes is None:
        raise ValueError(f"{path} holds no Inception v3: fc.weight is missing")
    network = inception_for_fid() if classes == FID_CLASSES else _plain_inception(classes)
    own = network.state_dict()
    kept = {name: value for name, value in state.items() if not name.startswith("AuxLogits.")}
    # The port lacks counters of batches, which nothing depends on.
    counters = {name: own[name] for name in own if name.endswith("num_batches_tracked")}
    try:
        network.load_state_dict({**counters, **kept})
    except RuntimeError as error:
        raise ValueError(f"{path} holds no Inception v3: {error}") from error
    return network.eval()


def features_and_probabilities(network: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """Return the 2048 pooled features of images and the probabilities of their classes.

    Parameters
    ----------
    network : nn.Module
        By `load_inception`.
    images : Tensor of float32, shape (N, 1, 299, 299)
        Grey, -1..1.
    """
    captured: list[Tensor] = []
    hook = network.get_submodule("avgpool").register_forward_hook(
        lambda _module, _inputs, output: captured.append(output)
    )
    try:
        logits = network(images.expand(-1, 3, -1, -1))
    finally:
        hook.remove()
    return captured[0].flatten(1), torch.softmax(logits, dim=1)


def inception_for_fid() -> nn.Module:
    """Return the network with the pooling of the FID's original, without weights."""
    from torchvision.models import inception  # type: ignore[import-untyped]  # no types shipped

    network = _plain_inception(FID_CLASSES)

    def pooled(kind: type[nn.Module], *arguments: int, greatest: bool = False) -> nn.Module:
        return PooledBlock(kind(*arguments), greatest=greatest)

    network.Mixed_5b = pooled(inception.InceptionA, 192, 32)
    network.Mixed_5c = pooled(inception.InceptionA, 256, 64)
    network.Mixed_5d = pooled(inception.InceptionA, 288, 64)
    for name, channels in (("6b", 128), ("6c", 160), ("6d", 160), ("6e", 192)):
        setattr(network, f"Mixed_{name}", pooled(inception.InceptionC, 768, channels))
    network.Mixed_7b = pooled(inception.InceptionE, 1280)
    network.Mixed_7c = pooled(inception.InceptionE, 2048, greatest=True)
    return network


class PooledBlock(nn.Module):
    """A block of Inception whose last branch looks at its neighbours as the FID's original does.

    Parameters
    ----------
    block : nn.Module
        Of torchvision, which takes the mean of 3 x 3 pixels, black ones outside included.
    greatest : bool
        Take the greatest of 3 x 3 pixels; else their mean, those outside left out.
    """

    def __init__(self, block: nn.Module, *, greatest: bool) -> None:
        super().__init__()
        # The block's own names stay in front, so that weights load.
        for name, child in block.named_children():
            self.add_module(name, child)
        self._block = [block]  # in a list: its weights are registered above
        self._greatest = greatest

    def forward(self, image: Tensor) -> Tensor:
        """Return the branches side by side."""
        branches = list(self._block[0]._forward(image))[:-1]  # type: ignore[operator]  # noqa: SLF001  torchvision's only door to the branches
        if self._greatest:
            pooled = functional.max_pool2d(image, 3, stride=1, padding=1)
        else:
            pooled = functional.avg_pool2d(image, 3, stride=1, padding=1, count_include_pad=False)
        last: Tensor = self.get_submodule("branch_pool")(pooled)
        return torch.cat([*branches, last], dim=1)


def _plain_inception(classes: int) -> nn.Module:
    from torchvision.models.inception import (  # type: ignore[import-untyped]  # likewise
        Inception3,
    )

    network: nn.Module = Inception3(
        num_classes=classes, aux_logits=False, transform_input=False, init_weights=False
    )
    return network
