"""Table 1 of Abramova et al. 2024, of our own runs and as it was published."""

import csv
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from scipy import stats  # type: ignore[import-untyped]  # scipy ships no types

from training.growth.arms import PLANS, Arm
from training.growth.evaluation import EVEN, Judged
from training.growth.scores import GrowthScore

TABLE, TABLE_JSON, ALL_SCORES = "table.md", "table.json", "scores.csv"

#: Below this a difference is called significant, as in the paper.
SIGNIFICANCE = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row: means and standard deviations over the patients.

    Attributes
    ----------
    words : str
        First column.
    patients : int
        How many; patients whose growth cannot be overlapped count for the volumes alone.
    growth_dice, growth_dice_sd : float
        Overlap of the growth.
    error_ml, error_ml_sd : float
        AEV: mean of forecast minus true volume.
    absolute_error_ml, absolute_error_ml_sd : float
        AAEV: mean of its size.
    lesion_dice : float
        Overlap of the whole hematoma.
    folding : float or None
        Mean share of the field that folds; None where it is not known.
    p_growth_dice, p_error : float or None
        Paired t-test against the first row, two-sided.
    """

    words: str
    patients: int
    growth_dice: float
    growth_dice_sd: float | None
    error_ml: float
    error_ml_sd: float | None
    absolute_error_ml: float
    absolute_error_ml_sd: float | None
    lesion_dice: float | None
    folding: float | None = None
    p_growth_dice: float | None = None
    p_error: float | None = None


def _published(words: str, dice: float, sd: float, *rest: float) -> Row:
    error, error_sd, absolute, absolute_sd, lesion = rest
    return Row(
        words=f"{words} (published)",
        patients=27,
        growth_dice=dice,
        growth_dice_sd=sd,
        error_ml=error,
        error_ml_sd=error_sd,
        absolute_error_ml=absolute,
        absolute_error_ml_sd=absolute_sd,
        lesion_dice=lesion,
    )


#: Table 1 and the text beside it, 27 patients left out one by one; the last row is Xiao et al.,
#: MICCAI 2021, as quoted there.
PUBLISHED = (
    _published("Original images", 0.458, 0.125, -5.81, 11.54, 9.20, 8.96, 0.757),
    _published("Original images + DA", 0.481, 0.118, -5.09, 10.12, 8.15, 7.77, 0.763),
    _published("Original images + synthesis", 0.506, 0.120, -3.44, 11.87, 8.49, 8.85, 0.761),
    Row(
        words="Xiao et al. 2021 (published)",
        patients=0,
        growth_dice=0.467,
        growth_dice_sd=None,
        error_ml=4.80,
        error_ml_sd=None,
        absolute_error_ml=10.50,
        absolute_error_ml_sd=None,
        lesion_dice=0.735,
    ),
)


def rows_of(judged: Sequence[Judged]) -> list[Row]:
    """Return a row for each way, tested against the first.

    Raises
    ------
    ValueError
        If the ways were not judged on the same patients.
    """
    first = judged[0]
    for other in judged[1:]:
        if [one.patient_id for one in other.scores] != [one.patient_id for one in first.scores]:
            raise ValueError(f"{other.name} and {first.name} were judged on different patients")
    return [_row(one, None if one is first else first) for one in judged]


def write_table(folder: Path, judged: Sequence[Judged], *, about: str) -> list[Row]:
    """Write ``table.md``, ``table.json`` and ``scores.csv``; return the rows.

    Parameters
    ----------
    folder : Path
        Made if absent.
    judged : sequence of Judged
        The first is the reference of the tests.
    about : str
        A sentence on the data, set above the table.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = rows_of(judged)
    (folder / TABLE).write_text(f"{about}\n\n{_markdown(rows)}\n", encoding="utf-8")
    content = {
        "about": about,
        "rows": [asdict(row) for row in rows],
        "published": [asdict(row) for row in PUBLISHED],
    }
    (folder / TABLE_JSON).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    with (folder / ALL_SCORES).open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("way", *asdict(judged[0].scores[0])))
        for way in judged:
            writer.writerows((way.name, *asdict(score).values()) for score in way.scores)
    return rows


def words_of(name: str) -> str:
    """Return what a way is called in tables and figures."""
    if name == EVEN:
        return "Even growth by the training patients' mean ratio"
    return PLANS[Arm(name)].words


def _row(way: Judged, reference: Judged | None) -> Row:
    overlaps = [one.growth_dice for one in way.scores if one.growth_dice is not None]
    errors = np.array([one.error_ml for one in way.scores])
    lesions = [one.lesion_dice for one in way.scores if one.lesion_dice is not None]
    has_field = way.name != EVEN
    return Row(
        words=words_of(way.name),
        patients=len(way.scores),
        growth_dice=_mean(overlaps),
        growth_dice_sd=_sd(overlaps),
        error_ml=_mean(errors),
        error_ml_sd=_sd(errors),
        absolute_error_ml=_mean(np.abs(errors)),
        absolute_error_ml_sd=_sd(np.abs(errors)),
        lesion_dice=_mean(lesions),
        folding=_mean([one.folding for one in way.scores]) if has_field else None,
        p_growth_dice=_p(way, reference, "growth_dice"),
        p_error=_p(way, reference, "error_ml"),
    )


def _p(way: Judged, reference: Judged | None, name: str) -> float | None:
    """Return the paired t-test's two-sided p, 1 where nothing differs, None without a pair."""
    if reference is None:
        return None
    pairs = [
        (_value(one, name), _value(other, name))
        for one, other in zip(way.scores, reference.scores, strict=True)
    ]
    known = np.array([pair for pair in pairs if None not in pair], dtype=np.float64)
    if len(known) < 2:  # noqa: PLR2004  one pair has no spread
        return None
    differences = known[:, 0] - known[:, 1]
    if np.allclose(differences, differences[0]):
        return 1.0 if np.allclose(differences, 0) else 0.0
    return float(stats.ttest_rel(known[:, 0], known[:, 1]).pvalue)


def _value(score: GrowthScore, name: str) -> float | None:
    found: float | None = getattr(score, name)
    return found


def _mean(values: Sequence[float] | np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


def _sd(
    values: Sequence[float] | np.ndarray[tuple[int, ...], np.dtype[np.float64]],
) -> float | None:
    return float(np.std(values, ddof=1)) if len(values) > 1 else None


def _markdown(rows: Sequence[Row]) -> str:
    lines = [
        "| | patients | Dice of growth | AEV, mL | AAEV, mL | lesion Dice | folding |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in (*rows, *PUBLISHED):
        cells = (
            row.words,
            str(row.patients or "?"),
            _cell(row.growth_dice, row.growth_dice_sd, 3, row.p_growth_dice),
            _cell(row.error_ml, row.error_ml_sd, 2, row.p_error),
            _cell(row.absolute_error_ml, row.absolute_error_ml_sd, 2, None),
            "" if row.lesion_dice is None else f"{row.lesion_dice:.3f}",
            "" if row.folding is None else f"{row.folding:.2%}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    note = f"\\* p < {SIGNIFICANCE:g} against the first row (paired t-test). Mean ± SD."
    return "\n".join([*lines, "", note])


def _cell(mean: float, sd: float | None, digits: int, p_value: float | None) -> str:
    spread = "" if sd is None else f" ± {sd:.{digits}f}"
    star = r" \*" if p_value is not None and p_value < SIGNIFICANCE else ""
    return f"{mean:.{digits}f}{spread}{star}"
