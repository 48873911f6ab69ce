"""One slice as a picture: brain window, hematoma outline, heat map, legend and words.

What is burned into pixels cannot be removed by de-identification. The drawing therefore takes
nothing but a `CapturePicture`, which has no place for a patient.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from dicom_node.results import wording
from dicom_node.results.chinese_line import chinese_line
from dicom_node.results.dashed_outline import DASH, DASH_PX, GAP, draw_dashed, rim
from pipeline.prediction import HeLabel, HePrediction
from pipeline.triplet import RegionOfInterest, TripletPosition
from pipeline.windowing import brain_window

#: Heat 0, 1/4, 1/2, 3/4, 1: blue, cyan, green, yellow, red.
_HEAT_COLORS: Final = np.array(
    [(20, 30, 160), (0, 160, 230), (40, 190, 80), (250, 210, 0), (220, 10, 10)], dtype=np.float64
)
#: Opacity of the heat map where it is 1; it falls with the square root of the relevance.
_HEAT_OPACITY: Final = 0.6
#: Magenta: no colour of the heat map and no grey.
_CONTOUR: Final = (255, 0, 255)
_WHITE: Final = (240, 240, 240)
_GREY: Final = (200, 200, 200)
_AMBER: Final = (255, 190, 60)
_RED: Final = (255, 90, 80)
#: Text height as a part of the smaller side, and the smallest that can be read.
_TEXT_PART: Final = 1 / 40
_SMALLEST_TEXT_PX: Final = 9


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CapturePicture:
    """Everything that is drawn into one capture.

    Attributes
    ----------
    hu_yx : ndarray of int16, shape (Y, X)
        The slice in Hounsfield units.
    mask_yx : ndarray of bool, shape (Y, X)
        Hematoma on this slice.
    roi : RegionOfInterest
        What the classifier saw.
    heat_yx : ndarray of float32, shape (y1 - y0, x1 - x0)
        Relevance in [0, 1] inside `roi`.
    position : TripletPosition
        Place of the slice in the triplet.
    slice_number, slice_count : int
        Counted from 1, inferior to superior.
    volume_ml : float
        Hematoma volume.
    prediction : HePrediction
        Opinion on the patient.
    slice_probability : float
        Share of this slice.
    node, segmentation_model, classification_model : str
        Name and version of software and models.
    is_demonstration : bool
        Whether a model was trained on simulated data.
    forecast_yx : ndarray of bool, shape (Y, X), or None
        The hematoma on this slice as it is forecast at follow-up; None without a forecast.
    forecast_ml : float or None
        Forecast volume.
    growth_model : str
        Name and version of the growth model; empty where there is none.
    """

    hu_yx: NDArray[np.int16]
    mask_yx: NDArray[np.bool_]
    roi: RegionOfInterest
    heat_yx: NDArray[np.float32]
    position: TripletPosition
    slice_number: int
    slice_count: int
    volume_ml: float
    prediction: HePrediction
    slice_probability: float
    node: str
    segmentation_model: str
    classification_model: str
    is_demonstration: bool
    forecast_yx: NDArray[np.bool_] | None = None
    forecast_ml: float | None = None
    growth_model: str = ""


def draw_capture(picture: CapturePicture) -> NDArray[np.uint8]:
    """Return the capture on the native pixel grid, shape (Y, X, 3), RGB."""
    pixels = overlay(
        picture.hu_yx, picture.mask_yx, picture.roi, picture.heat_yx, picture.forecast_yx
    )
    image = Image.fromarray(pixels)
    draw = ImageDraw.Draw(image)
    px = max(_SMALLEST_TEXT_PX, round(min(image.size) * _TEXT_PART))
    _corner_text(draw, picture, px)
    _legend(draw, px, image.size)
    if picture.forecast_yx is not None:
        _outline_legend(draw, px, image.size)
    _numbers_and_warning(image, draw, picture, px)
    return np.asarray(image, dtype=np.uint8)


def overlay(
    hu_yx: NDArray[np.int16],
    mask_yx: NDArray[np.bool_],
    roi: RegionOfInterest,
    heat_yx: NDArray[np.float32],
    forecast_yx: NDArray[np.bool_] | None = None,
) -> NDArray[np.uint8]:
    """Return brain window, heat inside the region, and the hematoma's outline, (Y, X, 3).

    Outlines lie on the pixels just outside, so that no hematoma pixel is hidden. That of the
    forecast is dashed, and lies under that of the measured hematoma.
    """
    grey = brain_window(hu_yx)
    pixels = np.repeat(grey[..., np.newaxis], 3, axis=2).astype(np.float64)
    window = (slice(roi.y0, roi.y1), slice(roi.x0, roi.x1))
    opacity = (_HEAT_OPACITY * np.sqrt(np.clip(heat_yx, 0, 1)))[..., np.newaxis]
    pixels[window] = pixels[window] * (1 - opacity) + heat_color(heat_yx) * opacity
    _frame(pixels, roi)
    if forecast_yx is not None:
        draw_dashed(pixels, forecast_yx)
    pixels[rim(mask_yx)] = _CONTOUR
    return np.asarray(np.rint(pixels), dtype=np.uint8)


def heat_color(heat: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return RGB in [0, 255] for relevance in [0, 1]: blue is none, red is most."""
    stops = np.linspace(0, 1, len(_HEAT_COLORS))
    channels = [np.interp(heat, stops, _HEAT_COLORS[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=-1)


@cache
def font(px: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    """Return DejaVu Sans, which ships with matplotlib, in the given size."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(mpl.get_data_path()) / "fonts" / "ttf" / name, px)


def _frame(pixels: NDArray[np.float64], roi: RegionOfInterest) -> None:
    """Draw the border of the region half transparent, on its outermost pixels."""
    edge = np.zeros(pixels.shape[:2], dtype=bool)
    edge[roi.y0 : roi.y1, roi.x0 : roi.x1] = True
    edge[roi.y0 + 1 : roi.y1 - 1, roi.x0 + 1 : roi.x1 - 1] = False
    pixels[edge] = pixels[edge] * 0.6 + np.array(_GREY) * 0.4


def _corner_text(draw: ImageDraw.ImageDraw, picture: CapturePicture, px: int) -> None:
    _write(draw, (px // 2, px // 2), picture.node, px, bold=True)
    small = max(_SMALLEST_TEXT_PX, round(px * 0.85))
    models = (picture.segmentation_model, picture.classification_model, picture.growth_model)
    for line, text in enumerate(models):
        place = (px // 2, round(px * (1.9 + 1.15 * line)))
        _write(draw, place, text, small, color=_GREY)
    width = draw.im.size[0]
    heading = f"{picture.position.value.capitalize()}"
    _write(draw, (width - px // 2, px // 2), heading, px, bold=True, anchor="ra")
    number = f"slice {picture.slice_number} of {picture.slice_count}"
    _write(draw, (width - px // 2, round(px * 1.9)), number, small, color=_GREY, anchor="ra")


def _legend(draw: ImageDraw.ImageDraw, px: int, size: tuple[int, int]) -> None:
    """Draw the bar of relevance at the right border, 1 above."""
    width, height = size
    top, bottom = round(height * 0.36), round(height * 0.64)
    left, right = width - round(px * 1.4), width - round(px * 0.6)
    shades = heat_color(np.linspace(1, 0, bottom - top))
    for row, shade in enumerate(shades):
        draw.line([(left, top + row), (right, top + row)], fill=tuple(map(round, shade)))
    draw.rectangle([left - 1, top - 1, right + 1, bottom], outline=_WHITE)
    small = max(_SMALLEST_TEXT_PX, round(px * 0.85))
    edge = width - px // 2
    _write(draw, (edge, top - round(px * 2.3)), "Grad-CAM", small, anchor="ra")
    _write(draw, (edge, top - round(px * 1.2)), "1 important", small, anchor="ra")
    _write(draw, (edge, bottom + round(px * 0.2)), "0", small, anchor="ra")


def _outline_legend(draw: ImageDraw.ImageDraw, px: int, size: tuple[int, int]) -> None:
    """Say which outline is which, at the left border."""
    top = round(size[1] * 0.36)
    small = max(_SMALLEST_TEXT_PX, round(px * 0.85))
    for line, (text, is_forecast) in enumerate((("measured", False), ("forecast*", True))):
        y = top + round(line * 1.4 * px)
        left, width = px // 2, 2 * px
        for x in range(left, left + width):
            is_gap = int((x - left) // DASH_PX) % 2 == 1
            color = (GAP if is_gap else DASH) if is_forecast else _CONTOUR
            draw.line([(x, y + px // 2 - 1), (x, y + px // 2)], fill=color)
        _write(draw, (left + width + px // 2, y), text, small)
    _write(draw, (px // 2, top + round(2.8 * px)), "* if it expands", small, color=_GREY)


def _numbers_and_warning(
    image: Image.Image, draw: ImageDraw.ImageDraw, picture: CapturePicture, px: int
) -> None:
    """Write from below: research line in both languages, demonstration line, the numbers."""
    width, height = image.size
    line_px = round(px * 1.3)
    y = height - line_px
    warning = f"{wording.RESEARCH_USE_ONLY} - {wording.NOT_FOR_CLINICAL_USE}"
    _write(draw, (width // 2, y), warning, px, bold=True, color=_RED, anchor="ma")
    y -= line_px
    _paste_chinese(image, (width // 2, y), px)
    if picture.is_demonstration:
        y -= line_px
        small = max(_SMALLEST_TEXT_PX, round(px * 0.85))
        place = (width // 2, y)
        _write(draw, place, wording.DEMONSTRATION, small, bold=True, color=_AMBER, anchor="ma")
    prediction = picture.prediction
    is_he = prediction.label is HeLabel.HE
    share = f"this slice {picture.slice_probability:.2f}, cut-off {prediction.threshold:.2f}"
    lines = (
        (wording.CATEGORY[prediction.label], _AMBER if is_he else _WHITE, True),
        (share, _GREY, False),
        (f"HE probability {prediction.probability:.2f}", _WHITE, True),
        *_forecast_line(picture),
        (f"Volume {picture.volume_ml:.1f} mL", _WHITE, True),
    )
    for text, color, bold in lines:
        y -= line_px
        _write(draw, (px // 2, y), text, px, bold=bold, color=color)


def _forecast_line(picture: CapturePicture) -> list[tuple[str, tuple[int, int, int], bool]]:
    if picture.forecast_ml is None:
        return []
    return [(f"Forecast if it expands {picture.forecast_ml:.1f} mL", _GREY, False)]


def _paste_chinese(image: Image.Image, top_middle: tuple[int, int], px: int) -> None:
    ink = chinese_line(round(px * 1.15))
    x, y = top_middle[0] - ink.width // 2, top_middle[1]
    for dx, dy in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        image.paste((0, 0, 0), (x + dx, y + dy), ink)
    image.paste(_RED, (x, y), ink)


def _write(
    draw: ImageDraw.ImageDraw,
    xy: tuple[int, int],
    text: str,
    px: int,
    *,
    bold: bool = False,
    color: tuple[int, int, int] = _WHITE,
    anchor: str = "la",
) -> None:
    """Write `text` with a dark rim, so that it can be read on bone and on air."""
    draw.text(
        xy,
        text,
        font=font(px, bold=bold),
        fill=color,
        anchor=anchor,
        stroke_width=max(1, px // 9),
        stroke_fill=(0, 0, 0),
    )
