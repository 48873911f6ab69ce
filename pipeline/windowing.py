"""The window: Hounsfield units to the grey levels that a reader, human or network, sees."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A linear display window.

    Attributes
    ----------
    level_hu : float
        Window Center (0028,1050).
    width_hu : float
        Window Width (0028,1051).

    Raises
    ------
    ValueError
        If the width is not greater than 1, which the linear rule needs.
    """

    level_hu: float
    width_hu: float

    def __post_init__(self) -> None:
        if self.width_hu <= 1:
            raise ValueError(f"Window width must be greater than 1 HU, got {self.width_hu}")


#: The brain window of the npj paper (stage 3, "window level 40 HU, window width 80 HU").
BRAIN_WINDOW = Window(level_hu=40, width_hu=80)


def apply_window(hu: NDArray[np.generic], window: Window) -> NDArray[np.uint8]:
    """Return grey levels 0..255 by the linear VOI function of DICOM.

    With centre c and width w a value x becomes 0 for ``x <= c - 0.5 - (w - 1) / 2``, 255 for
    ``x > c - 0.5 + (w - 1) / 2``, and ``((x - (c - 0.5)) / (w - 1) + 0.5) * 255`` between,
    rounded to the nearest level. For 40/80 this puts 0 HU at level 0 and 79 HU at level 255.

    Parameters
    ----------
    hu : ndarray, any shape
        Hounsfield units.
    window : Window
        Level and width.

    Returns
    -------
    ndarray of uint8
        Same shape as `hu`.

    References
    ----------
    .. [1] DICOM PS3.3, section C.11.2.1.2.1 "Default LINEAR Function".
    """
    centre = window.level_hu - 0.5
    fraction = (hu.astype(np.float32) - centre) / (window.width_hu - 1) + 0.5
    return np.asarray(np.rint(np.clip(fraction, 0.0, 1.0) * 255), dtype=np.uint8)


def brain_window(hu: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Return `hu` in the brain window 40/80 as grey levels 0..255, same shape."""
    return apply_window(hu, BRAIN_WINDOW)
