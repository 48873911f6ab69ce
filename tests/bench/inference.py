"""Times a segmentation network run by nnU-Net and by us, on the same weights, end to end.

From an array in HU with its spacing to a mask on the same grid: resampling, normalisation, all
tiles, resampling of the logits, and the mask. The weights are trained for some seconds first,
as the mask of a random network is noise. Each run has a process of its own, which loads the
model and runs it once on a tile before the clock starts: ``python -m tests.bench.inference NAME
FOLDER`` measures one and prints JSON. With mirrored copies nnU-Net is timed once only.
"""

import contextlib
import copy
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from nnunet_model import CONFIGURATION, TrainedModel, head_hu, trained_model
from rich.console import Console
from rich.table import Table

from pipeline.kept_memory import keep_freed_memory
from pipeline.model_bundle import load_bundle
from pipeline.segmentation.inference_options import InferenceOptions
from pipeline.segmentation.nnunet_import import bundle_from_nnunet
from pipeline.segmentation.predictors import load_network
from pipeline.segmentation.tiled_predictor import SURE_BACKGROUND, TiledPredictor
from pipeline.volume import CtVolume, regular_grid

ROOT = Path(__file__).parents[2]

#: A head as a site sends it: 5 mm slices of 512 x 512 over 230 mm.
SHAPE, SPACING = (20, 512, 512), (5.0, 0.45, 0.45)

#: What nnU-Net plans for head CT, with half its features so that a run ends soon.
PATCH, PLANNED_SPACING = (20, 320, 256), (5.0, 0.5, 0.5)
FEATURES = (16, 32, 64, 128, 160, 160, 160)
STRIDES = [[1, 1, 1], [1, 2, 2], [1, 2, 2], [1, 2, 2], [2, 2, 2], [2, 2, 2], [1, 2, 2]]
KERNELS = [[1, 3, 3]] * 3 + [[3, 3, 3]] * 4
TRAINING_PATCH, TRAINING_STEPS = (20, 64, 64), 60

STEP, ALL_AXES = 0.5, (0, 1, 2)


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """One way from HU to the mask.

    Attributes
    ----------
    ours : dict or None
        Options of our predictor; None is nnU-Net's.
    mirrored : bool
        Whether the copies mirrored over all axes are averaged in.
    """

    ours: dict[str, bool] | None = None
    mirrored: bool = False


#: By name. nnU-Net mirrors by default, the service does not; both halve the tile as a step.
CONTESTANTS = {
    "nnU-Net": Contestant(),
    "nnU-Net, mirrored": Contestant(mirrored=True),
    "same tiles, float32": Contestant(ours={"whole_field": True, "bfloat16": False}),
    "same tiles": Contestant(ours={"whole_field": True}),
    "as the service runs": Contestant(ours={}),
}
PEER, PEER_DEFAULT, SERVICE = "nnU-Net", "nnU-Net, mirrored", "as the service runs"


@dataclass(frozen=True, kw_only=True)
class Run:
    """Seconds, mask and logit difference of one contestant; logits outside the head are NaN."""

    wall_s: float
    cpu_s: float
    mask: np.ndarray
    logits: np.ndarray


def bench_inference(console: Console, *, repetitions: int) -> dict[str, object]:
    """Return seconds, ratios and agreement; prints them as a table."""
    runs: dict[str, list[Run]] = {name: [] for name in CONTESTANTS}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        bundle_from_nnunet(_model().save(folder / "model"), folder / "bundle")
        for repetition in range(repetitions):
            for name in CONTESTANTS:
                if name != PEER_DEFAULT or repetition == 0:
                    runs[name].append(_run_apart(name, folder))
    _say_settings(console)
    return _show(console, runs)


def _model() -> TrainedModel:
    """Return the network, trained on small patches, with the plans' patch set afterwards."""
    model = trained_model(
        steps=TRAINING_STEPS,
        patch=TRAINING_PATCH,
        spacing=PLANNED_SPACING,
        features=FEATURES,
        strides=STRIDES,
        kernels=KERNELS,
    )
    plans = copy.deepcopy(model.plans)
    plans["configurations"][CONFIGURATION]["patch_size"] = list(PATCH)
    return TrainedModel(plans=plans, dataset=model.dataset, network=model.network)


