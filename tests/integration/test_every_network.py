"""Every network runs the straight line: named on the command line, it finds what it was taught.

Each architecture, at a width and on a grid that a processor fits within seconds, is taught one
simulated bleed on the very tile that the predictor will give it, and is written as a bundle.
`ichnode analyze` gets the series as DICOM files and the bundle's folder, nothing else. This says
that every network is wired from the command line to the report, not how well any of them learns.
"""

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import highdicom
import numpy as np
import pydicom
import pytest
import torch
from blast_ct_builder import blast_ct_card, ensemble, threshold_network
from ct_builder import BLOOD_HU, Ball, build_ct_series, save_series
from scipy import ndimage
from torch import nn
from torch.nn import functional
from typer.testing import CliRunner

from dicom_node.cli.app import app
from pipeline.ct_series import read_ct_series
from pipeline.model_bundle import save_bundle
from pipeline.model_card import Intensity, ModelCard
from pipeline.segmentation.inference_options import InferenceOptions
from pipeline.segmentation.networks.registry import BUILDERS, build_network
from pipeline.segmentation.networks.shared_weights import distinct_weights
from pipeline.segmentation.tiled_predictor import TiledPredictor
from training.segmentation.architectures import ARCHITECTURES

INTENSITY = Intensity(clip_low_hu=-20, clip_high_hu=100, mean=35, sd=30)

#: One tile holds the whole head.
PATCH_ZYX, SPACING_ZYX_MM, WIDTH = (16, 32, 32), (5.0, 7.0, 7.0), 8
#: Those that learn in no more steps when they are half as wide; the others take longer.
NARROW = {"umamba-enc": 4, "umamba-bot": 4, "nnunet-resenc": 4}

#: 65.4 mL, left of the middle, wholly within the stack.
BALL = Ball(center_lps_mm=(25.0, 5.0, 5.0), radius_mm=25.0)

SEG, SR = "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.88.34"

#: Steps after which a network that has not learnt will not, and how well it must fit to stop.
MOST_STEPS, LEARNT_DICE = 150, 0.93
LEARNING_RATE = 0.01


@dataclass(frozen=True, kw_only=True)
class Toy:
    """A network as a bundle needs it, and its card."""

    network: nn.Module
    card: ModelCard


class Recorder(nn.Module):
    """A network that finds nothing and keeps the tiles it is shown."""

    def __init__(self):
        super().__init__()
        self.tiles = []

    def forward(self, tiles):
        self.tiles.append(tiles.clone())
        return torch.cat([torch.zeros_like(tiles)] * 2, dim=1)


def planned(name, series):
    """Teach a network with the arguments that `ichtrain` gives it for the patch."""
    row = ARCHITECTURES[name]
    arguments = row.arguments(PATCH_ZYX, SPACING_ZYX_MM, NARROW.get(name, WIDTH))
    return taught(name, row.registry_name, arguments, series)


def compact(series):
    """Teach the network that folds pixels, with two levels instead of five."""
    arguments = {"fold": 2, "features": [8, 16], "slice_strides": [1], "volume_levels": 1}
    return taught("compact", "CompactUNet", arguments, series)


def blast_ct(series):
    """Return the network of set weights that calls every voxel above 50 HU hematoma."""
    del series
    widths = {"features": [1] * 8, "joint_features": [4, 4]}
    card = blast_ct_card(
        name="toy-blast-ct",
        architecture_arguments={"networks": 1, **widths},
        spacing_zyx_mm=(2.5, 2.5, 2.5),
        patch_size_zyx=(30, 30, 30),
    )
    return Toy(network=ensemble(threshold_network()), card=card)


TOYS: dict[str, Callable[..., Toy]] = {
    **{name: partial(planned, name) for name in ARCHITECTURES},
    "compact": compact,
    "blast-ct": blast_ct,
}


@pytest.fixture(scope="module")
def series():
    return build_ct_series(
        slices=16, spacing_mm=5.0, shape_yx=(96, 96), field_of_view_mm=220.0, balls=[BALL]
    )


def taught(name, registry_name, arguments, series):
    """Return a network that has learnt the series' ball, and its card."""
    torch.manual_seed(0)
    card = ModelCard(
        name=f"toy-{name}",
        version="1",
        task="segmentation",
        architecture=registry_name,
        architecture_arguments=arguments,
        spacing_zyx_mm=SPACING_ZYX_MM,
        patch_size_zyx=PATCH_ZYX,
        intensity=INTENSITY,
        class_names=("background", "hematoma"),
        probability_cutoff=0.5,
        minimum_component_ml=1.0,
        training_cohort="one simulated ball",
        licence="Apache-2.0",
        intended_use="tests",
        demonstration=True,
    )
    network = build_network(registry_name, arguments)
    teach(network, *lesson(series, card))
    return Toy(network=network, card=card)


