"""A capture as browsers show it: its picture as PNG, and what is to be seen in it."""

import io
from pathlib import Path

import pydicom
from PIL import Image
from pydicom.errors import InvalidDicomError

from dicom_node.results import wording
from dicom_node.results.errors import ResultError

#: Where the sentence about the picture begins in the capture's comment.
_OPENING = f"{wording.RESEARCH_LINE}. "


def capture_png(path: Path) -> bytes:
    """Return the picture of a capture of this node as PNG.

    Raises
    ------
    ResultError
        If the file is none, or cannot be decoded.
    OSError
        If it cannot be read.
    """
    try:
        pixels = pydicom.dcmread(path).pixel_array
        made = io.BytesIO()
        Image.fromarray(pixels, "RGB").save(made, "PNG", compress_level=1)
    except (InvalidDicomError, AttributeError, ValueError, RuntimeError, KeyError) as error:
        raise ResultError(f"no capture that can be shown: {type(error).__name__}") from error
    return made.getvalue()


def what_is_shown(path: Path) -> str:
    """Return what a capture shows, without its full stop; empty if it cannot be read."""
    try:
        header = pydicom.dcmread(path, specific_tags=["ImageComments"], stop_before_pixels=True)
    except (InvalidDicomError, OSError, ValueError):
        return ""
    comment = str(header.get("ImageComments", ""))
    return comment.removeprefix(_OPENING).removesuffix(".") if _OPENING in comment else ""
