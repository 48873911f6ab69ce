"""Where things stand in a capture: the slice, untouched, inside margins that hold all words.

Nothing that is written may hide anatomy. The canvas is therefore larger than the slice; its pixels
are those of the slice's own grid, continued, so that position and spacing of the capture remain
true and it scrolls and measures with the CT.
"""

from dataclasses import dataclass
from typing import Final

#: Text height as a part of the slice's smaller side, and the smallest that can be read. A slice of
#: 512 pixels with its margins, shown on a tile of 512 pixels, has letters of 12 pixels.
_TEXT_PART: Final = 1 / 28
_SMALLEST_TEXT_PX: Final = 9
#: From one line to the next, in text heights.
_LINE: Final = 1.3
#: Small print, in text heights.
_SMALL: Final = 0.85
#: Lines above the slice (software, models, letter) and below it (letter, numbers, warnings).
LINES_ABOVE: Final = 4
LINES_BELOW: Final = 8
#: Width of a side, in text heights: the colour bar with its words.
_SIDE: Final = 6.6
#: Width that the longest line needs, in text heights.
_WIDEST: Final = 34


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureLayout:
    """Sizes of one capture, in pixels.

    Attributes
    ----------
    rows, columns : int
        Size of the slice.
    top, bottom, left, right : int
        Margins round it.
    text : int
        Height of a letter.
    """

    rows: int
    columns: int
    top: int
    bottom: int
    left: int
    right: int
    text: int

    @property
    def height(self) -> int:
        """Rows of the capture."""
        return self.top + self.rows + self.bottom

    @property
    def width(self) -> int:
        """Columns of the capture."""
        return self.left + self.columns + self.right

    @property
    def small(self) -> int:
        """Height of a letter of small print."""
        return max(_SMALLEST_TEXT_PX, round(self.text * _SMALL))

    @property
    def line(self) -> int:
        """From one line to the next."""
        return line_px(self.text)


def line_px(text: int) -> int:
    """Return the distance of lines whose letters are so high."""
    return round(text * _LINE)


def capture_layout(rows: int, columns: int) -> CaptureLayout:
    """Return the layout for a slice of this size; square where the slice is, roughly."""
    text = max(_SMALLEST_TEXT_PX, round(min(rows, columns) * _TEXT_PART))
    line = line_px(text)
    top, bottom = line * LINES_ABOVE + text // 2, line * LINES_BELOW + text // 2
    side = max(
        round(_SIDE * text),
        -(-(_WIDEST * text - columns) // 2),
        (top + rows + bottom - columns) // 2,
    )
    return CaptureLayout(
        rows=rows, columns=columns, top=top, bottom=bottom, left=side, right=side, text=text
    )
