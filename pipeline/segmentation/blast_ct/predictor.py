"""BLAST-CT on a whole scan: to 1 mm, through the networks, back to the scan's own grid."""

import dataclasses
import math
from functools import partial
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.errors import ModelBundleError
from pipeline.finding import Compartment
from pipeline.model_bundle import ModelBundle
from pipeline.model_card import ModelCard
from pipeline.resampling import canonical_grid, resample_map, resample_volume
from pipeline.segmentation.blast_ct.engine import class_probabilities
from pipeline.segmentation.blast_ct.folding import fold
from pipeline.segmentation.head_crop import Box, crop_grid, head_box
from pipeline.segmentation.inference_options import InferenceOptions
from pipeline.segmentation.networks.blast_ct import CLASSES, BlastCt, DeepMedic
from pipeline.segmentation.predictor import ClassMaps, OnProgress, ignore_progress
from pipeline.segmentation.predictors import load_network
from pipeline.segmentation.sampling import normalise
from pipeline.volume import AIR_HU, CtVolume, Vector, VoxelGrid

#: How far below the top of the skull a brain can reach. Basion to bregma is 133 mm, SD 5 mm, in
#: men (W. W. Howells, Cranial Variation in Man, 1973); a tilted gantry adds some.
_CRANIAL_MM = 150.0

#: Denser than calcium and clips are rare, bone is common; HU after resampling.
_BONE_HU = 250.0

#: Area of bone that a plane, row or column of voxels meets in a head, and no speck does; mm2.
_LEAST_BONE_MM2 = 50.0

#: Kept around the bone, which is thin at the vertex and the temple; mm.
_BONE_MARGIN_MM = 3.0

#: Side of the scan of air that warms the networks up.
_WARM_UP_VOXELS = 15

HEMATOMA = "hematoma"


class BlastCtPredictor:
    """An ensemble of BLAST-CT networks ready for whole scans.

    Parameters
    ----------
    card : ModelCard
        Card of the bundle; its class names say what the outputs are.
    network : BlastCt
        With its weights.
    device : torch.device
        Where it runs.

    Raises
    ------
    ModelBundleError
        If the card's classes are not five, with the hematoma and known compartments.
    """

    def __init__(self, card: ModelCard, network: BlastCt, *, device: torch.device) -> None:
        assert card.spacing_zyx_mm is not None  # noqa: S101  the card has checked these three
        assert card.intensity is not None  # noqa: S101
        assert card.probability_cutoff is not None  # noqa: S101
        self._spacing = card.spacing_zyx_mm
        self._intensity = card.intensity
        self._cutoff = card.probability_cutoff
        self._hematoma, self._compartments = _outputs(card)
        self._device = device
        self._networks = []
        for member in network.networks:
            assert isinstance(member, DeepMedic)  # noqa: S101  nn.ModuleList forgets the type
            self._networks.append(fold(member.eval(), device=device))

    def warm_up(self) -> None:
        """Run the networks once on air."""
        side = slice(0, _WARM_UP_VOXELS)
        air = np.full((_WARM_UP_VOXELS,) * 3, AIR_HU, dtype=np.float32)
        self._probabilities(air, (side, side, side), [0, 5, 10], ignore_progress)

    def predict(self, volume: CtVolume, *, on_progress: OnProgress = ignore_progress) -> ClassMaps:
        """Return hematoma and compartments on the volume's own grid.

        A voxel belongs to a compartment if that is its most probable class and its probability
        of hematoma stays below the card's cutoff. Outside the head nothing is found.
        """
        grid = _planes_on_slices(volume.grid, self._spacing)
        hu = resample_volume(volume, grid)
        region = _cranial_region(hu, grid)
        planes, layers = _wanted_planes(volume.grid, grid, region)
        shares = self._probabilities(hu, region, planes, on_progress)
        own = [resample_map(share, layers, volume.grid) for share in shares[1:]]
        background = 1 - sum(own, start=np.zeros(volume.grid.shape_zyx, dtype=np.float32))
        winner = np.argmax(np.stack([background, *own]), axis=0)
        hematoma = own[self._hematoma - 1]
        below = hematoma < self._cutoff
        on_progress(1.0)
        return ClassMaps(
            hematoma_zyx=hematoma,
            compartments=MappingProxyType(
                {name: (winner == index) & below for name, index in self._compartments.items()}
            ),
        )

    def _probabilities(
        self,
        hu_zyx: NDArray[np.float32],
        region: Box,
        planes: list[int],
        on_progress: OnProgress,
    ) -> NDArray[np.float32]:
        """Return the networks' mean softmax, shape (5, P, y, x)."""
        image = torch.from_numpy(normalise(hu_zyx, self._intensity)).to(self._device)
        count = len(self._networks)
        shares = [
            class_probabilities(
                network,
                image,
                region=region,
                planes=planes,
                on_progress=partial(_tell_part, on_progress, number, count),
            )
            for number, network in enumerate(self._networks)
        ]
        return np.asarray(np.mean(shares, axis=0, dtype=np.float32))


