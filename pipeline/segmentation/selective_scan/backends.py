"""Which backends of the scan can run on a device."""

from importlib.util import find_spec
from typing import Literal

import torch

Backend = Literal["auto", "reference", "chunked", "triton", "mamba_ssm"]


def choose_backend(device: torch.device) -> Backend:
    """Return the fastest backend that can run on a device."""
    if device.type != "cuda":
        return "chunked"
    preferred: tuple[Backend, ...] = ("mamba_ssm", "triton")
    return next((name for name in preferred if not why_unusable(name, device)), "chunked")


def why_unusable(backend: Backend, device: torch.device) -> str:
    """Return why a backend cannot run on a device; empty if it can."""
    if backend == "mamba_ssm":
        if device.type != "cuda":
            return f"mamba-ssm runs on CUDA, not on {device.type}"
        return "" if _installed("selective_scan_cuda", "mamba_ssm") else "it is not installed"
    if backend == "triton":
        if not _installed("triton"):
            return "triton is not installed"
        if device.type == "cuda" or _interpreted():
            return ""
        return f"Triton runs on CUDA, not on {device.type} (except with TRITON_INTERPRET=1)"
    return ""


def _installed(*packages: str) -> bool:
    return all(find_spec(package) is not None for package in packages)


def _interpreted() -> bool:
    from triton import knobs  # type: ignore[import-untyped] # ships no types

    return bool(knobs.runtime.interpret)
