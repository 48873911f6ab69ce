"""The benchmark's tables: one row per scan, one row per contestant."""

import csv
import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.statistics.estimate import Estimate
from training.evaluation.lesions import LESION_FLOOR_ML, OVERLAP_SHARE
from training.segmentation.benchmark.conditions import Conditions
from training.segmentation.benchmark.contest import Failed, Finished
from training.segmentation.benchmark.summary import ContestantSummary, Versus

if TYPE_CHECKING:
    from rich.table import Table

#: Below this p-values are not told apart.
_SMALLEST_P = 0.001

#: What the numbers are, below the table.
NOTES = (
    "Means are over scans with hematoma, with 95 % intervals from a bootstrap over patients.",
    "Where nothing was found, Dice and IoU are 0 and HD95 is the diagonal of the scan.",
    "HD95 is the larger of the two directed 95th percentiles of the distances of the surfaces.",
    "Bias and limits of agreement: mean and 1.96 SD of predicted minus true volume.",
    f"Lesions are parts (26 neighbours) of at least {LESION_FLOOR_ML:g} mL.",
    f"A lesion is found if at least {OVERLAP_SHARE:.0%} of it is predicted.",
    f"A predicted lesion is false if less than {OVERLAP_SHARE:.0%} of it is true.",
    "False alarms are scans without hematoma in which one was found.",
    "p is that of Wilcoxon's signed-rank test of the patients' means against the reference.",
    "The p-values are corrected for the number of contestants by Holm's method.",
    "Time and memory: from the volume to its mask; median time, highest memory with the network.",
)


