"""The research line at the foot of a picture: English on the left, Chinese on the right."""

from PIL import Image, ImageDraw

from dicom_node.results import wording
from dicom_node.results.chinese_line import chinese_line
from dicom_node.results.picture import font
from dicom_node.results.summary_colors import RED


def write_research_line(
    image: Image.Image, *, margin: int, top: int, size: int, chinese_px: int, drop: int = 2
) -> None:
    """Write the line in red between two margins of a picture.

    Parameters
    ----------
    margin : int
        Distance from the left and from the right edge.
    top : int
        Upper edge of the English letters.
    size : int
        Their size.
    chinese_px : int
        Height of the Chinese ones.
    drop : int
        How much lower these begin.
    """
    face = font(size, bold=True)
    ImageDraw.Draw(image).text((margin, top), wording.RESEARCH_LINE, font=face, fill=RED)
    ink = chinese_line(chinese_px)
    image.paste(RED, (image.width - margin - ink.width, top + drop), ink)
