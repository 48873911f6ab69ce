"""Memory that the allocator keeps for later, given back to the system."""

import ctypes
import gc
from collections.abc import Callable


def give_back_memory() -> None:
    """Return whole pages that are in no use any more (malloc_trim(3)); none without glibc.

    Big objects that have come and gone leave holes between small ones that stay: a peak of one
    minute would be kept for as long as the process lives (docs/fuzz/findings.md has figures).
    Associations that have ended hold each other in circles, which Python by itself looks for more
    and more seldom the more there is in memory: by then they have 15 MiB (docs/soak).
    """
    gc.collect()
    trim: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
