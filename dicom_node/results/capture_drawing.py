"""A capture as it is burned in: the slice between its margins, with what a reader must know."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from dicom_node.results import wording
from dicom_node.results.capture_layout import CaptureLayout, capture_layout
from dicom_node.results.chinese_line import chinese_line
from dicom_node.results.dashed_outline import DASH, DASH_PX, GAP
from dicom_node.results.picture import CONTOUR, CapturePicture, font, heat_color, overlay
from pipeline.prediction import HeLabel

_Color = tuple[int, int, int]

_WHITE: Final = (240, 240, 240)
_GREY: Final = (200, 200, 200)
_AMBER: Final = (255, 190, 60)
_RED: Final = (255, 90, 80)
#: Lengths that a scale bar may have, in mm; the longest that fits is taken.
_BARS_MM: Final = (100, 50, 20, 10, 5)
#: The bar takes at most this part of the slice's width, so that the letter has room beside it.
_BAR_PART: Final = 0.42
#: A slice that is inclined by less is called axial.
_AXIAL_DEG: Final = 1.0


def draw_capture(picture: CapturePicture) -> NDArray[np.uint8]:
    """Return the capture, RGB; the slice lies in it as `capture_layout` says."""
    layout = capture_layout(*picture.hu_yx.shape)
    image = Image.new("RGB", (layout.width, layout.height))
    slice_pixels = overlay(
        picture.hu_yx,
        picture.mask_yx,
        picture.roi,
        picture.heat_yx,
        picture.forecast_yx,
        style=picture.style,
    )
    image.paste(Image.fromarray(slice_pixels), (layout.left, layout.top))
    pen = _Pen(image, layout)
    _heading(pen, picture)
    _edges(pen, picture)
    _scale_bar(pen, picture)
    _heat_legend(pen)
    _outline_legend(pen, picture)
    _numbers(pen, picture)
    _warnings(pen, picture)
    return np.asarray(image, dtype=np.uint8)


class _Pen:
    """Writes into the margins of one capture."""

    def __init__(self, image: Image.Image, layout: CaptureLayout) -> None:
        self.image = image
        self.layout = layout
        self.draw = ImageDraw.Draw(image)

    def write(
        self,
        xy: tuple[int, int],
        text: str,
        *,
        bold: bool = False,
        small: bool = False,
        color: _Color = _WHITE,
        anchor: str = "la",
        widest: int | None = None,
    ) -> None:
        """Write a line; what is wider than `widest` loses its end."""
        size = self.layout.small if small else self.layout.text
        face = font(size, bold=bold)
        room = self.layout.width - self.layout.text if widest is None else widest
        while len(text) > 1 and face.getlength(text) > room:
            text = f"{text[:-4]}..." if text.endswith("...") else f"{text[:-1]}..."
        self.draw.text(xy, text, font=face, fill=color, anchor=anchor)


def _heading(pen: _Pen, picture: CapturePicture) -> None:
    """Write software and models at the upper left, the place of the slice at the right."""
    layout = pen.layout
    edge, half = layout.text // 2, (layout.width - 2 * layout.text) // 2
    models = (picture.segmentation_model, picture.classification_model, picture.growth_model)
    inclined = picture.tilt_deg >= _AXIAL_DEG
    place = (
        wording.SHORT_POSITION[picture.position],
        f"slice {picture.slice_number} of {picture.slice_count}, z {picture.height_mm:+.1f} mm",
        f"tilted {picture.tilt_deg:.0f} deg" if inclined else "axial",
        "window 80, level 40",
    )
    for line, (left, right) in enumerate(zip((picture.node, *models), place, strict=True)):
        y = edge + line * layout.line
        first = line == 0
        color = _WHITE if first else _GREY
        pen.write((edge, y), left, bold=first, small=not first, color=color, widest=half)
        pen.write(
            (layout.width - edge, y),
            right,
            bold=first,
            small=not first,
            color=color,
            anchor="ra",
            widest=half,
        )


def _edges(pen: _Pen, picture: CapturePicture) -> None:
    """Write the letters of the patient's directions beside the edges of the slice."""
    layout = pen.layout
    gap = layout.text // 3
    middle_x = layout.left + layout.columns // 2
    middle_y = layout.top + layout.rows // 2
    places = (
        ((layout.left - gap, middle_y), "rm"),
        ((layout.left + layout.columns + gap, middle_y), "lm"),
        ((middle_x, layout.top - gap), "ms"),
        ((middle_x, layout.top + layout.rows + gap), "ma"),
    )
    for letters, (place, anchor) in zip(picture.edges, places, strict=True):
        pen.write(place, letters, bold=True, anchor=anchor)


