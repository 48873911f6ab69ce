"""The slice of largest hematoma area with its outline, as one picture for pages.

Nothing lies over the brain but the outline: heat map and words of the models are in the captures.
"""

from typing import Final

import numpy as np
from PIL import Image, ImageDraw

from dicom_node.results import wording
from dicom_node.results.dashed_outline import rim
from dicom_node.results.picture import CONTOUR, font
from dicom_node.results.research_line import write_research_line
from dicom_node.results.slice_view import head_window, upright
from dicom_node.results.summary_colors import AMBER, BACKGROUND, GREY, WHITE
from pipeline.analysis import HematomaFound
from pipeline.volume import CtVolume
from pipeline.windowing import brain_window

_SIDE: Final = 1024
_ABOVE: Final = 70
_BELOW: Final = 130
_MARGIN: Final = 16
_LETTER: Final = 26


def draw_key_slice(
    analysis: HematomaFound, volume: CtVolume, *, is_demonstration: bool
) -> Image.Image:
    """Return the slice of largest area, upright, with the outline of the hematoma.

    Parameters
    ----------
    analysis : HematomaFound
        Knows mask and slice.
    volume : CtVolume
        The scan.
    is_demonstration : bool
        Whether a model was trained on simulated data.
    """
    index = analysis.measurements.max_area_slice
    grey = brain_window(volume.hu_zyx[index])
    pixels = np.repeat(grey[..., np.newaxis], 3, axis=2)
    pixels[rim(analysis.mask.voxels_zyx[index])] = CONTOUR
    image = Image.new("RGB", (_SIDE, _ABOVE + _SIDE + _BELOW), BACKGROUND)
    image.paste(upright(pixels[head_window(volume)], volume.grid, side=_SIDE), (0, _ABOVE))
    draw = ImageDraw.Draw(image)
    heading = f"Largest area: slice {index + 1} of {volume.grid.shape_zyx[0]}"
    draw.text((_MARGIN, 18), heading, font=font(30, bold=True), fill=WHITE)
    draw.text((_SIDE - _MARGIN, 24), "window 80, level 40", font=font(22), fill=GREY, anchor="ra")
    _letters(draw)
    _footer(image, draw, is_demonstration=is_demonstration)
    return image


def _letters(draw: ImageDraw.ImageDraw) -> None:
    """Write the patient's directions at the edges; `upright` has turned the slice to these."""
    middle = _ABOVE + _SIDE // 2
    for letter, place, anchor in (
        ("R", (_MARGIN, middle), "lm"),
        ("L", (_SIDE - _MARGIN, middle), "rm"),
        ("A", (_SIDE // 2, _ABOVE + _MARGIN), "ma"),
        ("P", (_SIDE // 2, _ABOVE + _SIDE - _MARGIN), "md"),
    ):
        draw.text(place, letter, font=font(_LETTER, bold=True), fill=GREY, anchor=anchor)


def _footer(image: Image.Image, draw: ImageDraw.ImageDraw, *, is_demonstration: bool) -> None:
    y = _ABOVE + _SIDE + 14
    draw.line([(_MARGIN, y + 13), (_MARGIN + 40, y + 13)], fill=CONTOUR, width=4)
    words = "outline of the hematoma as the model found it"
    draw.text((_MARGIN + 52, y), words, font=font(22), fill=GREY)
    if is_demonstration:
        draw.text((_MARGIN, y + 34), wording.DEMONSTRATION, font=font(18, bold=True), fill=AMBER)
    write_research_line(image, margin=_MARGIN, top=y + 72, size=22, chinese_px=26, drop=0)
