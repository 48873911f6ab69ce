"""How captures show the hematoma."""

from enum import StrEnum


class CaptureStyle(StrEnum):
    """Values of ``results.capture_style``."""

    CONTOUR = "contour"  #: an outline on the pixels just outside
    PAINT = "paint"  #: the outline, and the hematoma behind coloured glass
