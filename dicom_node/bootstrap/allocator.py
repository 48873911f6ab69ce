"""Memory that the allocator keeps for later, given back to the system."""

import ctypes
from collections.abc import Callable


def give_back_memory() -> None:
    """Return whole pages that are in no use any more (malloc_trim(3)); nothing without glibc.

    Every association has threads and buffers of its own for some seconds. What they leave between
    smaller things that stay adds up: without this the office grew by half a megabyte per thousand
    images although it kept nothing (docs/soak).
    """
    trim: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