def write_tables(
    folder: Path,
    finished: Sequence[Finished],
    summaries: Sequence[ContestantSummary],
    failed: Sequence[Failed],
    *,
    conditions: Conditions,
    reference: str,
) -> None:
    """Write ``benchmark.csv``, ``summary.csv``, ``summary.json`` and ``summary.md``."""
    _write_csv(
        folder / "benchmark.csv",
        [{**row.flat(), "data": conditions.kind} for one in finished for row in one.rows],
    )
    flat = [_flat(summary, conditions) for summary in summaries]
    _write_csv(folder / "summary.csv", flat)
    content = {
        "conditions": dataclasses.asdict(conditions),
        "reference": reference,
        "contestants": flat,
        "failed": {one.contestant.name: one.reason for one in failed},
        "calibration": {
            one.contestant.name: {
                "ece": one.doubt.calibration.ece,
                "brier": one.doubt.calibration.brier,
                "nll": one.doubt.calibration.nll,
                "error_rate": one.doubt.errors.error_rate,
                "error_rate_by_decile": [part.error_rate for part in one.doubt.errors.parts],
                "sparsification_error": one.doubt.errors.sparsification_error,
            }
            for one in finished
            if one.doubt is not None
        },
    }
    (folder / "summary.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    text = summary_markdown(summaries, failed, conditions=conditions, reference=reference)
    text += "".join(_doubt(one) for one in finished)
    (folder / "summary.md").write_text(text, encoding="utf-8")


def summary_markdown(
    summaries: Sequence[ContestantSummary],
    failed: Sequence[Failed],
    *,
    conditions: Conditions,
    reference: str,
) -> str:
    """Return the summary as Markdown: conditions, accuracy, cost, notes."""
    lines = [f"# Segmentation benchmark, {conditions.kind}", "", *conditions.describe(), ""]
    lines += _table([_accuracy(summary, reference) for summary in summaries])
    lines += ["", *_table([_volumes(summary) for summary in summaries])]
    lines += ["", *_table([_cost(summary) for summary in summaries]), ""]
    if failed:
        lines += ["Not finished:", ""]
        lines += [f"- {one.contestant.title}: {one.reason}" for one in failed]
        lines.append("")
    lines += [f"- {note}" for note in NOTES]
    return "\n".join(lines) + "\n"


def short_table(summaries: Sequence[ContestantSummary], *, title: str) -> "Table":
    """Return the few columns that fit a terminal."""
    from rich.table import Table

    table = Table(title=title)
    table.add_column("")
    for name in ("Dice", "HD95, mm", "volume error, mL", "lesions found", "s / volume"):
        table.add_column(name, justify="right")
    for summary in summaries:
        of = summary.measures
        table.add_row(
            summary.contestant.title,
            _interval(of.get("dice"), 3),
            _interval(of.get("hd95_mm"), 1),
            _interval(of.get("absolute_error_ml"), 1),
            _interval(summary.lesion_sensitivity, 2),
            f"{summary.seconds:.1f}",
        )
    return table


def _accuracy(summary: ContestantSummary, reference: str) -> dict[str, str]:
    name = summary.contestant.title
    if summary.contestant.name == reference:
        name += " (reference)"
    of = summary.measures
    return {
        "": name,
        "Dice": _interval(of.get("dice"), 3),
        "Dice - reference (p)": _versus(summary.versus.get("dice"), 3),
        "IoU": _interval(of.get("iou"), 3),
        "HD95, mm": _interval(of.get("hd95_mm"), 1),
        "HD95 - reference (p)": _versus(summary.versus.get("hd95_mm"), 1),
        "lesions found": _interval(summary.lesion_sensitivity, 2),
        "false lesions / scan": _interval(summary.false_lesions, 2),
        "missed": f"{summary.missed} of {summary.bleeding_scans}",
        "false alarms": f"{summary.false_alarms} of {summary.quiet_scans}",
    }


def _volumes(summary: ContestantSummary) -> dict[str, str]:
    limits = summary.limits
    return {
        "": summary.contestant.title,
        "absolute volume error, mL": _interval(summary.measures.get("absolute_error_ml"), 1),
        "error - reference (p)": _versus(summary.versus.get("absolute_error_ml"), 1),
        "bias, mL": _interval(limits.bias if limits else None, 1),
        "limits of agreement, mL": f"{limits.lower_limit.value:.1f} to "
        f"{limits.upper_limit.value:.1f}"
        if limits
        else "-",
        "ICC(2,1)": _interval(summary.icc, 3),
    }


def _cost(summary: ContestantSummary) -> dict[str, str]:
    minutes = summary.training_seconds
    return {
        "": summary.contestant.title,
        "parameters, million": f"{summary.parameters / 1e6:.3g}",
        "seconds / volume": f"{summary.seconds:.2f}",
        "peak memory / volume, MB": f"{summary.peak_memory_mb:.0f}",
        "training steps": str(summary.training_iterations or "-"),
        "training, min": "-" if minutes is None else f"{minutes / 60:.1f}",
    }


def _doubt(one: Finished) -> str:
    """Return a sentence on the calibration of a network that has an uncertainty of its own."""
    if one.doubt is None:
        return ""
    found, errors = one.doubt.calibration, one.doubt.errors
    last = errors.parts[-1]
    return (
        f"- Calibration of {one.contestant.title}, {found.voxels} voxels of {found.scans} heads: "
        f"ECE {found.ece:.4f}, Brier {found.brier:.4f}, NLL {found.nll:.4f}. Of its most "
        f"uncertain tenth {last.error_rate:.1%} is wrong, of all voxels {errors.error_rate:.2%}.\n"
    )


def _flat(summary: ContestantSummary, conditions: Conditions) -> dict[str, Any]:
    """Return a summary as columns."""
    limits = summary.limits
    estimates: dict[str, Estimate | None] = {
        **summary.measures,
        "bias_ml": limits.bias if limits else None,
        "lower_limit_ml": limits.lower_limit if limits else None,
        "upper_limit_ml": limits.upper_limit if limits else None,
        "volume_icc": summary.icc,
        "lesion_sensitivity": summary.lesion_sensitivity,
        "false_lesions_per_scan": summary.false_lesions,
    }
    columns: dict[str, Any] = {
        "contestant": summary.contestant.name,
        "data": conditions.kind,
        "scans": summary.scans,
        "scans_with_hematoma": summary.bleeding_scans,
        "missed": summary.missed,
        "false_alarms": summary.false_alarms,
        "scans_without_hematoma": summary.quiet_scans,
        "parameters": summary.parameters,
        "seconds_per_volume": summary.seconds,
        "peak_memory_mb": summary.peak_memory_mb,
        "training_seconds": summary.training_seconds,
        "training_iterations": summary.training_iterations,
    }
    for name, estimate in estimates.items():
        columns |= _columns(name, estimate)
    columns |= {f"{name}_median": value for name, value in summary.medians.items()}
    for name, found in summary.versus.items():
        columns |= _columns(f"{name}_minus_reference", found.comparison.difference)
        columns[f"{name}_p"] = found.comparison.p_value
        columns[f"{name}_p_holm"] = found.p_holm
    return columns


def _columns(name: str, estimate: Estimate | None) -> dict[str, float | None]:
    return {
        name: estimate.value if estimate else None,
        f"{name}_low_95": estimate.low if estimate else None,
        f"{name}_high_95": estimate.high if estimate else None,
    }


def _write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows; columns that a row lacks stay empty."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, fieldnames=columns)
        writer.writeheader()
        for row in rows:
            writer.writerow(
                {
                    name: f"{value:.6g}" if isinstance(value, float) else value
                    for name, value in row.items()
                }
            )


def _table(rows: Sequence[Mapping[str, str]]) -> list[str]:
    if not rows:
        return []
    lines = [list(rows[0]), ["---"] * len(rows[0]), *(list(row.values()) for row in rows)]
    return ["| " + " | ".join(line) + " |" for line in lines]


def _interval(estimate: Estimate | None, digits: int) -> str:
    if estimate is None:
        return "-"
    low, high = f"{estimate.low:.{digits}f}", f"{estimate.high:.{digits}f}"
    return f"{estimate.value:.{digits}f} [{low}, {high}]"


def _versus(versus: Versus | None, digits: int) -> str:
    if versus is None:
        return "-"
    p = versus.p_holm
    said = f"< {_SMALLEST_P}" if p < _SMALLEST_P else f"{p:.3f}"
    return f"{versus.comparison.difference.value:+.{digits}f} (p {said})"
