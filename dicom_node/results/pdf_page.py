"""The report as one page of paper: picture, numbers, doubts, models; no patient attribute.

What a reader must know of the patient stands in the object's header, where de-identification
finds it.
"""

import textwrap
from collections.abc import Mapping
from io import BytesIO
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from dicom_node.results import wording
from dicom_node.results.chinese_line import chinese_line
from dicom_node.results.summary_page import numbers_of, title_of
from pipeline.quality_flags import QualityFlag

#: A4, upright, in inches.
_PAGE_INCH: Final = (8.27, 11.69)
#: Margin, and from one line to the next, as parts of the page's height.
_MARGIN: Final = 0.05
_LINE: Final = 0.0175
#: Where values stand beside their names, as a part of the page's width.
_VALUES_AT: Final = 0.46
#: Characters of a remark in one line.
_REMARK_WIDTH: Final = 104
_INK: Final = "#1a1c1e"
_MARK: Final = "#b3261e"
#: The outlines of all characters go into the file, as TrueType: PACS print without our fonts.
_EMBEDDED: Final = {"pdf.fonttype": 42, "font.family": ["DejaVu Sans"], "pdf.compression": 6}


def pdf_page(record: Mapping[str, Any], picture: Image.Image) -> bytes:
    """Return the page as PDF; the same input gives the same bytes.

    Parameters
    ----------
    record : mapping
        From `analysis_record`.
    picture : Image
        From `draw_summary`.
    """
    with mpl.rc_context(_EMBEDDED):  # type: ignore[arg-type]  # keys are known
        figure = Figure(figsize=_PAGE_INCH)
        writer = _Writer(figure)
        writer.warning(record)
        writer.picture(picture)
        writer.heading(title_of(record))
        for name, value in numbers_of(record):
            writer.row(name, value)
        writer.heading("Doubts and remarks")
        flags = [QualityFlag(value) for value in record["flags"]]
        for remark in wording.flag_sentences(flags) or ("None was raised.",):
            writer.remark(remark)
        writer.heading("Models")
        for task, model in record["model"].items():
            weights = f"weights {model['weights_sha256'][:12]}"
            writer.row(task, f"{model['name']} {model['version']} ({weights})")
        page = BytesIO()
        title = f"{title_of(record)} - {wording.RESEARCH_USE_ONLY}"
        figure.savefig(page, format="pdf", metadata={"Title": title, "CreationDate": None})
    return page.getvalue()


class _Writer:
    """Fills one page from above."""

    def __init__(self, figure: Figure) -> None:
        self._figure = figure
        self._y = 1 - _MARGIN

    def _text(self, x: float, words: str, size: float, *, bold: bool, color: str) -> None:
        weight = "bold" if bold else "normal"
        self._figure.text(
            x, self._y, words, fontsize=size, fontweight=weight, color=color, va="top"
        )

    def heading(self, words: str) -> None:
        """Write a heading."""
        self._y -= _LINE / 2
        self._text(_MARGIN, words, 12, bold=True, color=_INK)
        self._y -= 1.4 * _LINE

    def row(self, name: str, value: str) -> None:
        """Write a name and its value."""
        self._text(_MARGIN, name, 9, bold=False, color=_INK)
        self._text(_VALUES_AT, value, 9, bold=False, color=_INK)
        self._y -= _LINE

    def remark(self, words: str) -> None:
        """Write a sentence, in several lines if need be."""
        for line in textwrap.wrap(words, _REMARK_WIDTH):
            self._text(_MARGIN, line, 9, bold=False, color=_INK)
            self._y -= _LINE

    def warning(self, record: Mapping[str, Any]) -> None:
        """Write the research line in both languages, and whether the models are for show."""
        line = f"{wording.RESEARCH_USE_ONLY} - {wording.NOT_FOR_CLINICAL_USE}"
        self._text(_MARGIN, line, 11, bold=True, color=_MARK)
        ink = np.asarray(chinese_line(64), dtype=np.float64) / 255
        red = np.array([0xB3, 0x26, 0x1E]) / 255
        pixels = np.dstack([np.broadcast_to(red, (*ink.shape, 3)), ink])
        height = 0.014
        width = height * ink.shape[1] / ink.shape[0] * _PAGE_INCH[1] / _PAGE_INCH[0]
        self._image(pixels, (1 - _MARGIN - width, self._y - height, width, height))
        self._y -= 1.4 * _LINE
        if any(model["demonstration"] for model in record["model"].values()):
            self.remark(wording.DEMONSTRATION_STATEMENT)

    def picture(self, picture: Image.Image) -> None:
        """Lay the summary picture over the page's width."""
        width = 1 - 2 * _MARGIN
        height = width * picture.height / picture.width * _PAGE_INCH[0] / _PAGE_INCH[1]
        self._image(np.asarray(picture), (_MARGIN, self._y - height, width, height))
        self._y -= height + _LINE / 2

    def _image(
        self, pixels: np.ndarray[Any, Any], place: tuple[float, float, float, float]
    ) -> None:
        axes = self._figure.add_axes(place)
        axes.imshow(pixels, aspect="auto", interpolation="none")
        axes.set_axis_off()
