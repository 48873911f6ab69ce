"""One line of a benchmark's table: one contestant on one scan."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.evaluation.lesions import LesionCount
from training.evaluation.scan_score import ScanScore


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanRow:
    """What was measured on one scan with one contestant.

    Attributes
    ----------
    contestant : str
        Who segmented.
    bundle_sha256 : str
        Digest of the weights.
    score : ScanScore
        Against the truth.
    seconds : float
        From the volume in memory to the mask.
    peak_memory_mb : float
        Highest memory meanwhile above what was held before the network was loaded, in 10^6
        bytes.
    """

    contestant: str
    bundle_sha256: str
    score: ScanScore
    seconds: float
    peak_memory_mb: float

    def flat(self) -> dict[str, Any]:
        """Return the row as columns."""
        score = self.score
        return {
            "contestant": self.contestant,
            "case_id": score.case_id,
            "patient_id": score.patient_id,
            "dice": score.dice,
            "iou": score.iou,
            "hd95_mm": score.hd95_mm,
            "predicted_ml": score.predicted_ml,
            "true_ml": score.true_ml,
            "error_ml": score.error_ml,
            "true_lesions": score.lesions.true,
            "found_lesions": score.lesions.found,
            "false_lesions": score.lesions.false,
            "seconds": self.seconds,
            "peak_memory_mb": self.peak_memory_mb,
            "bundle_sha256": self.bundle_sha256,
        }


def append_row(path: Path, row: ScanRow) -> None:
    """Add a row to a file of JSON lines; a line that was cut off by a stop is dropped."""
    if path.exists():
        content = path.read_bytes()
        with path.open("r+b") as stream:
            stream.truncate(content.rfind(b"\n") + 1)
    with path.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(dataclasses.asdict(row)) + "\n")


def read_rows(path: Path, *, bundle_sha256: str | None = None) -> list[ScanRow]:
    """Return the rows in a file of JSON lines, none if there is no file.

    A last line that was cut off by a stop is left out, and rows of other weights are.
    """
    if not path.exists():
        return []
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        if not line.endswith("\n"):
            break
        row = _row(json.loads(line))
        if bundle_sha256 in (None, row.bundle_sha256):
            rows.append(row)
    return rows


def _row(content: dict[str, Any]) -> ScanRow:
    score = dict(content["score"])
    score["lesions"] = LesionCount(**score["lesions"])
    return ScanRow(**{**content, "score": ScanScore(**score)})
