"""Letters at the edges of an image: which way the patient lies."""

from collections.abc import Sequence
from typing import Final

#: Letters of the directions of the patient's axes, positive and negative (PS3.3, C.7.6.1.1.1).
_LETTERS: Final = (("L", "R"), ("P", "A"), ("H", "F"))
#: A part of a direction that is smaller than the sine of 5 degrees is not worth a letter.
_LEAST: Final = 0.087


def direction_letters(cosines_lps: Sequence[float]) -> str:
    """Return the letters of a direction, that of its largest part first, e.g. ``PF``.

    Parameters
    ----------
    cosines_lps : sequence of 3 floats
        Unit vector in the patient's coordinates: left, posterior, head.
    """
    parts = sorted(enumerate(cosines_lps), key=lambda part: -abs(part[1]))
    return "".join(
        _LETTERS[axis][0 if part > 0 else 1] for axis, part in parts if abs(part) >= _LEAST
    )


def edge_letters(
    row_cosine_lps: Sequence[float], column_cosine_lps: Sequence[float]
) -> tuple[str, str, str, str]:
    """Return the letters at the left, right, upper and lower edge of an image.

    Parameters
    ----------
    row_cosine_lps, column_cosine_lps : sequence of 3 floats
        Directions in which columns and rows are counted: Image Orientation (Patient).
    """
    return (
        direction_letters([-part for part in row_cosine_lps]),
        direction_letters(row_cosine_lps),
        direction_letters([-part for part in column_cosine_lps]),
        direction_letters(column_cosine_lps),
    )
