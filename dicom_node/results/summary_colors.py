"""The colours of summary pictures, legible on a dark ground."""

from typing import Final

BACKGROUND: Final = (16, 20, 26)
WHITE: Final = (240, 243, 246)
GREY: Final = (165, 174, 184)
AMBER: Final = (255, 190, 60)
RED: Final = (255, 110, 100)
GREEN: Final = (120, 210, 140)
