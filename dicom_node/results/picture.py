"""One slice as a picture: brain window, the hematoma as outline or paint, heat map.

What is burned into pixels cannot be removed by de-identification. The drawing of a capture takes
nothing but a `CapturePicture`, which has no place for a patient.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from PIL import ImageFont

from dicom_node.results.capture_style import CaptureStyle
from dicom_node.results.dashed_outline import draw_dashed, rim
from pipeline.prediction import HePrediction
from pipeline.triplet import RegionOfInterest, TripletPosition
from pipeline.windowing import brain_window

#: Heat 0, 1/4, 1/2, 3/4, 1: blue, cyan, green, yellow, red.
_HEAT_COLORS: Final = np.array(
    [(20, 30, 160), (0, 160, 230), (40, 190, 80), (250, 210, 0), (220, 10, 10)], dtype=np.float64
)
#: Opacity of the heat map where it is 1; it falls with the square root of the relevance.
_HEAT_OPACITY: Final = 0.6
#: Magenta: no colour of the heat map and no grey.
CONTOUR: Final = (255, 0, 255)
#: Opacity of a painted hematoma.
_PAINT_OPACITY: Final = 0.35
_GREY: Final = (200, 200, 200)
#: Of PNG files for pages, 0 to 9: the highest saves a tenth of the disk for 10 times the time.
COMPRESSION: Final = 3


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
    edges : tuple of str
        Letters at the left, right, upper and lower edge, from `edge_letters`.
    column_spacing_mm : float
        From one column to the next.
    height_mm, tilt_deg : float
        Height of the slice's centre in the patient's coordinates, head up, and the angle between
        the slice and the axial plane.
    style : CaptureStyle
        How the hematoma is shown.
    volume_ml : float
        Hematoma volume.
    volume_range_ml : tuple of float or None
        Where the true volume lies, in 95 of 100 cases; None where nothing is known of it.
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
    edges: tuple[str, str, str, str]
    column_spacing_mm: float
    height_mm: float
    tilt_deg: float
    style: CaptureStyle
    volume_ml: float
    volume_range_ml: tuple[float, float] | None
    prediction: HePrediction
    slice_probability: float
    node: str
    segmentation_model: str
    classification_model: str
    is_demonstration: bool
    forecast_yx: NDArray[np.bool_] | None = None
    forecast_ml: float | None = None
    growth_model: str = ""


def overlay(
    hu_yx: NDArray[np.int16],
    mask_yx: NDArray[np.bool_],
    roi: RegionOfInterest,
    heat_yx: NDArray[np.float32],
    forecast_yx: NDArray[np.bool_] | None = None,
    *,
    style: CaptureStyle = CaptureStyle.CONTOUR,
) -> NDArray[np.uint8]:
    """Return brain window, heat inside the region, and the hematoma, (Y, X, 3).

    Outlines lie on the pixels just outside, so that no hematoma pixel is hidden. That of the
    forecast is dashed, and lies under that of the measured hematoma. Paint lets the brain show
    through.
    """
    grey = brain_window(hu_yx)
    pixels = np.repeat(grey[..., np.newaxis], 3, axis=2).astype(np.float64)
    window = (slice(roi.y0, roi.y1), slice(roi.x0, roi.x1))
    opacity = (_HEAT_OPACITY * np.sqrt(np.clip(heat_yx, 0, 1)))[..., np.newaxis]
    pixels[window] = pixels[window] * (1 - opacity) + heat_color(heat_yx) * opacity
    _frame(pixels, roi)
    if forecast_yx is not None:
        draw_dashed(pixels, forecast_yx)
    if style is CaptureStyle.PAINT:
        paint = np.array(CONTOUR, dtype=np.float64)
        pixels[mask_yx] = pixels[mask_yx] * (1 - _PAINT_OPACITY) + paint * _PAINT_OPACITY
    pixels[rim(mask_yx)] = CONTOUR
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
