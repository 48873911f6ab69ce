"""A report as one page of paper: picture, numbers, doubts, models; no patient attribute.

What a reader must know of the patient stands in the object's header, where de-identification
finds it.
"""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from PIL import Image

from dicom_node.results import wording
from dicom_node.results.chinese_line import chinese_line

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: A4, upright, in inches.
_PAGE_INCH: Final = (8.27, 11.69)
#: Margin, and from one line to the next, as parts of the page's height.
_MARGIN: Final = 0.05
_LINE: Final = 0.0175
#: Where values stand beside their names, as a part of the page's width.
_VALUES_AT: Final = 0.46
#: Characters of a value, and of a remark, in one line.
_VALUE_WIDTH: Final = 58
_REMARK_WIDTH: Final = 104
#: Between a number and its unit.
_NO_BREAK: Final = "\N{NO-BREAK SPACE}"
#: The picture is never lower than this part of the page's height, however much there is to say.
_LOWEST_PICTURE: Final = 0.15
_INK: Final = "#1a1c1e"
_MARK: Final = "#b3261e"
#: The outlines of all characters go into the file, as TrueType: PACS print without our fonts.
_EMBEDDED: Final = {"pdf.fonttype": 42, "font.family": ["DejaVu Sans"], "pdf.compression": 6}


@dataclass(frozen=True, slots=True, kw_only=True)
class PageText:
    """What stands below the picture.

    Attributes
    ----------
    title : str
        The outcome in a few words.
    numbers : sequence of (str, str)
        What was measured and judged, name by name.
    remarks : sequence of str
        Doubts and whatever else a reader must know, each a sentence.
    models : mapping of str to mapping
        Models by task, as a record names them.
    """

    title: str
    numbers: Sequence[tuple[str, str]]
    remarks: Sequence[str]
    models: Mapping[str, Mapping[str, Any]]


def pdf_page(text: PageText, picture: Image.Image) -> bytes:
    """Return the page as PDF; the same input gives the same bytes.

    The picture takes the page's width, or the height that the text leaves.
    """
    import matplotlib as mpl  # only a site that wants pages pays for it
    from matplotlib.figure import Figure

    with mpl.rc_context(_EMBEDDED):  # type: ignore[arg-type]  # keys are known
        figure = Figure(figsize=_PAGE_INCH)
        writer = _Writer(figure)
        writer.warning(text.models)
        writer.picture(picture, highest=writer.room - _height(text))
        writer.text(text)
        page = BytesIO()
        title = f"{text.title} - {wording.RESEARCH_USE_ONLY}"
        figure.savefig(page, format="pdf", metadata={"Title": title, "CreationDate": None})
    return page.getvalue()


def _height(text: PageText) -> float:
    """Return how much of the page a text takes, by writing it on another one."""
    from matplotlib.figure import Figure

    writer = _Writer(Figure(figsize=_PAGE_INCH))
    room = writer.room
    writer.text(text)
    return room - writer.room


class _Writer:
    """Fills one page from above."""

    def __init__(self, figure: "Figure") -> None:
        self._figure = figure
        self._y = 1 - _MARGIN

    @property
    def room(self) -> float:
        """What is left of the page, as a part of its height."""
        return self._y - _MARGIN

    def _text(self, x: float, words: str, size: float, *, bold: bool, color: str) -> None:
        weight = "bold" if bold else "normal"
        self._figure.text(
            x, self._y, words, fontsize=size, fontweight=weight, color=color, va="top"
        )

    def text(self, text: PageText) -> None:
        """Write all of a text."""
        self._heading(text.title)
        for name, value in text.numbers:
            self._row(name, value)
        self._heading("Doubts and remarks")
        for remark in text.remarks or ("None was raised.",):
            self._remark(remark)
        self._heading("Models")
        for task, model in text.models.items():
            weights = f"weights {model['weights_sha256'][:12]}"
            self._row(task, f"{model['name']} {model['version']} ({weights})")

    def _heading(self, words: str) -> None:
        self._y -= _LINE / 2
        self._text(_MARGIN, words, 12, bold=True, color=_INK)
        self._y -= 1.4 * _LINE

    def _row(self, name: str, value: str) -> None:
        """Write a name and its value, in several lines if need be."""
        self._text(_MARGIN, name, 9, bold=False, color=_INK)
        unbroken = value.replace(" %", f"{_NO_BREAK}%").replace(" mL", f"{_NO_BREAK}mL")
        for line in textwrap.wrap(unbroken, _VALUE_WIDTH) or [""]:
            self._text(_VALUES_AT, line, 9, bold=False, color=_INK)
            self._y -= _LINE

    def _remark(self, words: str) -> None:
        """Write a sentence, in several lines if need be."""
        for line in textwrap.wrap(words, _REMARK_WIDTH):
            self._text(_MARGIN, line, 9, bold=False, color=_INK)
            self._y -= _LINE

    def warning(self, models: Mapping[str, Mapping[str, Any]]) -> None:
        """Write the research line in both languages, and whether the models are for show."""
        self._text(_MARGIN, wording.RESEARCH_LINE, 11, bold=True, color=_MARK)
        ink = np.asarray(chinese_line(64), dtype=np.float64) / 255
        red = np.array([0xB3, 0x26, 0x1E]) / 255
        pixels = np.dstack([np.broadcast_to(red, (*ink.shape, 3)), ink])
        height = 0.014
        width = height * ink.shape[1] / ink.shape[0] * _PAGE_INCH[1] / _PAGE_INCH[0]
        self._image(pixels, (1 - _MARGIN - width, self._y - height, width, height))
        self._y -= 1.4 * _LINE
        if any(model["demonstration"] for model in models.values()):
            self._remark(wording.DEMONSTRATION_STATEMENT)

    def picture(self, picture: Image.Image, *, highest: float) -> None:
        """Lay a picture over the page's width, narrower if it would be too high."""
        width = 1 - 2 * _MARGIN
        height = width * picture.height / picture.width * _PAGE_INCH[0] / _PAGE_INCH[1]
        scale = min(1.0, max(highest - _LINE / 2, _LOWEST_PICTURE) / height)
        width, height = width * scale, height * scale
        place = ((1 - width) / 2, self._y - height, width, height)
        self._image(np.asarray(picture), place)
        self._y -= height + _LINE / 2

    def _image(
        self, pixels: np.ndarray[Any, Any], place: tuple[float, float, float, float]
    ) -> None:
        axes = self._figure.add_axes(place)
        axes.imshow(pixels, aspect="auto", interpolation="none")
        axes.set_axis_off()
