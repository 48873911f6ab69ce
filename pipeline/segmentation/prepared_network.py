"""A network made ready to run fast on a device, its results unchanged but for rounding."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.segmentation.inference_options import InferenceOptions


class PreparedNetwork:
    """A network on its device, in the layout and number type that are fastest there.

    On a CPU, 3D convolutions of oneDNN take half the time with channels last, but PyTorch's
    instance normalisation copies to channels first and back, which costs more than that; it is
    replaced by the same arithmetic under another name. On CUDA the layout is left alone.

    Parameters
    ----------
    network : nn.Module
        From tiles (N, 1, Z, Y, X) to class logits (N, C, Z, Y, X); altered in place.
    options : InferenceOptions
        Device, number type, and whether to compile.
    """

    def __init__(self, network: nn.Module, options: InferenceOptions) -> None:
        self._device = options.device
        self._bfloat16 = options.computes_bfloat16
        network = network.to(options.device).eval()
        if options.device.type == "cpu":
            _keep_layout_in_norms(network)
            if self._bfloat16:
                _round_convolutions(network)
            network = network.to(memory_format=torch.channels_last_3d)
        self._forward: Callable[[Tensor], Tensor] = (
            torch.compile(network) if options.compiled else network
        )

    def __call__(self, tiles: Tensor) -> Tensor:
        """Return the network's class logits of tiles."""
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._bfloat16):
            return self._forward(tiles)


def _round_convolutions(network: nn.Module) -> None:
    """Round the convolutions' weights once, as autocast would before every tile."""
    for module in network.modules():
        if isinstance(module, nn.Conv3d | nn.ConvTranspose3d):
            module.to(torch.bfloat16)


class _LayoutKeepingNorm(nn.Module):
    """Instance normalisation as group normalisation with a group for each channel.

    The two are the same by definition: Y. Wu and K. He, "Group Normalization", ECCV 2018,
    section 3.1.
    """

    def __init__(self, norm: nn.InstanceNorm3d) -> None:
        super().__init__()
        self.eps = norm.eps
        self.weight = norm.weight
        self.bias = norm.bias

    def forward(self, features: Tensor) -> Tensor:
        return functional.group_norm(features, features.shape[1], self.weight, self.bias, self.eps)


def _keep_layout_in_norms(network: nn.Module) -> None:
    """Replace instance normalisation wherever it stands; a module may stand in two places."""
    replaced: dict[nn.Module, nn.Module] = {}
    for parent in list(network.modules()):
        for name, child in list(parent._modules.items()):  # noqa: SLF001  named_children leaves out what stands twice
            if not isinstance(child, nn.InstanceNorm3d) or child.track_running_stats:
                continue
            setattr(parent, name, replaced.setdefault(child, _LayoutKeepingNorm(child)))
