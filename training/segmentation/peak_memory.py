"""The highest memory that a piece of work took."""

from pathlib import Path

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")

#: Writing this resets the process's highest resident size (man 5 proc).
_RESET_PEAK = "5"


class PeakMemory:
    """A mark from which the highest memory is measured.

    Parameters
    ----------
    device_type : str
        ``cuda`` measures what PyTorch allocates there, anything else the resident size of this
        process, as far as the system tells it.
    """

    def __init__(self, device_type: str) -> None:
        self._on_gpu = device_type == "cuda"
        if self._on_gpu:
            import torch

            torch.cuda.reset_peak_memory_stats()
        elif _CLEAR.exists():
            try:
                _CLEAR.write_text(_RESET_PEAK)
            except OSError:
                return  # not allowed here: the peak then counts from the start of the process

    @property
    def megabytes(self) -> float:
        """Highest memory since the mark, in 10^6 bytes."""
        if self._on_gpu:
            import torch

            return torch.cuda.max_memory_allocated() / 1e6
        if _STATUS.exists():
            for line in _STATUS.read_text().splitlines():
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024 / 1e6
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
