"""The page as its own content stream says it: every word on the page, above its lower edge."""

import re
import zlib

from PIL import Image

from dicom_node.results.pdf_page import PageText, pdf_page

#: Drawn text: its place, then its glyphs, two bytes each (ISO 32000, 9.4 and 9.7.6.2).
PLACED = re.compile(rb"1\s+0\s+-?0\s+1\s+(-?[\d.]+)\s+(-?[\d.]+)\s+cm\s+BT(.*?)ET", re.DOTALL)
GLYPHS = re.compile(rb"\(((?:\\.|[^()\\])*)\)", re.DOTALL)
#: How wide and how high an image is drawn.
IMAGES = re.compile(
    rb"cm\s+([\d.]+)\s+0\s+0\s+-[\d.]+\s+0\s+([\d.]+)\s+cm\s+/I\d+\s+Do", re.DOTALL
)
MODEL = {"name": "ich-seg", "version": "1.0", "weights_sha256": "ab" * 32, "demonstration": False}


def content_of(page):
    for stream in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", page, re.DOTALL):
        try:
            content = zlib.decompress(stream)
        except zlib.error:
            continue
        if b"BT" in content:
            return content
    raise AssertionError("no content stream")


def lines_of(page):
    """Return place and words of every line of text, from above."""
    lines = []
    for x, y, shown in PLACED.findall(content_of(page)):
        glyphs = b"".join(re.sub(rb"\\(.)", rb"\1", each) for each in GLYPHS.findall(shown))
        lines.append((float(x), float(y), glyphs.decode("utf-16-be")))
    return sorted(lines, key=lambda line: -line[1])


def heights_of(page):
    """Return how high each image is drawn; the picture comes after the Chinese line."""
    return [float(height) for _, height in IMAGES.findall(content_of(page))]


def text_of(remarks=(), *, value="14.1 mL"):
    return PageText(
        title="Expanded (> 6 mL)",
        numbers=[("Volume at baseline", value)],
        remarks=list(remarks),
        models={"segmentation": MODEL},
    )


def picture(width=1500, height=900):
    return Image.new("RGB", (width, height))


def test_the_page_says_what_it_is_given():
    """Warning first, then the title, number beside name, and that nobody doubts."""
    said = [words for _, _, words in lines_of(pdf_page(text_of(), picture()))]

    assert said[0] == "RESEARCH USE ONLY - NOT FOR CLINICAL USE"
    assert said[1] == "Expanded (> 6 mL)"
    assert set(said[2:4]) == {"Volume at baseline", "14.1\N{NO-BREAK SPACE}mL"}
    assert said[4:6] == ["Doubts and remarks", "None was raised."]
    assert said[6] == "Models"


def test_a_long_value_goes_on_in_the_next_line_and_keeps_its_units():
    """Nothing runs off the right edge, and no number stands without its unit."""
    value = "Expanded (growth by more than 6 mL, growth by more than 33 %)"

    placed = lines_of(pdf_page(text_of(value=value), picture()))
    beside = [words for x, _, words in placed if x > 200]

    assert beside[:2] == [
        "Expanded (growth by more than 6\N{NO-BREAK SPACE}mL, growth by more than",
        "33\N{NO-BREAK SPACE}%)",
    ]


def test_however_much_there_is_to_say_it_is_one_page():
    """A4 is 842 points high: the picture gives way, and every line stays above the lower edge."""
    remarks = [f"Remark {number}." for number in range(28)]

    page = pdf_page(text_of(remarks), picture())
    lowest = min(y for _, y, _ in lines_of(page))
    small, large = (heights_of(each)[-1] for each in (page, pdf_page(text_of(), picture())))

    assert len(re.findall(rb"/Type /Page\b", page)) == 1
    assert {words for _, _, words in lines_of(page)} >= set(remarks)
    assert lowest > 20
    assert 100 < small < large
