"""Times the backends of the selective scan, each in a process of its own, beside their peers.

``python -m tests.bench scan``; a run as ``python -m tests.bench.scan PEER TOKENS`` measures one
and prints JSON. Memory is the peak beyond the operands and their gradients: of the process on a
processor, of the allocator on CUDA.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.bench.memory import peak_bytes

CONSOLE = Console()
ROOT = Path(__file__).parents[2]
CHANNELS, STATES = 64, 16

#: The measure of the ratios.
OURS = "chunked"

#: Peers by name; the first four are backends of this project's function.
PEERS = ("chunked", "reference", "triton", "mamba_ssm", "mambapy")

#: Tokens up to which a peer is asked: the plain loop takes 0.1 ms a token and keeps all states,
#: mambapy keeps four times the states.
LIMITS = {"reference": 4096, "mambapy": 65536}
LENGTHS = (4096, 65536, 262144)


def bench_scan(wanted: argparse.Namespace) -> dict[str, object]:
    """Time forward and forward with backward over growing lengths; show ratios and memory."""
    results: dict[str, object] = {}
    for tokens in LENGTHS:
        found: dict[str, list[dict[str, float]]] = {}
        for _ in range(wanted.repetitions):
            for peer in PEERS:
                reason = _why_not(peer, tokens)
                if reason:
                    results.setdefault(peer, f"skipped from {tokens} tokens on: {reason}")
                    continue
                found.setdefault(peer, []).append(_measured(peer, tokens))
        results[str(tokens)] = _show(tokens, found)
    for name, reason in results.items():
        if isinstance(reason, str):
            CONSOLE.print(f"{name}: {reason}")
    return results


def _why_not(peer: str, tokens: int) -> str:
    import torch

    from pipeline.segmentation.selective_scan.backends import why_unusable

    if tokens > LIMITS.get(peer, tokens):
        return "too slow, or too large"
    if peer == "mambapy":
        return "" if find_spec("mambapy") else "it is not installed"
    return why_unusable(peer, torch.device(_device()))


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _measured(peer: str, tokens: int) -> dict[str, float]:
    command = [sys.executable, "-m", "tests.bench.scan", peer, str(tokens)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    measured: dict[str, float] = json.loads(done.stdout)
    return measured


def _show(tokens: int, found: dict[str, list[dict[str, float]]]) -> dict[str, object]:
    title = f"selective scan, {tokens} tokens, {CHANNELS} channels, {STATES} states, {_device()}"
    table = Table(title=title)
    columns = ("forward s", "forward + backward s", "peak MiB beyond operands")
    for column in ("what", *columns, f"time x {OURS}", f"memory x {OURS}"):
        table.add_column(column, justify="left" if column == "what" else "right")
    shown: dict[str, object] = {}
    for peer, runs in found.items():
        both = list(zip(runs, found[OURS], strict=True))
        ratios = {
            name: statistics.median(
                max(run[name], least) / max(ours[name], least) for run, ours in both
            )
            # A peak below 1 MiB is hidden under that of the first call.
            for name, least in (("train_s", 1e-9), ("peak_mib", 1.0))
        }
        middle = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
        table.add_row(
            peer,
            f"{middle['forward_s']:.3f}",
            f"{middle['train_s']:.3f}",
            f"{middle['peak_mib']:.0f}",
            f"{ratios['train_s']:.2f}",
            f"{ratios['peak_mib']:.2f}",
        )
        shown[peer] = {"runs": runs, "median_ratios": ratios}
    CONSOLE.print(table)
    return shown


def _measure(peer: str, tokens: int) -> dict[str, float]:
    """Return seconds and peak memory of one peer, after a short first call."""
    import torch

    device = _device()
    scan = _mambapy() if peer == "mambapy" else _ours(peer)
    _train(scan, _operands(256, device))
    operands = _operands(tokens, device)
    # Gradients take as much as the operands; they are there before memory is read.
    for value in operands.values():
        value.grad = torch.ones_like(value)
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    before = _peak_bytes(device)
    with torch.no_grad():
        forward = _seconds(lambda: scan(operands), device)
    train = _seconds(lambda: _train(scan, operands), device)
    peak = (_peak_bytes(device) - before) / 2**20
    return {"forward_s": forward, "train_s": train, "peak_mib": peak}


def _operands(tokens: int, device: str) -> dict:
    import torch

    torch.manual_seed(0)
    per_token, per_state = (1, CHANNELS, tokens), (1, STATES, tokens)
    return {
        "x": torch.randn(per_token, device=device, requires_grad=True),
        "dt": (torch.randn(per_token, device=device) - 4).requires_grad_(),
        "a": (-torch.arange(1.0, STATES + 1, device=device).repeat(CHANNELS, 1)).requires_grad_(),
        "b": torch.randn(per_state, device=device, requires_grad=True),
        "c": torch.randn(per_state, device=device, requires_grad=True),
        "d": torch.ones(CHANNELS, device=device, requires_grad=True),
        "z": torch.randn(per_token, device=device, requires_grad=True),
    }


def _ours(backend: str) -> Callable:
    from pipeline.segmentation.selective_scan.scan import selective_scan

    return lambda operands: selective_scan(**operands, backend=backend)


def _mambapy() -> Callable:
    """Return the scan as mambapy's block calls its parallel scan; tokens come before channels."""
    import torch
    from mambapy.pscan import pscan
    from torch.nn import functional

    def scan(of: dict) -> torch.Tensor:
        x, step, b, c, z = (of[name].transpose(1, 2) for name in ("x", "dt", "b", "c", "z"))
        step = functional.softplus(step)
        decay = torch.exp(step.unsqueeze(-1) * of["a"])
        drive = step.unsqueeze(-1) * b.unsqueeze(2) * x.unsqueeze(-1)
        states = pscan(decay, drive)
        y = (states @ c.unsqueeze(-1)).squeeze(3) + of["d"] * x
        return (y * functional.silu(z)).transpose(1, 2)

    return scan


def _train(scan: Callable, operands: dict) -> None:
    scan(operands).sum().backward()


def _seconds(call: Callable[[], object], device: str) -> float:
    import torch

    start = time.perf_counter()
    call()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def _peak_bytes(device: str) -> int:
    import torch

    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    return peak_bytes()


if __name__ == "__main__":
    import torch

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or torch.get_num_threads()))
    print(json.dumps(_measure(sys.argv[1], int(sys.argv[2]))))
