"""Training in less memory: activations are computed again on the way back, not kept [1]_.

.. [1] T. Chen et al., "Training deep nets with sublinear memory cost", arXiv:1604.06174 (2016).
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from pipeline.segmentation.networks.mamba import MambaLayer

#: Where the architectures keep what they compute one after the other.
_ROWS = frozenset({"stages", "layers", "mamba_layers", "decoder_block"})
_SINGLE = frozenset({"stem", "encoder1", "mamba_layer"})


def recompute_activations(network: nn.Module) -> None:
    """Let every stage of a network keep only its input while it is trained.

    Values and gradients are the same; a step takes about a third longer. Mamba layers, which
    need several times the memory of what they are given, take the scans of a batch one by one.
    Stages with batch normalisation stay as they are: a second pass would count a batch twice.

    Parameters
    ----------
    network : nn.Module
        Of the registry; altered in place, its weights keep their names.

    Raises
    ------
    ValueError
        If the network has no stage that is known.
    """
    stages = _stages(network)
    if not stages:
        raise ValueError(f"{type(network).__name__} has no stages to compute again")
    for stage in stages:
        again = _scan_by_scan if isinstance(stage, MambaLayer) else _again
        stage.forward = partial(again, stage.forward)


def _stages(network: nn.Module) -> list[nn.Module]:
    """Return the outermost stages without batch normalisation."""
    found: list[nn.Module] = []
    for name, module in network.named_children():
        if name in _SINGLE:
            found.append(module)
        elif name in _ROWS:
            found += module.children()
        else:
            found += _stages(module)
    return [stage for stage in found if not _has_batch_norm(stage)]


def _has_batch_norm(module: nn.Module) -> bool:
    return any(isinstance(part, _BatchNorm) for part in module.modules())


def _again(forward: Callable[..., Any], *inputs: Any) -> Any:  # noqa: ANN401  whatever the stage takes
    if not torch.is_grad_enabled():
        return forward(*inputs)
    return checkpoint(forward, *inputs, use_reentrant=False)


def _scan_by_scan(forward: Callable[[Tensor], Tensor], features: Tensor) -> Tensor:
    return torch.cat([_again(forward, one) for one in torch.split(features, 1)])
