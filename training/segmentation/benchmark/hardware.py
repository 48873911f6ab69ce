"""The machine in words."""

import platform
from pathlib import Path

import torch

_CPU_INFO = Path("/proc/cpuinfo")


def describe_hardware(device: torch.device) -> str:
    """Return processor, threads, GPU if it is used, and the version of PyTorch."""
    parts = [f"{_processor()}, {torch.get_num_threads()} thread(s)"]
    if device.type == "cuda":
        parts.insert(0, torch.cuda.get_device_name(device))
    return f"{'; '.join(parts)}; PyTorch {torch.__version__}"


def _processor() -> str:
    """Return the processor's own name where the system tells it."""
    if _CPU_INFO.exists():
        for line in _CPU_INFO.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
