"""The way from a generator's image to a slice's own size, such that the way back returns it.

Plain enlarging blurs: reduced again, the image is no longer the one that was drawn, and a
classifier sees a softness that real slices lack.

References
----------
.. [1] M. Irani, S. Peleg, "Improving Resolution by Image Registration", CVGIP 53 (1991):
   back-projection.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from pipeline.classification.transform import GREY_MIDDLE, to_input

WHITE = 255

#: Rounds of back-projection; more change less than a grey level.
_ROUNDS = 8


def to_native(square_yx: NDArray[np.float32], shape_yx: tuple[int, int]) -> NDArray[np.float32]:
    """Return an image of -1..1 as a slice of a size, in grey levels.

    Cubic enlarging, then back-projection [1]_: `pipeline.classification.transform.to_input` of
    the result is the image again, as nearly as black, white and the size allow.

    Parameters
    ----------
    square_yx : ndarray of float32, shape (S, S)
        -1..1, as the classifier's transform makes them.
    shape_yx : tuple of int
        Height and width of the slice.

    Returns
    -------
    ndarray of float32, shape `shape_yx`
        0..255, not yet rounded.
    """
    wanted = (torch.from_numpy(np.ascontiguousarray(square_yx))[None, None] + 1) * GREY_MIDDLE
    side = max(shape_yx)
    native = _resized(wanted, side, mode="bicubic").clamp(0, WHITE)
    for _ in range(_ROUNDS):
        missing = wanted - _resized(native, wanted.shape[-1], mode="bilinear")
        native = (native + _resized(missing, side, mode="bicubic")).clamp(0, WHITE)
    top, left = (side - shape_yx[0]) // 2, (side - shape_yx[1]) // 2
    slice_yx = native[0, 0, top : top + shape_yx[0], left : left + shape_yx[1]]
    return np.asarray(slice_yx.numpy(), dtype=np.float32)


def there_and_back(real_yx: NDArray[np.uint8], *, image_size: int) -> NDArray[np.float32]:
    """Return what is left of a real slice when it has passed through a generator's size.

    Parameters
    ----------
    real_yx : ndarray of uint8, shape (Y, X)
        Slice at native size.
    image_size : int
        Height and width of the generator's images.
    """
    small = to_input(real_yx, input_size=image_size)[0].numpy()
    return to_native(small, (real_yx.shape[0], real_yx.shape[1]))


def _resized(image: Tensor, side: int, *, mode: str) -> Tensor:
    return functional.interpolate(image, size=(side, side), mode=mode, antialias=True)