def _scale_bar(pen: _Pen, picture: CapturePicture) -> None:
    """Draw a bar of a round length below the slice, from its left edge on."""
    layout = pen.layout
    room = layout.columns * _BAR_PART * picture.column_spacing_mm
    length_mm = next((mm for mm in _BARS_MM if mm <= room), _BARS_MM[-1])
    length_px = round(length_mm / picture.column_spacing_mm)
    y = layout.top + layout.rows + layout.line - layout.text // 3
    tick = layout.text // 3
    left = layout.left
    pen.draw.line([(left, y), (left + length_px, y)], fill=_WHITE, width=2)
    for x in (left, left + length_px):
        pen.draw.line([(x, y - tick), (x, y + tick)], fill=_WHITE, width=2)
    label = (left - layout.text // 2, y)
    pen.write(label, f"{length_mm} mm", small=True, anchor="rm")


def _heat_legend(pen: _Pen) -> None:
    """Draw the scale of relevance right of the slice, in its upper half: 1 above, 0 below."""
    layout = pen.layout
    left = layout.left + layout.columns + layout.text // 2
    top = layout.top + 2 * layout.line
    bottom = max(top + 2 * layout.line, layout.top + round(layout.rows * 0.42))
    right = left + layout.text
    for row, shade in enumerate(heat_color(np.linspace(1, 0, bottom - top))):
        red, green, blue = (round(float(channel)) for channel in shade)
        pen.draw.line([(left, top + row), (right, top + row)], fill=(red, green, blue))
    pen.draw.rectangle([left - 1, top - 1, right + 1, bottom], outline=_WHITE)
    pen.write((left, layout.top), "Grad-CAM", small=True)
    pen.write((left, layout.top + layout.line), "relevance", small=True, color=_GREY)
    for value, words in ((1.0, "1 most"), (0.5, "0.5"), (0.0, "0 none")):
        y = round(top + (1 - value) * (bottom - top))
        pen.draw.line([(right + 1, y), (right + layout.text // 3, y)], fill=_WHITE)
        pen.write((right + layout.text // 2, y), words, small=True, anchor="lm")


def _outline_legend(pen: _Pen, picture: CapturePicture) -> None:
    """Say left of the slice which outline is which."""
    layout = pen.layout
    left, length = layout.text // 2, round(1.2 * layout.text)
    y = layout.top + layout.line // 2
    pen.draw.line([(left, y), (left + length, y)], fill=CONTOUR, width=2)
    pen.write((left + length + layout.text // 3, y), "hematoma", small=True, anchor="lm")
    if picture.forecast_yx is None:
        return
    y += layout.line
    for x in range(left, left + length):
        is_gap = int((x - left) // DASH_PX) % 2 == 1
        pen.draw.line([(x, y - 1), (x, y)], fill=GAP if is_gap else DASH)
    pen.write((left + length + layout.text // 3, y), "forecast,", small=True, anchor="lm")
    y += layout.line
    pen.write((left, y), "if it expands", small=True, color=_GREY, anchor="lm")


def _numbers(pen: _Pen, picture: CapturePicture) -> None:
    """Write category and volume, the probability with its range, and what it means in words."""
    layout, prediction = pen.layout, picture.prediction
    edge = layout.text // 2
    y = layout.top + layout.rows + round(1.2 * layout.line)
    color = _AMBER if prediction.label is HeLabel.HE else _WHITE
    volume = f"Volume {wording.volume_words(picture.volume_ml, picture.volume_range_ml)}"
    if font(layout.text, bold=True).getlength(volume) > layout.width // 2:
        volume = f"Volume {wording.short_volume(picture.volume_ml, picture.volume_range_ml)}"
    pen.write((edge, y), wording.CATEGORY[prediction.label], bold=True, color=color)
    pen.write((layout.width - edge, y), volume, bold=True, anchor="ra")
    pen.write((edge, y + layout.line), wording.probability_and_range(prediction))
    in_words = wording.in_plain_words(prediction)
    pen.write((edge, y + 2 * layout.line), in_words, small=True, color=_GREY)
    rest = f"This slice alone {picture.slice_probability:.2f}"
    if picture.forecast_ml is not None:
        rest += f"; forecast if it expands {picture.forecast_ml:.1f} mL"
    pen.write((edge, y + 3 * layout.line), rest, small=True, color=_GREY)


def _warnings(pen: _Pen, picture: CapturePicture) -> None:
    """Write from below: research line in both languages, demonstration line."""
    layout = pen.layout
    middle = layout.width // 2
    y = layout.height - layout.line
    pen.write((middle, y), wording.RESEARCH_LINE, bold=True, color=_RED, anchor="ma")
    y -= layout.line
    ink = chinese_line(round(layout.text * 1.15))
    pen.image.paste(_RED, (middle - ink.width // 2, y), ink)
    if picture.is_demonstration:
        y -= layout.line
        words = wording.DEMONSTRATION
        pen.write((middle, y), words, bold=True, small=True, color=_AMBER, anchor="ma")
