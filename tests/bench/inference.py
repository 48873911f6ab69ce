"""Times a segmentation network run by nnU-Net and by us, on the same weights, end to end.

From an array in HU with its spacing to a mask on the same grid: resampling, normalisation, all
tiles, resampling of the logits, and the mask. The weights are trained for some seconds first,
as the mask of a random network is noise. On a CPU no mirrored copies are made, on CUDA all
eight; nnU-Net and we make the same ones.
"""

import contextlib
import copy
import io
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from nnunet_model import CONFIGURATION, TRAINER, TrainedModel, head_hu, trained_model
from rich.console import Console
from rich.table import Table

from pipeline.segmentation.inference_options import InferenceOptions
from pipeline.segmentation.nnunet_import import bundle_from_nnunet
from pipeline.segmentation.predictors import load_network
from pipeline.segmentation.tiled_predictor import SURE_BACKGROUND, TiledPredictor
from pipeline.volume import CtVolume, regular_grid

#: A head as a site sends it: 5 mm slices of 512 x 512 over 230 mm.
SHAPE, SPACING = (20, 512, 512), (5.0, 0.45, 0.45)

#: nnU-Net's plan for 5 x 0.5 x 0.5 mm, with half its features so that a run ends soon.
PATCH, PLANNED_SPACING = (16, 320, 320), (5.0, 0.5, 0.5)
FEATURES = (16, 32, 64, 128, 160, 160)
STRIDES = [[1, 1, 1], [1, 2, 2], [1, 2, 2], [2, 2, 2], [2, 2, 2], [1, 2, 2]]
KERNELS = [[1, 3, 3], [1, 3, 3], [3, 3, 3], [3, 3, 3], [3, 3, 3], [3, 3, 3]]
TRAINING_PATCH, TRAINING_STEPS = (16, 64, 64), 120

STEP = 0.5


@dataclass(kw_only=True)
class Contestant:
    """One way from HU to the mask, and what came of it."""

    run: Callable[[], np.ndarray]
    wall_s: list[float]
    cpu_s: list[float]
    mask: np.ndarray | None = None
    logits: np.ndarray | None = None


