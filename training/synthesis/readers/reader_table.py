"""Table 2 of the published study: what readers say of real and of synthetic images."""

import csv
import dataclasses
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.statistics.estimate import Estimate
from training.evaluation.agreement_statistics import fleiss_kappa, icc_2_1, rating_counts
from training.evaluation.group_tests import mann_whitney
from training.synthesis.readers.answers import read_answers
from training.synthesis.readers.kit import Kind, read_key, read_kit

#: From this grade an image counts as good enough.
GOOD = 3

#: Two of three readers decide.
MAJORITY = 2 / 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A count with what it is out of."""

    count: int
    of: int

    def __str__(self) -> str:
        return f"{self.count} ({100 * self.count / self.of:.1f} %)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Graded:
    """Grades of the images of one kind on one scale.

    Attributes
    ----------
    mean, sd : float
        Of the images, each with the mean of its readers.
    good, poor : Share
        Single grades from 3 upwards, and below.
    """

    mean: float
    sd: float
    good: Share
    poor: Share


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """One scale: both kinds compared.

    Attributes
    ----------
    real, synthetic : Graded
        Each kind.
    p_value : float
        Mann-Whitney U test of the images' means.
    icc : Estimate or None
        ICC(2,1) over all images; None where nothing varies.
    """

    real: Graded
    synthetic: Graded
    p_value: float
    icc: Estimate | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderTable:
    """The whole table.

    Attributes
    ----------
    readers : int
        Who answered everything.
    quality, authenticity : Scale
        The two scales.
    real_identified, synthetic_identified : Share
        Images that two thirds of the readers or more called what they are.
    kappa : Estimate or None
        Fleiss' kappa of the verdicts; None where all are one.
    """

    readers: int
    quality: Scale
    authenticity: Scale
    real_identified: Share
    synthetic_identified: Share
    kappa: Estimate | None


#: What the npj study printed: row, real, synthetic, and p or agreement.
PUBLISHED = (
    ("3.54 ± 0.60", "3.41 ± 0.78", "p = 0.156"),
    ("300 (100.0 %)", "261 (87.0 %)", ""),
    ("0 (0.0 %)", "39 (13.0 %)", ""),
    ("", "", "0.775"),
    ("3.31 ± 0.65", "3.15 ± 0.93", "p = 0.207"),
    ("275 (91.7 %)", "222 (74.0 %)", ""),
    ("25 (8.3 %)", "78 (26.0 %)", ""),
    ("", "", "0.814"),
    ("93 (93.0 %)", "24 (24.0 %)", ""),
    ("", "", "0.719"),
)


def reader_table(output: Path) -> ReaderTable:
    """Return the table of a finished reader study.

    Raises
    ------
    ValueError
        If a reader has not answered everything; the message says how much is missing.
    """
    kit, key = read_kit(output), read_key(output)
    codes = sorted(key)
    books = []
    for reader in kit.orders:
        answers = read_answers(output, reader)
        missing = len([code for code in codes if code not in answers])
        if missing:
            raise ValueError(f"Reader {reader} has {missing} of {len(codes)} images to answer")
        books.append([answers[code] for code in codes])
    return tabulate(
        real=np.array([key[code] is Kind.REAL for code in codes]),
        quality=np.array([[one.quality for one in book] for book in books]).T,
        authenticity=np.array([[one.authenticity for one in book] for book in books]).T,
        called_real=np.array([[one.verdict is Kind.REAL for one in book] for book in books]).T,
    )


def tabulate(
    *,
    real: NDArray[np.bool_],
    quality: NDArray[np.int64],
    authenticity: NDArray[np.int64],
    called_real: NDArray[np.bool_],
) -> ReaderTable:
    """Return the table of answers.

    Parameters
    ----------
    real : ndarray of bool, shape (N,)
        What each image is.
    quality, authenticity : ndarray of int64, shape (N, K)
        Grades of K readers.
    called_real : ndarray of bool, shape (N, K)
        Their verdicts.
    """
    right = np.mean(called_real == real[:, None], axis=1) >= MAJORITY - 1e-9

    def identified(chosen: NDArray[np.bool_]) -> Share:
        return Share(count=int(right[chosen].sum()), of=int(chosen.sum()))

    counts = rating_counts(called_real, categories=(False, True))
    return ReaderTable(
        readers=quality.shape[1],
        quality=_scale(quality, real),
        authenticity=_scale(authenticity, real),
        real_identified=identified(real),
        synthetic_identified=identified(~real),
        kappa=_where_defined(fleiss_kappa, counts),
    )


def rows_of(table: ReaderTable) -> list[tuple[str, str, str, str]]:
    """Return the printed rows: item, real, synthetic, p or agreement, in the order published."""
    rows = []
    for name, scale in (
        ("Overall image quality", table.quality),
        ("Hematoma and surrounding structures", table.authenticity),
    ):
        real, synthetic = scale.real, scale.synthetic
        rows += [
            (
                f"{name}: mean ± SD",
                f"{real.mean:.2f} ± {real.sd:.2f}",
                f"{synthetic.mean:.2f} ± {synthetic.sd:.2f}",
                f"p = {scale.p_value:.3f}",
            ),
            (f"{name}: score ≥ {GOOD}", str(real.good), str(synthetic.good), ""),
            (f"{name}: score < {GOOD}", str(real.poor), str(synthetic.poor), ""),
            (f"{name}: ICC(2,1)", "", "", _printed(scale.icc)),
        ]
    identified = (str(table.real_identified), str(table.synthetic_identified))
    rows.append(("Correctly identified by the majority", *identified, ""))
    rows.append(("Verdicts: Fleiss' kappa", "", "", _printed(table.kappa)))
    return rows


def write_table(output: Path, table: ReaderTable) -> None:
    """Write the table as JSON, CSV and a page with the published numbers beside ours."""
    content = json.dumps(dataclasses.asdict(table), indent=1) + "\n"
    (output / "table2.json").write_text(content)
    header = ("item", "real", "synthetic", "p or agreement")
    rows = rows_of(table)
    with (output / "table2.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(header)
        writer.writerows(rows)
    published = ("published real", "published synthetic", "published p or agreement")
    lines = [_line([*header, *published]), _line(["---"] * (len(header) + len(published)))]
    lines += [_line([*row, *theirs]) for row, theirs in zip(rows, PUBLISHED, strict=True)]
    title = f"# What {table.readers} readers say of real and synthetic images\n\n"
    (output / "table2.md").write_text(title + "\n".join(lines) + "\n")


def _scale(grades: NDArray[np.int64], real: NDArray[np.bool_]) -> Scale:
    means = grades.mean(axis=1)
    return Scale(
        real=_graded(grades[real]),
        synthetic=_graded(grades[~real]),
        p_value=mann_whitney(means[real], means[~real]).p_value,
        icc=_where_defined(icc_2_1, grades),
    )


def _graded(grades: NDArray[np.int64]) -> Graded:
    means = grades.mean(axis=1)
    good = int((grades >= GOOD).sum())
    return Graded(
        mean=float(means.mean()),
        sd=float(means.std(ddof=1)),
        good=Share(count=good, of=grades.size),
        poor=Share(count=grades.size - good, of=grades.size),
    )


def _where_defined(
    statistic: Callable[[NDArray[Any]], Estimate], values: NDArray[Any]
) -> Estimate | None:
    try:
        return statistic(values)
    except ValueError:  # nothing varies
        return None


def _printed(estimate: Estimate | None) -> str:
    return "not defined" if estimate is None else str(estimate)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
