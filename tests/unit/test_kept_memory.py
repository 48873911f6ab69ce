"""Large blocks of memory are reused by a process that asked for it."""

import platform
import subprocess
import sys

import pytest

#: Touches 64 MiB twenty times and prints how many pages the system had to give for it.
PROGRAM = """
import resource, sys
from pipeline.kept_memory import keep_freed_memory
import numpy as np
if sys.argv[1] == "keep":
    assert keep_freed_memory()
np.ones(1 << 26, np.uint8)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    np.ones(1 << 26, np.uint8)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, how],
        capture_output=True,
        text=True,
        check=True,
        env={"NUMPY_MADVISE_HUGEPAGE": "0"},
    )
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_the_same_pages_serve_one_tensor_after_the_other():
    """Twenty blocks of 64 MiB are 327,680 pages of 4 KiB; kept memory needs next to none."""
    assert faults("keep") < faults("leave") / 100
