"""Sheets of small images, for looking at many at once."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pipeline.classification.transform import GREY_MIDDLE

#: Dark grey between images, darker than brain and lighter than black.
_GAP, _GAP_GREY = 2, 40


def to_grey(images: Tensor) -> NDArray[np.uint8]:
    """Return images of -1..1 as grey levels, shape (N, Y, X).

    The inverse of the scaling in `pipeline.classification.transform`, rounded as the window is.
    """
    levels = np.rint((images[:, 0].float().numpy() + 1) * GREY_MIDDLE)
    return np.clip(levels, 0, 255).astype(np.uint8)


def write_sheet(
    path: Path, images: Sequence[NDArray[np.uint8]], *, columns: int = 8, enlarge: int = 1
) -> None:
    """Write images of one size as a PNG, row by row.

    Parameters
    ----------
    path : Path
        Of the picture; its folder is made if absent.
    images : sequence of ndarray of uint8, shape (Y, X)
        Grey levels.
    columns : int
        Images in a row.
    enlarge : int
        Pixels for each pixel.
    """
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = images[0].shape
    rows = -(-len(images) // columns)
    columns = min(columns, len(images))
    sheet = np.full(
        (rows * (height + _GAP) + _GAP, columns * (width + _GAP) + _GAP), _GAP_GREY, np.uint8
    )
    for number, image in enumerate(images):
        y = number // columns * (height + _GAP) + _GAP
        x = number % columns * (width + _GAP) + _GAP
        sheet[y : y + height, x : x + width] = image
    large = sheet.repeat(enlarge, axis=0).repeat(enlarge, axis=1)
    partial = path.with_name(f"{path.name}.part")
    Image.fromarray(large).save(partial, format="PNG")
    partial.replace(path)
