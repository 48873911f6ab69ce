"""The answers of a reader, kept line by line so that none is lost."""

import csv
import os
from dataclasses import dataclass
from pathlib import Path

from training.synthesis.readers.kit import Kind

ANSWERS_FOLDER = "answers"

_COLUMNS = ("code", "quality", "authenticity", "verdict")

#: Ends of the scales.
LOWEST, HIGHEST = 1, 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a reader says of an image.

    Attributes
    ----------
    code : str
        Of the image.
    quality : int
        Overall image quality: sharpness, noise, artefacts; 1 to 5.
    authenticity : int
        Authenticity of the hematoma and of what surrounds it; 1 to 5.
    verdict : Kind
        Real or synthetic.

    Raises
    ------
    ValueError
        If a grade is off the scale.
    """

    code: str
    quality: int
    authenticity: int
    verdict: Kind

    def __post_init__(self) -> None:
        for name in ("quality", "authenticity"):
            if not LOWEST <= getattr(self, name) <= HIGHEST:
                raise ValueError(
                    f"{name} is graded {LOWEST} to {HIGHEST}, got {getattr(self, name)}"
                )


def record_answer(output: Path, reader: str, answer: Answer) -> None:
    """Add an answer to a reader's file, on the disk before this returns."""
    path = _path(output, reader)
    path.parent.mkdir(exist_ok=True)
    new = not path.exists()
    with path.open("a", newline="") as stream:
        writer = csv.writer(stream)
        if new:
            writer.writerow(_COLUMNS)
        writer.writerow([answer.code, answer.quality, answer.authenticity, str(answer.verdict)])
        stream.flush()
        os.fsync(stream.fileno())


def read_answers(output: Path, reader: str) -> dict[str, Answer]:
    """Return a reader's answers by code; of several for one image the last counts.

    Raises
    ------
    ValueError
        If a line is no answer; the message names file and line.
    """
    path = _path(output, reader)
    if not path.exists():
        return {}
    answers = {}
    with path.open(newline="") as stream:
        rows = csv.DictReader(stream)
        missing = set(_COLUMNS) - set(rows.fieldnames or ())
        if missing:
            raise ValueError(f"{path} lacks the columns {', '.join(sorted(missing))}")
        for row in rows:
            try:
                answers[row["code"]] = Answer(
                    code=row["code"],
                    quality=int(row["quality"]),
                    authenticity=int(row["authenticity"]),
                    verdict=Kind(row["verdict"]),
                )
            except (TypeError, ValueError) as error:
                raise ValueError(f"{path}, line {rows.line_num}: {error}") from error
    return answers


def _path(output: Path, reader: str) -> Path:
    return output / ANSWERS_FOLDER / f"{reader}.csv"
