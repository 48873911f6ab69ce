"""The most memory that this process has held.

The kernel's `ru_maxrss` outlives `exec`: a child begins with the peak of the process that started
it, and a small measurement after a large one shows nothing. `VmHWM` begins anew.
"""

import resource
import sys
from pathlib import Path

_STATUS = Path("/proc/self/status")


def peak_bytes() -> int:
    """Return the peak of resident memory since this program began, in bytes."""
    if _STATUS.exists():
        for line in _STATUS.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kilobytes * (1 if sys.platform == "darwin" else 1024)
