"""Freed memory kept for the next tensor instead of being given back to the system."""

import ctypes
import sys

#: Parameters of mallopt(3), from glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3

#: Blocks up to this size come from the heap, in bytes; more is beyond any tensor of a head.
_LARGEST = 1 << 30

_NEVER = (1 << 31) - 1


def keep_freed_memory() -> bool:
    """Let this process reuse large blocks of memory; return whether the C library can.

    glibc maps every large block anew and unmaps it when it is freed, so that each activation of
    a network on a CPU costs a page fault every 4 KiB: measured, a quarter to a third of the
    time of nnU-Net's networks. Kept on the heap the pages are there already. The process then
    stays as large as it once was, as fits one that holds warm models.
    """
    if sys.platform != "linux":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return False
    return bool(mallopt(_MMAP_THRESHOLD, _LARGEST)) and bool(mallopt(_TRIM_THRESHOLD, _NEVER))
