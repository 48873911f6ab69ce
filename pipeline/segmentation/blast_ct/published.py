"""Published BLAST-CT checkpoints as a bundle: weights without pickle, and an honest card."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pipeline.errors import ModelBundleError
from pipeline.finding import Compartment
from pipeline.model_bundle import ModelBundle, save_bundle
from pipeline.model_card import Intensity, ModelCard

if TYPE_CHECKING:
    from torch import Tensor

#: SHA-256 of the twelve networks of the first release, by their number.
PUBLISHED_SHA256: Mapping[int, str] = MappingProxyType(
    {
        1: "95f76e8b16fe42b6aa49388cb798e282c55cd70191544f4417445bb87803f99f",
        2: "44621a70866c5d4a69a2011f258d2c2f17d86af047d384f858a74ae0151e149c",
        3: "58c82cf9fa984266ffe56866e569241dfe41726f61101df963260da45fa4d120",
        4: "b4d344dfeda52a190280bef76bd0719744a8ce01e735d01fcd4e3fe1d8d04609",
        5: "5789d5d98f5a4507ffa5edec205026a26570a0444f09272de6dc06cdede92a99",
        6: "5dc30c4008b2ba6c76934ddef23db76cba962f76ce1c052ca067b94f187e0477",
        7: "af54c424b97f8dc4c62fe8c33af55d886d2dd444f4b55e9cab50f49af4084b86",
        8: "8f5d5a48c382300646517049c6b87ae3074a91ae0c7a85d292998272673d876e",
        9: "a255de8d04b670cbcbd0eda7c8bb7baf25d4a48a8606458000694b5062d7674c",
        10: "7bb4643c1317e6d5b7dbcbf44669d5653d3ae3d2f01a04a22f3b2f84416dbc05",
        11: "4a9e432244cf6c082f71b834b1aca6e6b9d44f514f2e52f07edd2f2802674121",
        12: "1d567f0ec5f1888b5ce6660314db9c51af9758c861f66f001c980f46fe6f49b3",
    }
)

#: Outputs of the networks, in order: foreground (read: background), IPH, EAH, oedema, IVH.
CLASS_NAMES = (
    "background",
    "hematoma",
    str(Compartment.EXTRA_AXIAL),
    str(Compartment.EDEMA),
    str(Compartment.INTRAVENTRICULAR),
)

#: The published configuration clips to -15..100 HU and maps that range to -1..1.
INTENSITY = Intensity(clip_low_hu=-15.0, clip_high_hu=100.0, mean=42.5, sd=57.5)

#: Patch of the published configuration. This node computes whole heads at once.
PATCH_SIZE_ZYX = (110, 110, 110)

#: Probability from which a voxel is hematoma.
PROBABILITY_CUTOFF = 0.5

#: Smallest connected part that is kept, mL.
MINIMUM_COMPONENT_ML = 0.1

_TRAINING_COHORT = (
    "184 annotated head CT scans of patients with traumatic brain injury from several clinical "
    "sites, as stated with the first release of BLAST-CT (M. Monteiro, V. F. J. Newcombe et al., "
    "Lancet Digital Health 2020, 2:e314). Trauma, not spontaneous hemorrhage."
)

_INTENDED_USE = (
    "Research use only. Not a medical device; the authors state that it is not intended for "
    "clinical use. Published networks, turned into a bundle unchanged. Only intraparenchymal "
    "hemorrhage is called hematoma; extra-axial and intraventricular hemorrhage and oedema are "
    "told beside it. The published program calls each voxel by the most probable of five "
    "classes; here a voxel is hematoma from the stated cutoff upwards, and belongs to another "
    "compartment if that is its most probable class and its probability of hematoma is below "
    "the cutoff. At a cutoff of 0.5 a hematoma voxel is always one of the published program, "
    "which calls a few more where no class reaches one half. Known weaknesses: specific but not "
    "sensitive to small bleeds, networks differ a lot from each other, false findings at the "
    "skull base and in newborns."
)

_LICENCE = "Apache-2.0, copyright the BLAST-CT authors (github.com/biomedia-mira/blast-ct)"


def import_networks(files: Sequence[Path], output: Path) -> ModelBundle:
    """Write published checkpoints as one bundle and return it.

    Parameters
    ----------
    files : sequence of Path
        One checkpoint per network; several make an ensemble, the mean of their softmax.
    output : Path
        Folder of the bundle; made if needed.

    Raises
    ------
    ModelBundleError
        If a file cannot be read, holds anything but weights, does not fit the network, or is
        given twice.
    """
    from pipeline.segmentation.networks.blast_ct import BlastCt, DeepMedic, load_published

    if not files:
        raise ModelBundleError("A bundle needs the file of at least one network")
    digests = [_sha256(path) for path in files]
    for number, digest in enumerate(digests):
        if digest in digests[:number]:
            first = files[digests.index(digest)]
            raise ModelBundleError(f"{files[number]} holds the same network as {first}")
    network = BlastCt(networks=len(files))
    for member, path in zip(network.networks, files, strict=True):
        assert isinstance(member, DeepMedic)  # noqa: S101  nn.ModuleList forgets the type
        try:
            load_published(member, read_checkpoint(path))
        except ModelBundleError as error:
            raise ModelBundleError(f"{path}: {error}") from error
    return save_bundle(output, _card(files, digests), network.state_dict())


def read_checkpoint(path: Path) -> "dict[str, Tensor]":
    """Return the weights in a PyTorch file, which may hold nothing else.

    Raises
    ------
    ModelBundleError
        If the file is no checkpoint, or unpickling it could run code.
    """
    import pickle
    import warnings

    import torch

    try:
        with warnings.catch_warnings(action="ignore"):  # of what is refused below
            content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelBundleError(
            "the file holds more than weights, or no checkpoint at all; it is refused, because "
            "to unpickle it could run code"
        ) from error
    except (RuntimeError, EOFError, ValueError, KeyError, OSError) as error:
        raise ModelBundleError(f"the file is no PyTorch checkpoint: {error}") from error
    if not isinstance(content, dict) or not all(
        isinstance(key, str) and isinstance(value, torch.Tensor) for key, value in content.items()
    ):
        raise ModelBundleError("the file holds no named weights")
    return content


def _card(files: Sequence[Path], digests: Sequence[str]) -> ModelCard:
    numbers = {digest: number for number, digest in PUBLISHED_SHA256.items()}
    known = [numbers.get(digest) for digest in digests]
    cohort = _TRAINING_COHORT
    if None in known:
        cohort = (
            "Not all files are networks of the first release, so what is stated here may not "
            f"hold for them. {cohort}"
        )
    return ModelCard(
        name="blast-ct",
        version="1.0",
        task="segmentation",
        architecture="BlastCt",
        architecture_arguments={"networks": len(files)},
        spacing_zyx_mm=(1.0, 1.0, 1.0),
        patch_size_zyx=PATCH_SIZE_ZYX,
        intensity=INTENSITY,
        class_names=CLASS_NAMES,
        probability_cutoff=PROBABILITY_CUTOFF,
        minimum_component_ml=MINIMUM_COMPONENT_ML,
        training_cohort=cohort,
        metrics={
            "networks": [
                {"file": path.name, "sha256": digest, "published_number": number}
                for path, digest, number in zip(files, digests, known, strict=True)
            ],
        },
        licence=_LICENCE,
        intended_use=_INTENDED_USE,
        demonstration=False,
    )


def _sha256(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ModelBundleError(f"{path} cannot be read: {error.strerror}") from error
