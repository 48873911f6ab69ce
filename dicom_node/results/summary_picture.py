"""The summary as one picture: key slices with outline and Grad-CAM, and the numbers.

The slices are turned so that the patient's front is above and the patient's left on the
right, whatever way the scanner stored them.
"""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from dicom_node.results import wording
from dicom_node.results.picture import font, heat_color, overlay
from dicom_node.results.record import RecordStatus
from dicom_node.results.research_line import write_research_line
from dicom_node.results.slice_view import head_window, upright
from dicom_node.results.summary_colors import AMBER, BACKGROUND, GREEN, GREY, RED, WHITE
from dicom_node.results.summary_page import title_of
from pipeline.analysis import HematomaFound, IchAnalysis
from pipeline.quality_flags import QualityFlag
from pipeline.volume import CtVolume
from pipeline.windowing import brain_window

_WIDTH: Final = 1500
_MARGIN: Final = 30
_GAP: Final = 15
_PANEL: Final = (_WIDTH - 2 * _MARGIN - 2 * _GAP) // 3
_HEADER: Final = 190
_CAPTION: Final = 70
_LINE: Final = 34
#: Where the key slices lie when there is no hematoma, as parts of the stack.
_KEY_PARTS: Final = (0.35, 0.5, 0.65)
_COLOR: Final = {
    RecordStatus.HEMATOMA_FOUND: AMBER,
    RecordStatus.NO_HEMATOMA_FOUND: GREEN,
    RecordStatus.REJECTED: RED,
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Panel:
    """One key slice: RGB pixels as stored, and its caption."""

    pixels: NDArray[np.uint8]
    heading: str
    caption: str


def draw_summary(
    analysis: IchAnalysis | None, volume: CtVolume | None, record: Mapping[str, Any]
) -> Image.Image:
    """Return the summary picture; without a volume it says in words why there is none."""
    panels = [] if volume is None else _panels(analysis, volume)
    notes = _notes(record)
    body = _PANEL + _CAPTION if panels else 0
    height = _HEADER + body + _LINE * len(notes) + 3 * _LINE
    image = Image.new("RGB", (_WIDTH, height), BACKGROUND)
    draw = ImageDraw.Draw(image)
    _header(draw, record)
    if volume is not None:
        _draw_panels(image, draw, panels, volume)
    if isinstance(analysis, HematomaFound):
        _legend(draw)
    y = _HEADER + body
    for note in notes:
        is_warning = note == wording.DEMONSTRATION
        color = AMBER if is_warning else GREY
        draw.text((_MARGIN, y), note, font=font(20, bold=is_warning), fill=color)
        y += _LINE
    top = height - round(1.6 * _LINE)
    write_research_line(image, margin=_MARGIN, top=top, size=26, chinese_px=28)
    return image


def _panels(analysis: IchAnalysis | None, volume: CtVolume) -> list[_Panel]:
    count = volume.grid.shape_zyx[0]
    if isinstance(analysis, HematomaFound):
        return [
            _Panel(
                pixels=overlay(
                    volume.hu_zyx[saliency.slice_index],
                    analysis.mask.voxels_zyx[saliency.slice_index],
                    saliency.roi,
                    saliency.heat_yx,
                    _forecast_on(analysis, saliency.slice_index),
                ),
                heading=f"{saliency.position.value.capitalize()}: probability {probability:.2f}",
                caption=f"slice {saliency.slice_index + 1} of {count}",
            )
            for saliency, probability in zip(
                analysis.saliency.slices, analysis.prediction.slice_probabilities, strict=True
            )
        ]
    indices = sorted({int(part * count) for part in _KEY_PARTS})
    return [
        _Panel(
            pixels=np.repeat(brain_window(volume.hu_zyx[index])[..., np.newaxis], 3, axis=2),
            heading=f"Slice {index + 1} of {count}",
            caption="",
        )
        for index in indices
    ]


def _forecast_on(analysis: HematomaFound, index: int) -> NDArray[np.bool_] | None:
    return None if analysis.forecast is None else analysis.forecast.follow_up.voxels_zyx[index]


def _draw_panels(
    image: Image.Image, draw: ImageDraw.ImageDraw, panels: Sequence[_Panel], volume: CtVolume
) -> None:
    window = head_window(volume)
    for number, panel in enumerate(panels):
        x = _MARGIN + number * (_PANEL + _GAP)
        image.paste(upright(panel.pixels[window], volume.grid, side=_PANEL), (x, _HEADER))
        draw.rectangle([x, _HEADER, x + _PANEL - 1, _HEADER + _PANEL - 1], outline=(60, 68, 78))
        for side, place in (("R", x + 8), ("L", x + _PANEL - 24)):
            draw.text((place, _HEADER + _PANEL // 2 - 12), side, font=font(20), fill=GREY)
        y = _HEADER + _PANEL + 8
        draw.text((x, y), panel.heading, font=font(21, bold=True), fill=WHITE)
        draw.text((x, y + 28), panel.caption, font=font(18), fill=GREY)


def _header(draw: ImageDraw.ImageDraw, record: Mapping[str, Any]) -> None:
    status = RecordStatus(record["status"])
    title, color = title_of(record), _COLOR[status]
    elsewhere = wording.blood_elsewhere(wording.compartments_of_record(record))
    if status is RecordStatus.NO_HEMATOMA_FOUND and elsewhere:
        color = AMBER
    draw.text((_MARGIN, 22), title, font=font(40, bold=True), fill=color)
    if status is RecordStatus.HEMATOMA_FOUND:
        volume = (
            f"Volume {wording.volume_of_record(record)}   "
            f"mesh {record['mesh_volume_ml']:.1f}, ABC/2 {record['abc2_volume_ml']:.1f}"
        )
        draw.text((_MARGIN, 86), volume, font=font(26, bold=True), fill=WHITE)
        probability = (
            f"Probability of expansion {record['he_probability']:.2f}: "
            f"{wording.CATEGORY_OF_NAME[record['he_label']].lower()}"
        )
        draw.text((_MARGIN, 128), probability, font=font(26, bold=True), fill=WHITE)
    else:
        words = "; ".join(record["reasons"]) or "No hematoma above the size floor of the model."
        for line, text in enumerate(textwrap.wrap(words, 105)[:3]):
            draw.text((_MARGIN, 86 + line * 32), text, font=font(22), fill=WHITE)


def _legend(draw: ImageDraw.ImageDraw) -> None:
    """Draw the bar of relevance under the right end of the header."""
    left, right, y = _WIDTH - _MARGIN - 300, _WIDTH - _MARGIN, 140
    for x, shade in enumerate(heat_color(np.linspace(0, 1, right - left))):
        draw.line([(left + x, y), (left + x, y + 14)], fill=tuple(map(round, shade)))
    draw.text((left, y - 26), "Grad-CAM  0", font=font(18), fill=GREY)
    draw.text((right, y - 26), "1 important", font=font(18), fill=GREY, anchor="ra")


def _notes(record: Mapping[str, Any]) -> list[str]:
    models = record["model"]
    *others, last = (f"{model['name']} {model['version']}" for model in models.values())
    names = f"{', '.join(others)} and {last}"
    forecast = wording.forecast_of_record(record)
    flags = wording.flag_sentences(QualityFlag(value) for value in record["flags"])
    beside = wording.compartment_words(wording.compartments_of_record(record))
    notes = [f"Dashed outline: forecast {forecast}; not measured"] if forecast else []
    notes += [f"Other findings: {beside}"] if beside else []
    notes += [*(f"Note: {flag}" for flag in flags), f"Models: {names}"]
    if any(model["demonstration"] for model in models.values()):
        notes.append(wording.DEMONSTRATION)
    return notes
