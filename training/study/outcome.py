"""What a stage of the study has found, in the form that its folder and the report keep."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.statistics.estimate import Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One number that a publication may have a counterpart of.

    Attributes
    ----------
    key : str
        Stage, group of patients, what, e.g. ``classification.external-1.1:2.auc``; the table of
        published values knows its counterpart by the same key.
    words : str
        What it is.
    text : str
        As it is printed, with interval or spread.
    value : float or None
        The number alone; None where there is no single one.
    comparable : bool
        Whether it measures the same thing as its published counterpart.
    """

    key: str
    words: str
    text: str
    value: float | None = None
    comparable: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """A table of the report; all cells are text.

    Raises
    ------
    ValueError
        If a row has another length than the header.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.header):
                raise ValueError(f"{self.title}: {len(row)} cells under {len(self.header)} heads")


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A figure of the report.

    Attributes
    ----------
    file : str
        Relative to the stage's folder, with slashes.
    caption : str
        What is to be seen, and which published figure it is the counterpart of.
    """

    file: str
    caption: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Everything that a stage tells.

    Attributes
    ----------
    headline : str
        One sentence with the main result.
    measures : tuple of Measure
        For the comparison with published values.
    sheets : tuple of Sheet
        Tables.
    pictures : tuple of Picture
        Figures.
    remarks : tuple of str
        What differs from the publication and why, what the numbers cannot say.
    facts : mapping of str to str
        Results that a later stage reads, such as a folder's name.
    """

    headline: str
    measures: tuple[Measure, ...] = ()
    sheets: tuple[Sheet, ...] = ()
    pictures: tuple[Picture, ...] = ()
    remarks: tuple[str, ...] = ()
    facts: Mapping[str, str] = dataclasses.field(default_factory=dict)


def measured(
    key: str, words: str, estimate: Estimate, *, decimals: int = 3, comparable: bool = True
) -> Measure:
    """Return an estimate with its 95 % interval as a measure."""
    return Measure(
        key=key,
        words=words,
        text=interval(estimate, decimals=decimals),
        value=estimate.value,
        comparable=comparable,
    )


def counted(key: str, words: str, count: int) -> Measure:
    """Return a count as a measure; how far two cohorts' sizes differ says nothing."""
    return Measure(key=key, words=words, text=f"{count:,}")


def interval(estimate: Estimate, *, decimals: int = 3) -> str:
    """Return an estimate as tables print it, e.g. ``0.793 (0.750-0.837)``."""
    value, low, high = (
        f"{number:.{decimals}f}" for number in (estimate.value, estimate.low, estimate.high)
    )
    return f"{value} ({low}\N{EN DASH}{high})"


def probability(p_value: float) -> str:
    """Return a p-value as tables print it."""
    return "< 0.001" if p_value < 0.001 else f"{p_value:.3f}"  # noqa: PLR2004  last digit printed


def outcome_record(outcome: Outcome) -> dict[str, Any]:
    """Return an outcome as JSON values."""
    return dataclasses.asdict(outcome)


def outcome_of(record: Mapping[str, Any]) -> Outcome:
    """Return the outcome that `outcome_record` made JSON of."""
    return Outcome(
        headline=record["headline"],
        measures=tuple(Measure(**one) for one in record["measures"]),
        sheets=tuple(
            Sheet(
                title=one["title"],
                header=tuple(one["header"]),
                rows=tuple(tuple(row) for row in one["rows"]),
                note=one["note"],
            )
            for one in record["sheets"]
        ),
        pictures=tuple(Picture(**one) for one in record["pictures"]),
        remarks=tuple(record["remarks"]),
        facts=dict(record["facts"]),
    )


def write_json(path: Path, content: Any) -> None:  # noqa: ANN401  whatever JSON can hold
    """Write JSON, whole or not at all."""
    partial = path.with_name(path.name + ".part")
    text = json.dumps(content, indent=1, ensure_ascii=False)
    partial.write_text(text + "\n", encoding="utf-8")
    partial.replace(path)
