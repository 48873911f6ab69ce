"""How much memory cases take, and a limit to it."""

import ctypes
import gc
import resource
from pathlib import Path

#: How much a process may have beside what it had before the first case.
SPARE_BYTES = 1 << 30

#: Looking costs a third of a millisecond, too much for each case.
_EVERY = 20

_STATUS = Path("/proc/self/status")
_RESET = Path("/proc/self/clear_refs")
#: Sets the peak to the present (proc(5)).
_PEAK_ONLY = "5"


def limit_memory(spare: int = SPARE_BYTES) -> None:
    """Let this process have little more memory than it has: a bomb ends as a MemoryError."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + spare
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


class Appetite:
    """Watches the resident memory of this process while cases run.

    Attributes
    ----------
    worst_mb : float
        The highest peak of twenty cases in a row above what there was before them.
    grown_mb : float
        What there is more in use at the end than after the good inputs: what the allocator holds
        for later, in pages that big cases left behind, is given back first.
    """

    def __init__(self) -> None:
        self.worst_mb = 0.0
        self.grown_mb = 0.0
        self._cases = 0
        self._first = self._before = 0.0

    def begin(self) -> None:
        """Begin after the good inputs: what they load is no fault of damage."""
        _give_back()
        self._first = self._before = self._reset()

    def after_case(self) -> None:
        """Look now and then."""
        self._cases += 1
        if self._cases % _EVERY == 0:
            self._look()

    def end(self) -> None:
        """Look a last time."""
        self._look()
        _give_back()
        self._before = self._reset()
        self.grown_mb = round(max(self._before - self._first, 0.0), 1)

    def _look(self) -> None:
        peak, _ = _peak_and_present_mb()
        self.worst_mb = max(self.worst_mb, round(peak - self._before, 1))
        self._before = self._reset()

    def _reset(self) -> float:
        _RESET.write_text(_PEAK_ONLY)
        return _peak_and_present_mb()[1]


def _give_back() -> None:
    """Let the system have what is in no use any more (malloc_trim(3); glibc only)."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _peak_and_present_mb() -> tuple[float, float]:
    lines = dict(line.split(":", 1) for line in _STATUS.read_text().splitlines() if ":" in line)
    peak, present = (int(lines[name].split()[0]) / 1024 for name in ("VmHWM", "VmRSS"))
    return peak, present
