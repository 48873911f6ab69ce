"""All that is shown of a run: the table, the spread of the scores, and examples."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from training.growth.arms import Arm
from training.growth.evaluation import EVEN, judge_run, read_mask
from training.growth.figures import draw_examples, draw_spread, typical_patients
from training.growth.pair import load_pair, pair_path
from training.growth.run import GrowthRun
from training.growth.table import Row, write_table

SPREAD, EXAMPLES = "spread.png", "examples.png"

#: Patients in the picture of examples, as in the paper's Fig. 5.
_EXAMPLES = 4


def write_report(
    run: GrowthRun,
    arms: Sequence[Arm] | None,
    output: Path,
    *,
    about: str,
    device: torch.device,
    on_patient: Callable[[int, int], None] = lambda *_: None,
) -> list[Row]:
    """Judge a run and write ``table.md``, ``table.json``, ``scores.csv`` and two pictures.

    Parameters
    ----------
    run : GrowthRun
        Begun; folds that not all arms have ended are left out.
    arms : sequence of Arm, optional
        The first is the reference of the tests; None takes all that have ended a fold.
    output : Path
        Made if absent.
    about : str
        A sentence on the data.
    device : torch.device
        Where the networks run.
    on_patient : callable
        Told how many forecasts of how many are there.

    Raises
    ------
    ValueError
        If no fold has been trained to its end.
    """
    chosen = (
        [arm for arm in Arm if any(run.is_done(arm, fold) for fold in run.folds if fold.testing)]
        if arms is None
        else list(arms)
    )
    if not chosen:
        raise ValueError(f"{run.folder}: no training has ended yet")
    judged = judge_run(run, chosen, device=device, on_patient=on_patient)
    rows = write_table(output, judged, about=about)
    draw_spread(output / SPREAD, judged)
    patients = typical_patients(judged[len(chosen) - 1], count=_EXAMPLES)
    masks = {
        way.name: [read_mask(run, Arm(way.name), patient) for patient in patients]
        for way in judged
        if way.name != EVEN
    }
    if patients:
        pairs = [load_pair(pair_path(run.pairs, patient)) for patient in patients]
        draw_examples(output / EXAMPLES, pairs, masks)
    return rows
