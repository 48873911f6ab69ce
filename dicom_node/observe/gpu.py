"""How full the memory of the GPUs is, asked of NVIDIA's own tool.

The office asks it, which has no network loaded: what the worker's allocator holds counts in it.
"""

import shutil
import subprocess
from dataclasses import dataclass

_TOOL = "nvidia-smi"
_PATIENCE_S = 5.0
_MEBIBYTE = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuMemory:
    """Memory of one GPU in bytes."""

    index: str
    used_bytes: int
    total_bytes: int


def gpu_memory() -> tuple[GpuMemory, ...]:
    """Return the memory of every GPU; none if there is no GPU, or its driver does not answer."""
    tool = shutil.which(_TOOL)
    if tool is None:
        return ()
    query = ("--query-gpu=index,memory.used,memory.total", "--format=csv,noheader,nounits")
    try:
        answer = subprocess.run(  # noqa: S603 - found on the path, constant arguments
            [tool, *query], capture_output=True, text=True, timeout=_PATIENCE_S, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(
        found for line in answer.stdout.splitlines() if (found := _memory(line)) is not None
    )


def _memory(line: str) -> GpuMemory | None:
    """Return what a line says; a GPU without a number says "[N/A]"."""
    fields = [field.strip() for field in line.split(",")]
    if len(fields) != 3 or not (fields[1].isdecimal() and fields[2].isdecimal()):  # noqa: PLR2004 - as queried
        return None
    return GpuMemory(
        index=fields[0],
        used_bytes=int(fields[1]) * _MEBIBYTE,
        total_bytes=int(fields[2]) * _MEBIBYTE,
    )
