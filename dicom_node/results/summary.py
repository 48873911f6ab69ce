"""The summary of one analysis for people: a picture, a page, and the record beside them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dicom_node.results.key_slice import draw_key_slice
from dicom_node.results.picture import COMPRESSION
from dicom_node.results.record import analysis_record, rejection_record
from dicom_node.results.summary_page import summary_page
from dicom_node.results.summary_picture import draw_summary
from pipeline.analysis import HematomaFound, IchAnalysis
from pipeline.volume import CtVolume

__all__ = ["analysis_record", "rejection_record", "write_summary"]


def write_summary(
    output: Path,
    analysis: IchAnalysis | None,
    volume: CtVolume | None,
    record: Mapping[str, Any],
) -> None:
    """Write `summary.png`, `summary.html` and `analysis.json` into a folder.

    With a hematoma also `largest.png`, the slice of its largest area.

    Parameters
    ----------
    output : Path
        Folder; made if it does not exist.
    analysis : IchAnalysis or None
        What was found; None for a rejected series.
    volume : CtVolume or None
        The volume; None where none could be read.
    record : mapping
        From `analysis_record` or `rejection_record`.
    """
    output.mkdir(parents=True, exist_ok=True)
    picture = output / "summary.png"
    draw_summary(analysis, volume, record).save(picture, compress_level=COMPRESSION)
    if isinstance(analysis, HematomaFound) and volume is not None:
        is_demonstration = any(model["demonstration"] for model in record["model"].values())
        key_slice = draw_key_slice(analysis, volume, is_demonstration=is_demonstration)
        key_slice.save(output / "largest.png", compress_level=COMPRESSION)
    page = summary_page(record, picture.read_bytes())
    (output / "summary.html").write_text(page, encoding="utf-8")
    (output / "analysis.json").write_text(
        json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )
