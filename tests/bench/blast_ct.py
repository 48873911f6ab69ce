"""Times BLAST-CT's fast engine beside the plain network, on published weights and a real head.

``python -m tests.bench blast-ct``; wants the reference data, `ICHNODE_DATA`. A whole head through
the plain network takes too long to repeat, so both run on the same block from the middle of the
head first, once the plain network as it was released and once with denormal floats flushed to
zero; then the node's predictor runs on the whole scan. Each run has a process of its own, which
warms up before the clock starts: ``python -m tests.bench.blast_ct NAME DATA NETWORK`` measures
one and prints JSON.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from tests.bench.memory import peak_bytes

CONSOLE = Console()
ROOT = Path(__file__).parents[2]
PATIENT = "091"

#: Block of 1 mm voxels, and which of its planes are slices.
BLOCK_ZYX, SLICE_STEP = (45, 60, 60), 5

PLAIN, FLUSHED, FAST, HEAD = "plain", "plain, denormals flushed", "fast", "whole head"
ON_BLOCK = (PLAIN, FLUSHED, FAST)
NETWORKS = (1, 2)


def bench_blast_ct(wanted: argparse.Namespace) -> dict[str, object]:
    """Time plain and fast on a block and fast on a head; show seconds, memory and difference."""
    data = data_folder()
    if data is None:
        CONSOLE.print("blast-ct: skipped, ICHNODE_DATA does not name the reference data")
        return {}
    results: dict[str, object] = {}
    for network in NETWORKS:
        runs: dict[str, list[dict[str, float]]] = {}
        for repetition in range(wanted.repetitions):
            for name in (*ON_BLOCK, HEAD):
                if name != PLAIN or repetition == 0:  # minutes long: once
                    runs.setdefault(name, []).append(_measured(name, data, network))
        results[str(network)] = _show(network, runs)
    return results


def data_folder() -> Path | None:
    """Return the folder of the reference data, None without."""
    folder = Path(os.environ.get("ICHNODE_DATA", "nowhere"))
    return folder.absolute() if (folder / "blast-ct-weights").is_dir() else None


def _measured(name: str, data: Path, network: int) -> dict[str, float]:
    command = [sys.executable, "-m", "tests.bench.blast_ct", name, str(data), str(network)]
    done = subprocess.run(command, check=True, capture_output=True, cwd=ROOT, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _show(network: int, runs: dict[str, list[dict[str, float]]]) -> dict[str, object]:
    table = Table(title=f"BLAST-CT network {network}, patient {PATIENT}")
    for column in ("what", "wall s", "CPU s", "peak MB", "x fast", "largest difference"):
        table.add_column(column, justify="left" if column == "what" else "right")
    medians = {
        name: {key: statistics.median(run[key] for run in found) for key in found[0]}
        for name, found in runs.items()
    }
    for name, median in medians.items():
        on_block = name in ON_BLOCK
        table.add_row(
            f"{name}, {'x'.join(map(str, BLOCK_ZYX))} mm" if on_block else name,
            f"{median['wall_s']:.1f}",
            f"{median['cpu_s']:.1f}",
            f"{median['peak_mb']:.0f}",
            f"{median['cpu_s'] / medians[FAST]['cpu_s']:.1f}" if on_block else "",
            f"{median['difference']:.1e}" if name == FAST else "",
        )
    CONSOLE.print(table)
    return {"runs": runs, "medians": medians}


def measure(name: str, data: Path, number: int) -> dict[str, float]:
    """Return seconds, megabytes beyond the loaded process and the largest softmax difference."""
    import torch

    from pipeline.segmentation.networks.blast_ct import DeepMedic, load_published

    torch.set_num_threads(os.cpu_count() or 1)
    checkpoint = data / "blast-ct-weights" / f"model_{number}.pt"
    if name == HEAD:
        return _head(data, checkpoint)
    network = DeepMedic().eval()
    load_published(network, torch.load(checkpoint, map_location="cpu", weights_only=True))
    block = torch.from_numpy(_block(data))
    if name == FAST:
        found, numbers = _timed(_fast(network, block))
        torch.set_flush_denormal(True)
        difference = np.abs(found - _plain(network, block)()).max()
        return {**numbers, "difference": float(difference)}
    torch.set_flush_denormal(name == FLUSHED)
    _, numbers = _timed(_plain(network, block))
    return {**numbers, "difference": 0.0}


def _plain(network, block) -> Callable[[], np.ndarray]:
    import torch

    def run() -> np.ndarray:
        with torch.inference_mode():
            return network(block[None, None]).softmax(1)[0, :, ::SLICE_STEP].numpy()

    return run


def _fast(network, block) -> Callable[[], np.ndarray]:
    import torch

    from pipeline.segmentation.blast_ct.engine import class_probabilities
    from pipeline.segmentation.blast_ct.folding import fold

    folded = fold(network, device=torch.device("cpu"))
    region = tuple(slice(0, size) for size in block.shape)
    planes = list(range(0, block.shape[0], SLICE_STEP))
    class_probabilities(folded, block, region=region, planes=planes[:1])
    return lambda: class_probabilities(folded, block, region=region, planes=planes)


def _head(data: Path, checkpoint: Path) -> dict[str, float]:
    import torch

    from pipeline.segmentation.blast_ct.published import import_networks
    from pipeline.segmentation.segmenter import load_segmenter

    scan = _scan(data)
    with tempfile.TemporaryDirectory() as scratch:
        bundle = import_networks([checkpoint], Path(scratch))
        segmenter = load_segmenter(bundle, device=torch.device("cpu"))
    segmenter.warm_up()
    _, numbers = _timed(lambda: segmenter.predict(scan))
    return {**numbers, "difference": 0.0}


def _timed(run: Callable[[], object]) -> tuple[object, dict[str, float]]:
    before_mb = _peak_mb()
    start, cpu = time.perf_counter(), time.process_time()
    result = run()
    return result, {
        "wall_s": time.perf_counter() - start,
        "cpu_s": time.process_time() - cpu,
        "peak_mb": _peak_mb() - before_mb,
    }


def _peak_mb() -> float:
    return peak_bytes() / 2**20


def _scan(data: Path):
    import pydicom

    from pipeline.ct_series import read_ct_series

    paths = sorted((data / "real-head-ct" / PATIENT).glob("*.dcm"))
    return read_ct_series([pydicom.dcmread(path) for path in paths])


def _block(data: Path) -> np.ndarray:
    """Return the normalised block in the middle of the head."""
    from pipeline.resampling import canonical_grid, resample_volume
    from pipeline.segmentation.blast_ct.published import INTENSITY
    from pipeline.segmentation.sampling import normalise

    scan = _scan(data)
    hu = resample_volume(scan, canonical_grid(scan.grid, (1.0, 1.0, 1.0)))
    starts = [(size - side) // 2 for size, side in zip(hu.shape, BLOCK_ZYX, strict=True)]
    middle = tuple(
        slice(start, start + side) for start, side in zip(starts, BLOCK_ZYX, strict=True)
    )
    return np.ascontiguousarray(normalise(hu[middle], INTENSITY))


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))) + "\n")