def bench_inference(console: Console, *, repetitions: int) -> dict[str, object]:
    """Return seconds, ratios and agreement; prints them as a table."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    mirrored = (0, 1, 2) if device.type == "cuda" else ()
    model = _model()
    volume = CtVolume(hu_zyx=head_hu(SHAPE, SPACING), grid=regular_grid(SHAPE, SPACING))
    contestants = {"nnU-Net": _nnunet(model, volume, device=device, mirrored=mirrored)}
    ways: dict[str, dict[str, bool]] = {
        "ours, same tiles, float32": {"whole_field": True, "bfloat16": False},
        "ours, same tiles": {"whole_field": True},
        "ours, as the service runs": {},
    }
    with tempfile.TemporaryDirectory() as scratch:
        bundle = bundle_from_nnunet(model.save(Path(scratch) / "model"), Path(scratch) / "bundle")
        for name, way in ways.items():
            options = InferenceOptions(device=device, step=STEP, mirror_axes=mirrored, **way)
            predictor = TiledPredictor(bundle.card, load_network(bundle), options)
            predictor.warm_up()
            contestants[name] = _ours(predictor, volume)
    for _ in range(repetitions):
        for contestant in contestants.values():
            _time(contestant)
    _say_settings(console, device, mirrored)
    return _show(console, contestants)


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


def _nnunet(
    model: TrainedModel, volume: CtVolume, *, device: torch.device, mirrored: tuple[int, ...]
) -> Contestant:
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    with contextlib.redirect_stdout(io.StringIO()):
        predictor = nnUNetPredictor(
            tile_step_size=STEP, use_mirroring=bool(mirrored), device=device, allow_tqdm=False
        )
    plans = PlansManager(model.plans)
    predictor.manual_initialization(
        copy.deepcopy(model.network),
        plans,
        plans.get_configuration(CONFIGURATION),
        [model.network.state_dict()],
        model.dataset,
        TRAINER,
        mirrored or None,
    )
    predict = predictor.predict_logits_from_preprocessed_data

    def keeping(data: torch.Tensor) -> torch.Tensor:
        logits = predict(data)
        contestant.logits = (logits[1].float() - logits[0].float()).cpu().numpy()
        return logits

    predictor.predict_logits_from_preprocessed_data = keeping
    image = volume.hu_zyx[None].astype(np.float32)
    contestant = Contestant(
        run=lambda: predictor.predict_single_npy_array(image, {"spacing": list(SPACING)}) == 1,
        wall_s=[],
        cpu_s=[],
    )
    return contestant


def _ours(predictor: TiledPredictor, volume: CtVolume) -> Contestant:
    predict = predictor._logits

    def keeping(sampled, box, **rest) -> np.ndarray:
        logits = predict(sampled, box, **rest)
        whole = np.full(sampled.image_zyx.shape, -SURE_BACKGROUND, dtype=np.float32)
        whole[box] = logits[0]
        contestant.logits = np.where(sampled.head_zyx, whole, np.nan)
        return logits

    predictor._logits = keeping
    contestant = Contestant(
        run=lambda: predictor.predict(volume).hematoma_zyx >= 0.5, wall_s=[], cpu_s=[]
    )
    return contestant


def _time(contestant: Contestant) -> None:
    wall, cpu = time.perf_counter(), time.process_time()
    contestant.mask = contestant.run()
    contestant.wall_s.append(time.perf_counter() - wall)
    contestant.cpu_s.append(time.process_time() - cpu)


def _say_settings(console: Console, device: torch.device, mirrored: tuple[int, ...]) -> None:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    console.print(
        f"inference: {name}, {torch.get_num_threads()} threads, torch {torch.__version__}; "
        f"{SHAPE} voxels of {SPACING} mm; PlainConvUNet {FEATURES}, patch {PATCH} of "
        f"{PLANNED_SPACING} mm, step {STEP}, mirrored axes {mirrored or 'none'}; "
        f"bfloat16 {InferenceOptions(device=device).computes_bfloat16}"
    )


def _show(console: Console, contestants: dict[str, Contestant]) -> dict[str, object]:
    table = Table(title="HU to mask; times faster is the median of ratios within a repetition")
    columns = ("what", "wall s", "CPU s", "x faster", "x less CPU", "Dice", "logit diff", "99.9 %")
    for column in columns:
        table.add_column(column, justify="left" if column == "what" else "right")
    peer = contestants["nnU-Net"]
    results: dict[str, object] = {}
    for name, one in contestants.items():
        row = _compared(one, peer)
        results[name] = {**row, "wall_s": one.wall_s, "cpu_s": one.cpu_s}
        table.add_row(
            name,
            f"{statistics.median(one.wall_s):.1f}",
            f"{statistics.median(one.cpu_s):.1f}",
            f"{row['times_faster']:.2f}",
            f"{row['times_less_cpu']:.2f}",
            f"{row['dice']:.5f}",
            f"{row['largest_logit_difference']:.3f}",
            f"{row['logit_difference_999']:.4f}",
        )
    console.print(table)
    assert peer.mask is not None
    assert peer.logits is not None
    console.print(
        f"nnU-Net's mask has {int(peer.mask.sum())} voxels; logits are compared in the head, "
        f"nnU-Net sums them in half precision; their SD is {float(np.std(peer.logits)):.1f}"
    )
    return results


def _compared(one: Contestant, peer: Contestant) -> dict[str, float]:
    assert one.mask is not None
    assert peer.mask is not None
    assert one.logits is not None
    assert peer.logits is not None
    both = one.mask & peer.mask
    difference = np.abs(one.logits - peer.logits)
    return {
        "times_faster": _ratio(peer.wall_s, one.wall_s),
        "times_less_cpu": _ratio(peer.cpu_s, one.cpu_s),
        "dice": float(2 * both.sum() / (one.mask.sum() + peer.mask.sum())),
        "largest_logit_difference": float(np.nanmax(difference)),
        "logit_difference_999": float(np.nanquantile(difference, 0.999)),
    }


def _ratio(slower: list[float], faster: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(slower, faster, strict=True))