def lesson(series, card):
    """Return the one tile that the predictor makes of the series, and where its ball is."""
    recorder = Recorder()
    options = InferenceOptions(device=torch.device("cpu"), bfloat16=False)
    TiledPredictor(card, recorder, options).predict(read_ct_series(series))
    (tile,) = recorder.tiles
    tile = torch.from_numpy(tile.numpy().copy())  # the predictor made it in inference mode
    hu = tile[0, 0].numpy() * INTENSITY.sd + INTENSITY.mean
    # The skull's edges pass through the density of blood as well, in thin shells.
    parts, _ = ndimage.label(np.abs(hu - BLOOD_HU) < 15)  # halfway to the brain's 35 HU
    largest = 1 + np.argmax(np.bincount(parts.ravel())[1:])
    return tile, torch.from_numpy((parts == largest).astype(np.int64))[None]


def teach(network, tile, truth):
    """Fit the tile by Dice and cross-entropy until the ball is outlined well.

    The network stays as it is when it is used, so that what it is taught is what it will say;
    batch norms keep the statistics that they were born with.
    """
    network.eval()
    optimiser = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE)
    for _ in range(MOST_STEPS):
        logits = network(tile)
        ball = torch.softmax(logits, dim=1)[:, 1]
        found = ball.detach() > 0.5
        if 2 * (found & (truth == 1)).sum() > LEARNT_DICE * (found.sum() + truth.sum()):
            return
        overlap = (2 * (ball * truth).sum() + 10) / (ball.sum() + truth.sum() + 10)
        loss = 3 * functional.cross_entropy(logits, truth) + 1 - overlap
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()


def centre_of_mask(path):
    """Return the centre of mass of a DICOM SEG, patient coordinates, mm."""
    seg = highdicom.seg.segread(path)
    per_frame = seg.PerFrameFunctionalGroupsSequence
    shared = seg.SharedFunctionalGroupsSequence[0]
    pixel_mm = float(shared.PixelMeasuresSequence[0].PixelSpacing[0])
    points = []
    for frame, mask in zip(per_frame, np.atleast_3d(seg.pixel_array), strict=True):
        corner = np.array(frame.PlanePositionSequence[0].ImagePositionPatient, dtype=float)
        rows, columns = np.nonzero(mask)
        offsets = np.stack([columns * pixel_mm, rows * pixel_mm, np.zeros(len(rows))], axis=1)
        points.append(corner + offsets)
    return np.concatenate(points).mean(axis=0)


def dicom_files(folder):
    return itertools.chain(folder.glob("*.dcm"), folder.glob("*/*.dcm"))


def test_every_network_of_the_registry_is_run_here():
    """No architecture that a card may name is left out."""
    run = {row.registry_name for row in ARCHITECTURES.values()} | {"BlastCt"}

    assert run == set(BUILDERS)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", TOYS)
def test_a_network_finds_in_the_line_what_it_was_taught(name, series, tmp_path):
    """A ball of 65 mL is found within 30 % of its volume and 10 mm of its centre."""
    toy = TOYS[name](series)
    save_bundle(tmp_path / "bundle", toy.card, distinct_weights(toy.network))
    save_series(series, tmp_path / "series")

    command = ["analyze", "series", "--output", "out", "--segmentation", "bundle"]
    folders = {"series", "out", "bundle"}
    arguments = [str(tmp_path / word) if word in folders else word for word in command]
    result = CliRunner().invoke(app, arguments)

    assert result.exit_code == 0, result.output
    record = json.loads((tmp_path / "out" / "analysis.json").read_text())
    assert record["status"] == "hematoma_found"
    assert record["model"]["segmentation"]["name"] == f"toy-{name}"
    assert record["volume_ml"] == pytest.approx(BALL.volume_ml, rel=0.3)
    written = {pydicom.dcmread(path).SOPClassUID: path for path in dicom_files(tmp_path / "out")}
    assert {SEG, SR} <= set(written)
    distance = np.linalg.norm(centre_of_mask(written[SEG]) - BALL.center_lps_mm)
    assert distance < 10
