"""What the receiver keeps out of its memory: it never decodes a pixel.

pydicom loads every decoder that is installed as soon as it is imported, and arrays with them: half
of what a receiver would hold in memory, for code that it must never call.
"""

import sys
from typing import Final

#: Decoders of pixels and what comes with them; pydicom does without each of them.
_DECODERS: Final = (
    "gdcm",
    "jpeg_ls",
    "libjpeg",
    "numpy",
    "openjpeg",
    "PIL",
    "pylibjpeg",
    "requests",
    "rle",
)


def leave_decoders_out() -> None:
    """Have this process import none of them, ever; before pydicom is imported."""
    for name in _DECODERS:
        # What is None there cannot be imported (Python's reference, section 5.3.1).
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]  # typeshed knows modules only
