"""The window against the standard and pydicom."""

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_windowing

from pipeline.windowing import BRAIN_WINDOW, Window, apply_window, brain_window


@pytest.mark.parametrize(("hu", "level"), [(-1000, 0), (0, 0), (79, 255), (80, 255), (3000, 255)])
def test_brain_window_ends_where_the_standard_says(hu, level):
    """PS3.3 C.11.2.1.2.1: c = 40, w = 80 maps x <= 0 to the lowest and x > 79 to the highest."""
    assert brain_window(np.array([hu], dtype=np.int16))[0] == level


@pytest.mark.parametrize("window", [BRAIN_WINDOW, Window(level_hu=50, width_hu=120)])
def test_window_is_that_of_pydicom(window):
    """An independent implementation of the linear function gives the same grey levels."""
    values = np.arange(-200, 300, dtype=np.int16)
    data_set = Dataset()
    data_set.PhotometricInterpretation = "MONOCHROME2"
    data_set.BitsStored, data_set.PixelRepresentation = 16, 1
    data_set.WindowCenter, data_set.WindowWidth = window.level_hu, window.width_hu

    sixteen_bit = apply_windowing(values, data_set)  # -32768 .. 32767

    expected = (sixteen_bit + 32768) / 65535 * 255
    assert np.abs(apply_window(values, window) - expected).max() <= 0.5 + 1e-3


def test_a_window_without_width_is_refused():
    """The linear function divides by width minus one."""
    with pytest.raises(ValueError, match="width"):
        Window(level_hu=40, width_hu=1)
