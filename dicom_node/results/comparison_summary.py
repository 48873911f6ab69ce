"""The summary of one comparison for people: a picture, a page, and the record beside them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from PIL import Image

from dicom_node.results.comparison_page import comparison_page
from dicom_node.results.picture import COMPRESSION

#: What `write_comparison_summary` writes.
SUMMARY_FILES: Final = ("summary.png", "summary.html", "comparison.json")


def write_comparison_summary(
    output: Path, picture: Image.Image, record: Mapping[str, Any]
) -> None:
    """Write `summary.png`, `summary.html` and `comparison.json` into a folder.

    Parameters
    ----------
    output : Path
        Folder; made if it does not exist.
    picture : Image
        From `dicom_node.results.comparison_drawing`.
    record : mapping
        From `dicom_node.results.comparison_record`.
    """
    output.mkdir(parents=True, exist_ok=True)
    drawn, page, told = (output / name for name in SUMMARY_FILES)
    picture.save(drawn, compress_level=COMPRESSION)
    page.write_text(comparison_page(record, drawn.read_bytes()), encoding="utf-8")
    text = json.dumps(record, indent=2, ensure_ascii=False) + "\n"
    told.write_text(text, encoding="utf-8")
