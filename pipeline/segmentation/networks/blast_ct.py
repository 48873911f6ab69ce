"""The network of BLAST-CT: DeepMedic with three pathways, as published for traumatic brain injury.

One image is seen at three resolutions: every voxel, every third and every fifth one. Each pathway
is a stack of eight 3x3x3 convolutions without padding, so that it sees 17 of its own voxels
around each output; three 1x1x1 layers join the pathways. Five classes come out: background,
intraparenchymal and extra-axial hemorrhage, oedema, intraventricular hemorrhage.

References
----------
.. [1] M. Monteiro, V. F. J. Newcombe et al., "Multiclass semantic segmentation and
   quantification of traumatic brain injury lesions on head CT using deep learning", Lancet
   Digital Health 2020, 2:e314.
.. [2] K. Kamnitsas et al., "Efficient multi-scale 3D CNN with fully connected CRF for accurate
   brain lesion segmentation", Medical Image Analysis 2017, 36:61.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from pipeline.segmentation.networks.upstream import load_upstream

#: Features after each convolution of a pathway.
FEATURES = (30, 30, 40, 40, 40, 40, 50, 50)

#: Features of the 1x1x1 layers before the classes.
JOINT_FEATURES = (250, 250)

#: Every how many voxels a pathway samples the image, in the order of the joint layer's input.
FACTORS = (5, 3, 1)

CLASSES = 5

#: What the published checkpoints call the parts of the network.
_UPSTREAM_NAMES = {
    **{
        f"path({factor}, {factor}, {factor}){number}.path.{layer + 1}.": (
            f"pathways.{number}.units.{layer}."
        )
        for number, factor in enumerate(FACTORS)
        for layer in range(len(FEATURES))
    },
    **{f"fully_connected.{layer}.": f"joint.{layer}." for layer in range(len(JOINT_FEATURES) + 1)},
}
_UPSTREAM_LAYERS = {".bn.": ".norm.", ".prelu.": ".slope."}


class Unit(nn.Module):
    """Batch norm, PReLU with one slope, convolution without padding or bias.

    Where input and output have as many channels, the input's centre is added.

    Parameters
    ----------
    inputs, outputs : int
        Channels.
    kernel : int
        Side of the kernel in voxels; each axis becomes ``kernel - 1`` shorter.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm3d(inputs)
        self.slope = nn.PReLU()
        self.conv = nn.Conv3d(inputs, outputs, kernel, bias=False)
        self.trimmed = kernel // 2
        self.is_residual = inputs == outputs

    def forward(self, features: Tensor) -> Tensor:
        """Return features (N, outputs, Z', Y', X') of features (N, inputs, Z, Y, X)."""
        mixed: Tensor = self.conv(self.slope(self.norm(features)))
        if not self.is_residual:
            return mixed
        z, y, x = (slice(self.trimmed, size - self.trimmed) for size in features.shape[2:])
        return mixed + features[:, :, z, y, x]


class Pathway(nn.Module):
    """A stack of 3x3x3 units that sees every `factor`-th voxel and answers for all of them.

    Parameters
    ----------
    factor : int
        Every how many voxels the image is sampled.
    inputs : int
        Channels of the image.
    features : sequence of int
        Channels after each unit.
    """

    def __init__(self, factor: int, inputs: int, features: Sequence[int]) -> None:
        super().__init__()
        self.factor = factor
        self.outputs = features[-1]
        self.units = nn.Sequential(
            *(Unit(below, above, 3) for below, above in pairwise((inputs, *features)))
        )

    def forward(self, image: Tensor) -> Tensor:
        """Return features (N, C, Z, Y, X) of an image (N, 1, Z, Y, X); edges are repeated."""
        features: Tensor = self.units(sample(image, self.factor, margin=len(self.units)))
        for axis, size in enumerate(image.shape[2:], start=2):
            raised = features.repeat_interleave(self.factor, dim=axis)
            features = raised.narrow(axis, 0, size)
        return features


class DeepMedic(nn.Module):
    """One network of BLAST-CT; 1,030,033 parameters as published.

    Parameters
    ----------
    features, joint_features : sequence of int
        Channels of the pathways' and of the joint layers.
    """

    def __init__(
        self,
        *,
        features: Sequence[int] = FEATURES,
        joint_features: Sequence[int] = JOINT_FEATURES,
    ) -> None:
        super().__init__()
        self.pathways = nn.ModuleList(Pathway(factor, 1, features) for factor in FACTORS)
        widths = (len(FACTORS) * features[-1], *joint_features, CLASSES)
        self.joint = nn.Sequential(*(Unit(below, above, 1) for below, above in pairwise(widths)))

    def forward(self, image: Tensor) -> Tensor:
        """Return class logits (N, 5, Z, Y, X) of a normalised image (N, 1, Z, Y, X).

        The image must begin where the whole scan begins or at a multiple of 15 voxels from it:
        the coarse pathways sample by position.
        """
        seen = [pathway(image) for pathway in self.pathways]
        logits: Tensor = self.joint(torch.cat(seen, dim=1))
        return logits


class BlastCt(nn.Module):
    """The mean of one or several networks of BLAST-CT.

    Parameters
    ----------
    networks : int
        Size of the ensemble.
    features, joint_features : sequence of int
        Channels of the pathways' and of the joint layers.

    Raises
    ------
    ValueError
        If there is no network.
    """

    def __init__(
        self,
        *,
        networks: int = 1,
        features: Sequence[int] = FEATURES,
        joint_features: Sequence[int] = JOINT_FEATURES,
    ) -> None:
        super().__init__()
        if networks < 1:
            raise ValueError(f"An ensemble has at least one network, got {networks}")
        self.networks = nn.ModuleList(
            DeepMedic(features=features, joint_features=joint_features) for _ in range(networks)
        )

    def forward(self, image: Tensor) -> Tensor:
        """Return logits whose softmax is the mean of the networks' softmax, (N, 5, Z, Y, X)."""
        if len(self.networks) == 1:
            logits: Tensor = self.networks[0](image)
            return logits
        shares = [torch.log_softmax(network(image), dim=1) for network in self.networks]
        # Additive constants do not matter to softmax, hence no division by the count.
        return torch.logsumexp(torch.stack(shares), dim=0)


def sample(image: Tensor, factor: int, *, margin: int) -> Tensor:
    """Return every `factor`-th voxel of an image, with repeated edges around.

    Voxel j of the result is the centre of the j-th group of `factor` voxels, for groups from
    ``-margin`` to `margin` beyond the last one.
    """
    for axis, size in enumerate(image.shape[2:], start=2):
        groups = torch.arange(-margin, -(-size // factor) + margin, device=image.device)
        centres = (groups * factor + factor // 2).clamp(0, size - 1)
        image = image.index_select(axis, centres)
    return image


def load_published(network: DeepMedic, state: Mapping[str, Tensor]) -> None:
    """Load a published checkpoint, under its own names, into a network.

    Raises
    ------
    ModelBundleError
        If a key is unknown or missing, or a shape differs.
    """
    load_upstream(network, state, rename=_own_name)


def _own_name(key: str) -> str:
    """Return our name of an entry of a published checkpoint."""
    for theirs, ours in _UPSTREAM_NAMES.items():
        if key.startswith(theirs):
            rest = f".{key.removeprefix(theirs)}"
            for layer, own_layer in _UPSTREAM_LAYERS.items():
                rest = rest.replace(layer, own_layer, 1)
            return ours + rest.removeprefix(".")
    return key