def _run_apart(name: str, folder: Path) -> Run:
    command = [sys.executable, "-m", "tests.bench.inference", name, str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    with np.load(folder / "run.npz") as arrays:
        return Run(**json.loads(done.stdout.splitlines()[-1]), **arrays)


def _measure(name: str, folder: Path) -> dict[str, float]:
    """Run one contestant; leave mask and logits in the folder and return the seconds."""
    contestant = CONTESTANTS[name]
    make = _nnunet if contestant.ours is None else _ours
    run, logits = make(folder, contestant)
    wall, cpu = time.perf_counter(), time.process_time()
    mask = run()
    seconds = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
    np.savez(folder / "run.npz", mask=mask, logits=logits[0])
    return seconds


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _head() -> np.ndarray:
    return head_hu(SHAPE, SPACING)


Ready = tuple[Callable[[], np.ndarray], list[np.ndarray]]


def _nnunet(folder: Path, contestant: Contestant) -> Ready:
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    predictor = nnUNetPredictor(
        tile_step_size=STEP,
        use_mirroring=contestant.mirrored,
        device=_device(),
        perform_everything_on_device=True,
        allow_tqdm=False,
    )
    predictor.initialize_from_trained_model_folder(str(folder / "model"), (0,))
    logits: list[np.ndarray] = []
    predict = predictor.predict_logits_from_preprocessed_data

    def keeping(data: torch.Tensor) -> torch.Tensor:
        found = predict(data)
        logits.append((found[1].float() - found[0].float()).cpu().numpy())
        return found

    predict(torch.zeros((1, *PATCH)))
    predictor.predict_logits_from_preprocessed_data = keeping
    image = _head()[None].astype(np.float32)
    stated = {"spacing": list(SPACING)}
    return lambda: predictor.predict_single_npy_array(image, stated) == 1, logits


def _ours(folder: Path, contestant: Contestant) -> Ready:
    assert contestant.ours is not None
    keep_freed_memory()  # as the node does before it loads its models
    bundle = load_bundle(folder / "bundle", task="segmentation")
    options = InferenceOptions(
        device=_device(),
        step=STEP,
        mirror_axes=ALL_AXES if contestant.mirrored else (),
        **contestant.ours,
    )
    predictor = TiledPredictor(bundle.card, load_network(bundle), options)
    logits: list[np.ndarray] = []
    predict = predictor._logits

    def keeping(sampled, box, **rest) -> np.ndarray:
        found = predict(sampled, box, **rest)
        whole = np.full(sampled.image_zyx.shape, -SURE_BACKGROUND, dtype=np.float32)
        whole[box] = found[0]
        logits.append(np.where(sampled.head_zyx, whole, np.nan))
        return found

    predictor.warm_up()
    predictor._logits = keeping
    volume = CtVolume(hu_zyx=_head(), grid=regular_grid(SHAPE, SPACING))
    return lambda: predictor.predict(volume).hematoma_zyx >= 0.5, logits


def _say_settings(console: Console) -> None:
    device = _device()
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    console.print(
        f"inference: {name}, {torch.get_num_threads()} threads, torch {torch.__version__}; "
        f"{SHAPE} voxels of {SPACING} mm; PlainConvUNet {FEATURES}, patch {PATCH} of "
        f"{PLANNED_SPACING} mm, step {STEP}, not mirrored but where it says so; ours in "
        f"{'bfloat16' if InferenceOptions(device=device).computes_bfloat16 else 'float32'} but "
        "where it says so. Same tiles: over the whole field; the service: over the head's box"
    )


def _show(console: Console, runs: dict[str, list[Run]]) -> dict[str, object]:
    table = Table(title="HU to mask; times faster is the median of ratios within a repetition")
    columns = ("what", "wall s", "CPU s", "x faster", "x less CPU", "Dice", "logit diff", "99.9 %")
    for column in columns:
        table.add_column(column, justify="left" if column == "what" else "right")
    results: dict[str, object] = {}
    for name, own in runs.items():
        row = _compared(own, runs[PEER])
        seconds = {"wall_s": [one.wall_s for one in own], "cpu_s": [one.cpu_s for one in own]}
        results[name] = {**row, **seconds}
        table.add_row(
            name,
            f"{statistics.median(seconds['wall_s']):.1f}",
            f"{statistics.median(seconds['cpu_s']):.1f}",
            f"{row['times_faster']:.2f}",
            f"{row['times_less_cpu']:.2f}",
            f"{row['dice']:.5f}",
            f"{row['largest_logit_difference']:.3f}",
            f"{row['logit_difference_999']:.4f}",
        )
    console.print(table)
    default = _compared(runs[SERVICE][:1], runs[PEER_DEFAULT])["times_faster"]
    results["defaults, times faster"] = default
    peer = runs[PEER][0]
    console.print(
        f"Each by its defaults (nnU-Net mirrored, the service not): {default:.1f} times faster. "
        f"nnU-Net's mask has {int(peer.mask.sum())} voxels; logits are compared in the head, "
        f"nnU-Net sums them in half precision; their SD is {float(np.std(peer.logits)):.1f}. "
        "A network trained for seconds depends on where tiles lie: Dice counts on the same tiles."
    )
    return results


def _compared(own: list[Run], peer: list[Run]) -> dict[str, float]:
    """Return the ratios of a contestant's runs, and how the first agree."""
    pairs = list(zip(own, peer, strict=False))
    one, other = pairs[0]
    difference = np.abs(one.logits - other.logits)
    both = one.mask & other.mask
    return {
        "times_faster": statistics.median(b.wall_s / a.wall_s for a, b in pairs),
        "times_less_cpu": statistics.median(b.cpu_s / a.cpu_s for a, b in pairs),
        "dice": float(2 * both.sum() / (one.mask.sum() + other.mask.sum())),
        "largest_logit_difference": float(np.nanmax(difference)),
        "logit_difference_999": float(np.nanquantile(difference, 0.999)),
    }


if __name__ == "__main__":
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or torch.get_num_threads()))
    with contextlib.redirect_stdout(io.StringIO()):  # nnU-Net prints
        measured = _measure(sys.argv[1], Path(sys.argv[2]))
    print(json.dumps(measured))
