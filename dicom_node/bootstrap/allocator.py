"""Memory that the allocator keeps for later, given back to the system."""

import ctypes
from collections.abc import Callable


def give_back_memory() -> None:
    """Return whole pages that are in no use any more (malloc_trim(3)); nothing without glibc.

    Big objects that have come and gone leave holes between small ones that stay: a peak of one
    minute would be kept for as long as the process lives (docs/fuzz/findings.md has figures).
    """
    trim: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