def blast_ct_predictor(bundle: ModelBundle, options: InferenceOptions) -> BlastCtPredictor:
    """Return the predictor of a bundle of BLAST-CT networks.

    Only the device counts among the options: the scan is looked at in one piece, in float32.

    Raises
    ------
    ModelBundleError
        If the weights do not fit the card, or its classes are not those of BLAST-CT.
    """
    network = load_network(bundle)
    assert isinstance(network, BlastCt)  # noqa: S101  chosen by the card's architecture
    return BlastCtPredictor(bundle.card, network, device=options.device)


def _tell_part(on_progress: OnProgress, done: int, count: int, share: float) -> None:
    """Tell the progress of one of several equal parts."""
    on_progress((done + share) / count)


def _outputs(card: ModelCard) -> tuple[int, dict[Compartment, int]]:
    """Return the output of the hematoma and those of the compartments."""
    names = card.class_names
    if len(names) != CLASSES or HEMATOMA not in names[1:]:
        raise ModelBundleError(
            f"Card of {card.name}: BlastCt has {CLASSES} classes, one of them called hematoma "
            f"and none of it the first; got {', '.join(names)}"
        )
    known = {str(one): one for one in Compartment}
    compartments = {
        known[name]: index for index, name in enumerate(names) if index > 0 and name in known
    }
    if len(compartments) != CLASSES - 2:
        raise ModelBundleError(
            f"Card of {card.name}: class names beside {names[0]} and {HEMATOMA} must be "
            f"{', '.join(known)}; got {', '.join(names)}"
        )
    return names.index(HEMATOMA), compartments


def _planes_on_slices(source: VoxelGrid, spacing_zyx_mm: Vector) -> VoxelGrid:
    """Return the canonical grid, its planes counted from the lowest slice to the highest one.

    Slices that are a multiple of the spacing apart then coincide with planes, as in the
    resampling of the published program, and are looked at without interpolation.
    """
    grid = canonical_grid(source, spacing_zyx_mm)
    normal = grid.normal_lps
    positions = source.slice_positions_mm
    origin = np.asarray(grid.slice_origins_lps_mm[0])
    origin = origin + (positions[0] - origin @ normal) * normal
    count = round(float(positions[-1] - positions[0]) / spacing_zyx_mm[0]) + 1
    return dataclasses.replace(
        grid,
        shape_zyx=(count, *grid.shape_zyx[1:]),
        slice_origins_lps_mm=tuple(
            _vector(origin + index * spacing_zyx_mm[0] * normal) for index in range(count)
        ),
    )


def _cranial_region(hu_zyx: NDArray[np.float32], grid: VoxelGrid) -> Box:
    """Return the box around the skull, from its top down as far as a brain can reach.

    Its sides come from all planes, so that a missing bone flap opens none: the skull's base is
    as wide as its vault. A scan without bone is looked at wherever there is head.
    """
    head = head_box(hu_zyx)
    bone = hu_zyx[head] > _BONE_HU
    counts = [np.count_nonzero(bone, axis=axes) for axes in ((1, 2), (0, 2), (0, 1))]
    sides = []
    for axis, (count, side, step) in enumerate(
        zip(counts, head, grid.spacing_zyx_mm, strict=True)
    ):
        area = count * math.prod(grid.spacing_zyx_mm) / step
        met = np.flatnonzero(area >= _LEAST_BONE_MM2)
        if not met.size:
            return head
        margin = math.ceil(_BONE_MARGIN_MM / step)
        low, high = int(met[0]) - margin, int(met[-1]) + 1 + margin
        if axis == 0:
            low = high - math.ceil(_CRANIAL_MM / step)
        sides.append(slice(max(side.start + low, 0), min(side.start + high, hu_zyx.shape[axis])))
    return (sides[0], sides[1], sides[2])


def _wanted_planes(source: VoxelGrid, grid: VoxelGrid, region: Box) -> tuple[list[int], VoxelGrid]:
    """Return the planes nearest to the slices, and the grid of what is computed on them.

    Each plane stands at its slice; where slices are closer than planes, at its own place.
    """
    normal = grid.normal_lps
    start = grid.slice_positions_mm[0]
    places = source.slice_positions_mm - start
    nearest = np.rint(places / grid.spacing_zyx_mm[0]).astype(int)
    inside = (nearest >= region[0].start) & (nearest < region[0].stop)
    if not inside.any():  # slices so far apart that none lies within: take the nearest one
        inside[np.argmin(np.abs(nearest - region[0].stop))] = True
        nearest = np.clip(nearest, region[0].start, region[0].stop - 1)
    planes = np.unique(nearest[inside])
    one_each = len(planes) == np.count_nonzero(inside)
    heights = places[inside] if one_each else planes * grid.spacing_zyx_mm[0]
    inner = crop_grid(grid, (slice(0, grid.shape_zyx[0]), *region[1:]))
    origin = np.asarray(inner.slice_origins_lps_mm[0])
    layers = dataclasses.replace(
        inner,
        shape_zyx=(len(planes), *inner.shape_zyx[1:]),
        slice_origins_lps_mm=tuple(_vector(origin + height * normal) for height in heights),
    )
    return [int(plane) for plane in planes], layers


def _vector(values: NDArray[np.float64]) -> Vector:
    x, y, z = (float(value) for value in values)
    return (x, y, z)
