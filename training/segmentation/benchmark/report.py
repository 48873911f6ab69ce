"""Everything that a benchmark leaves to be read: tables and figures."""

from collections.abc import Sequence
from pathlib import Path

from training.segmentation.benchmark.conditions import Conditions
from training.segmentation.benchmark.contest import Failed, Finished
from training.segmentation.benchmark.doubt_figure import draw_doubt
from training.segmentation.benchmark.example_figure import draw_examples
from training.segmentation.benchmark.held_out import HeldOut
from training.segmentation.benchmark.overlap_figure import draw_overlap
from training.segmentation.benchmark.summary import ContestantSummary, bleeding, summarise
from training.segmentation.benchmark.tables import write_tables
from training.segmentation.benchmark.volume_figures import draw_bland_altman, draw_volumes


def write_report(
    output: Path,
    finished: Sequence[Finished],
    failed: Sequence[Failed],
    held_out: HeldOut,
    *,
    conditions: Conditions,
    reference: str,
) -> list[ContestantSummary]:
    """Write tables and figures of whoever finished and return the summaries.

    Figures need scans with hematoma and are left out where there is none.
    """
    summaries = summarise(finished, reference=reference, seed=conditions.seed)
    write_tables(output, finished, summaries, failed, conditions=conditions, reference=reference)
    if not finished or not bleeding(finished[0].rows):
        return summaries
    kind = conditions.kind
    draw_overlap(output / "overlap.png", finished, kind=kind)
    draw_volumes(output / "volumes.png", finished, summaries, kind=kind)
    draw_bland_altman(output / "bland_altman.png", finished, summaries, kind=kind)
    scans = {scan.case_id: scan for scan in held_out.scans}
    draw_examples(output / "examples.png", finished, scans, output, kind=kind)
    for one in finished:
        if one.doubt is not None:
            path = output / f"calibration_{one.contestant.name}.png"
            draw_doubt(path, one.doubt, title=one.contestant.title, kind=kind)
    return summaries
