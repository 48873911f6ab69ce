"""Kinds of scans by equipment, in words that the same equipment always gets.

Training and node sort scans with the same words; else every comparison would find a difference.
"""

import re

#: Where nothing is said.
UNKNOWN = "not stated"

#: Upper ends of the kinds of slice thickness in mm, and their words. The ends lie between the
#: usual thicknesses (0.6-1.25, 2-3, 4-5, 6-10 mm), so that rounding moves no scan.
_THICKNESS = ((1.5, "to 1.5 mm"), (3.5, "1.5-3.5 mm"), (5.5, "3.5-5.5 mm"))
_THICKER = "above 5.5 mm"

#: A word of Manufacturer (0008,0070), and under which name the vendor is counted: companies
#: change their names while the scanners stay.
_VENDORS = (
    ("siemens", "Siemens"),
    ("ge", "GE"),
    ("philips", "Philips"),
    ("marconi", "Philips"),
    ("picker", "Philips"),
    ("canon", "Canon"),
    ("toshiba", "Canon"),
    ("hitachi", "Fujifilm"),
    ("fujifilm", "Fujifilm"),
    ("neusoft", "Neusoft"),
    ("united", "United Imaging"),
    ("uih", "United Imaging"),
    ("neurologica", "NeuroLogica"),
)

_WORD = re.compile(r"[a-z]+")
_LONGEST = 32


def thickness_kind(thickness_mm: float | None) -> str:
    """Return the kind of a slice thickness in mm."""
    if thickness_mm is None or not thickness_mm > 0:
        return UNKNOWN
    return next((words for end, words in _THICKNESS if thickness_mm <= end), _THICKER)


def manufacturer_kind(manufacturer: str | None) -> str:
    """Return the vendor that the words of a header stand for, as one of few spellings.

    Makers that are not known here are named as they are written, in capitals.
    """
    words = _WORD.findall((manufacturer or "").casefold())
    for word, vendor in _VENDORS:
        if word in words:
            return vendor
    return _plain((manufacturer or "").upper())


def kernel_kind(kernel: str | None) -> str:
    """Return the convolution kernel, the first of several values, in capitals."""
    return _plain((kernel or "").split("\\")[0].upper())


def _plain(text: str | None) -> str:
    """Return printable text of a reasonable length; what a sender wrote is shown to people."""
    printable = "".join(letter for letter in (text or "") if letter.isprintable())
    return " ".join(printable.split())[:_LONGEST] or UNKNOWN
