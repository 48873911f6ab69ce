"""Sheets of slices with their saliency, red where it is high: figure 6H of the npj study."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pipeline.classification.classifier import Classifier
from pipeline.prediction import HeLabel
from training.classification.case import TripletCase

#: Part of the picture and of the colours in an overlay, as in the paper's figure.
_PICTURE, _COLOUR = 0.6, 0.4

#: What a reader of the sheet must know.
_LEGEND = (
    "Grad-CAM for expansion: red is important, each map scaled\nto its own maximum; "
    "white: hematoma. RESEARCH USE ONLY"
)


def overlay(image_yx: NDArray[np.uint8], heat_yx: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return a slice with its saliency in colours: red is high, blue is low.

    Parameters
    ----------
    image_yx : ndarray of uint8, shape (Y, X)
        Grey levels.
    heat_yx : ndarray of float32, shape (Y, X)
        Saliency 0..1.

    Returns
    -------
    ndarray of float64, shape (Y, X, 3)
        Red, green, blue in [0, 1].
    """
    import matplotlib as mpl

    colours = mpl.colormaps["jet"](heat_yx)[..., :3]
    return np.asarray(_PICTURE * image_yx[..., None] / 255 + _COLOUR * colours, dtype=np.float64)


def draw_saliency_sheet(path: Path, classifier: Classifier, cases: Sequence[TripletCase]) -> None:
    """Draw each case in a row: its slices, and below them their saliency.

    The hematoma is outlined in white where its mask is known.
    """
    columns = max(len(case.images_yx) for case in cases)
    figure = Figure(figsize=(1.7 * columns + 0.3, 3.6 * len(cases) + 0.2), layout="constrained")
    panels = figure.subplots(2 * len(cases), columns, squeeze=False)
    for axes in panels.ravel():
        axes.set_axis_off()
    for row, case in enumerate(cases):
        prediction = classifier.judge(case.images_yx)
        maps = classifier.heat_maps(case.images_yx)
        for column, (image_yx, heat_yx) in enumerate(zip(case.images_yx, maps, strict=True)):
            above, below = panels[2 * row, column], panels[2 * row + 1, column]
            above.imshow(image_yx, cmap="gray", vmin=0, vmax=255)
            below.imshow(overlay(image_yx, heat_yx))
            if column < len(case.masks_yx) and case.masks_yx[column].any():
                below.contour(case.masks_yx[column], [0.5], colors="white", linewidths=0.7)
            above.set_title(f"{prediction.slice_probabilities[column]:.2f}", fontsize=7)
        was = "expanded" if case.label is HeLabel.HE else "did not expand"
        panels[2 * row, 0].text(
            0,
            1.16,
            f"{was}, probability {prediction.probability:.2f}",
            transform=panels[2 * row, 0].transAxes,
            fontsize=8,
        )
    figure.suptitle(_LEGEND, fontsize=7)
    figure.savefig(path, dpi=130)
