"""The drawing of a comparison: two panels, the numbers, and the research line."""

import textwrap
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from dicom_node.results import comparison_wording, wording
from dicom_node.results.comparison_picture import PANEL_PX, PairView
from dicom_node.results.dashed_outline import rim
from dicom_node.results.picture import font
from dicom_node.results.research_line import write_research_line
from dicom_node.results.summary_colors import AMBER, BACKGROUND, GREEN, GREY, RED, WHITE
from pipeline.windowing import brain_window

Color = tuple[int, int, int]

_MARGIN: Final = 20
_WIDTH: Final = 2 * PANEL_PX + 3 * _MARGIN
_HEADER: Final = 142
_CAPTION: Final = 64
_LINE: Final = 26
#: Hematoma of the panel's own scan: magenta as in the other captures; of the baseline on the
#: follow-up: cyan. Neither is a grey.
_OWN: Final = (255, 0, 255)
_CARRIED: Final = (0, 220, 235)
#: Length of the scale bar.
_BAR_MM: Final = 50
#: Characters of a note in one line.
_NOTE_WIDTH: Final = 104


def draw_comparison(view: PairView | None, record: Mapping[str, Any], *, node: str) -> Image.Image:
    """Return the picture; without a view it says in words why there is none.

    Parameters
    ----------
    view : PairView or None
        Both slices; None for a refused comparison.
    record : mapping
        From `dicom_node.results.comparison_record`.
    node : str
        Name and version of the software.
    """
    notes = _notes(record)
    body = PANEL_PX + _CAPTION if view is not None else 0
    height = _HEADER + body + _LINE * len(notes) + 4 * _LINE
    image = Image.new("RGB", (_WIDTH, height), BACKGROUND)
    draw = ImageDraw.Draw(image)
    _header(draw, record, node)
    if view is not None:
        _panels(image, draw, view, record)
    for line, note in enumerate(notes):
        place = (_MARGIN, _HEADER + body + line * _LINE)
        draw.text(place, note, font=font(16), fill=GREY)
    _footer(image, draw, record)
    return image


def panel_pixels(
    hu_yx: NDArray[np.float32],
    own_yx: NDArray[np.bool_],
    carried_yx: NDArray[np.bool_] | None = None,
) -> NDArray[np.uint8]:
    """Return one panel in the brain window with its outlines, shape (Y, X, 3).

    Outlines lie on the pixels just outside, so that no hematoma pixel is hidden.
    """
    pixels = np.repeat(brain_window(hu_yx)[..., np.newaxis], 3, axis=2)
    if carried_yx is not None:
        pixels[rim(carried_yx)] = _CARRIED
    pixels[rim(own_yx)] = _OWN
    return np.asarray(pixels, dtype=np.uint8)


def _header(draw: ImageDraw.ImageDraw, record: Mapping[str, Any], node: str) -> None:
    verdict = comparison_wording.title_of(record)
    color = {True: AMBER, False: GREEN, None: RED}[record["expanded"]]
    draw.text((_MARGIN, 12), verdict, font=font(26, bold=True), fill=color)
    model = record["model"]["segmentation"]
    for line, made_by in enumerate((node, f"{model['name']} {model['version']}")):
        place = (_WIDTH - _MARGIN, 88 + 22 * line)
        draw.text(place, made_by, font=font(16), fill=GREY, anchor="ra")
    if record["change_ml"] is None:
        return
    change = f"Volume {comparison_wording.change_of_record(record)}"
    draw.text((_MARGIN, 56), change, font=font(22, bold=True), fill=WHITE)
    elapsed = comparison_wording.elapsed_words(record["elapsed_hours"])
    definition = comparison_wording.SHORT_DEFINITION[record["definition"]]
    words = f"{elapsed} between the scans; expansion: {definition}"
    draw.text((_MARGIN, 92), words, font=font(18), fill=WHITE)


def _panels(
    image: Image.Image, draw: ImageDraw.ImageDraw, view: PairView, record: Mapping[str, Any]
) -> None:
    panels = (
        (
            panel_pixels(view.baseline_hu_yx, view.baseline_yx),
            f"Baseline {record['baseline_volume_ml']:.1f} mL",
            f"slice {view.baseline_slice + 1}",
        ),
        (
            panel_pixels(view.follow_up_hu_yx, view.follow_up_yx, view.carried_yx),
            f"Follow-up {record['follow_up_volume_ml']:.1f} mL",
            "at the same place; cyan: outline of the baseline"
            if view.follow_up_slice is None
            else f"slice {view.follow_up_slice + 1}; not registered to the baseline",
        ),
    )
    for number, (pixels, heading, caption) in enumerate(panels):
        x = _MARGIN + number * (PANEL_PX + _MARGIN)
        image.paste(Image.fromarray(pixels), (x, _HEADER))
        middle_x, middle_y = x + PANEL_PX // 2, _HEADER + PANEL_PX // 2
        for letter, place, anchor in (
            ("R", (x + 6, middle_y), "lm"),
            ("L", (x + PANEL_PX - 6, middle_y), "rm"),
            ("A", (middle_x, _HEADER + 6), "ma"),
            ("P", (middle_x, _HEADER + PANEL_PX - 6), "ms"),
        ):
            _letter(draw, place, letter, anchor)
        _scale_bar(draw, x + PANEL_PX, view.pixel_mm)
        y = _HEADER + PANEL_PX + 6
        draw.text((x, y), heading, font=font(20, bold=True), fill=WHITE)
        draw.text((x, y + 28), caption, font=font(16), fill=GREY)


def _scale_bar(draw: ImageDraw.ImageDraw, right: int, pixel_mm: float) -> None:
    """Draw a bar of 50 mm below a panel, up to its right edge."""
    left, y = right - round(_BAR_MM / pixel_mm), _HEADER + PANEL_PX + 16
    draw.line([(left, y), (right, y)], fill=WHITE, width=2)
    for x in (left, right):
        draw.line([(x, y - 5), (x, y + 5)], fill=WHITE, width=2)
    draw.text((left - 8, y), f"{_BAR_MM} mm", font=font(16), fill=GREY, anchor="rm")


def _letter(draw: ImageDraw.ImageDraw, place: tuple[int, int], letter: str, anchor: str) -> None:
    """Write a letter with a dark rim, so that it can be read on bone and on air."""
    draw.text(
        place,
        letter,
        font=font(18),
        fill=WHITE,
        anchor=anchor,
        stroke_width=2,
        stroke_fill=(0, 0, 0),
    )


def _notes(record: Mapping[str, Any]) -> list[str]:
    notes = comparison_wording.notes_of_record(record)
    said = [*(f"Reason: {reason}" for reason in record["reasons"])]
    said += [f"Note: {sentence}" for sentence in notes if sentence not in record["reasons"]]
    return [line for note in said for line in textwrap.wrap(note, _NOTE_WIDTH)]


def _footer(image: Image.Image, draw: ImageDraw.ImageDraw, record: Mapping[str, Any]) -> None:
    y = image.height - round(1.6 * _LINE)
    write_research_line(image, margin=_MARGIN, top=y, size=20, chinese_px=22)
    if record["model"]["segmentation"]["demonstration"]:
        place = (_MARGIN, y - round(1.3 * _LINE))
        draw.text(place, wording.DEMONSTRATION, font=font(17, bold=True), fill=AMBER)
