"""Forecasts of the patients that each fold left out, kept beside its weights."""

import csv
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.growth.dense_prediction import predict_field
from pipeline.growth.folding import folding_share
from pipeline.growth.network import GrowthUNet
from pipeline.growth.network_input import BrainScan, network_input
from pipeline.growth.warping import warp
from training.growth.arms import Arm
from training.growth.folds import Fold
from training.growth.pair import GrowthPair, load_pair, pair_path
from training.growth.recipe import GrowthRecipe
from training.growth.run import GrowthRun
from training.growth.scores import GrowthScore, even_growth, score_forecast

#: Name of the plain forecast in tables.
EVEN = "even growth"

#: A voxel belongs to a forecast if half of it does.
CUTOFF = 0.5

_SCORES, _MASKS = "scores.csv", "forecasts"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judged:
    """What came of one way of forecasting.

    Attributes
    ----------
    name : str
        Arm, or `EVEN`.
    scores : tuple of GrowthScore
        One per tested patient, in the order of their identifiers.
    """

    name: str
    scores: tuple[GrowthScore, ...]


def judge_run(
    run: GrowthRun,
    arms: Sequence[Arm],
    *,
    device: torch.device,
    on_patient: Callable[[int, int], None] = lambda *_: None,
) -> list[Judged]:
    """Return the scores of all arms, and of even growth, on the same patients.

    Counted are the folds that every arm has ended. What was judged before with the same weights
    is read, not computed again.

    Raises
    ------
    ValueError
        If there is no such fold.
    """
    folds = [
        fold for fold in run.folds if fold.testing and all(run.is_done(arm, fold) for arm in arms)
    ]
    if not folds:
        names = ", ".join(arms)
        raise ValueError(f"{run.folder}: no fold has been trained to its end by {names}")
    total = sum(len(fold.testing) for fold in folds) * len(arms)
    done = 0
    judged = []
    for arm in arms:
        scores: list[GrowthScore] = []
        for fold in folds:
            for score in _arm_scores(run, arm, fold, device):
                scores.append(score)
                done += 1
                on_patient(done, total)
        judged.append(Judged(name=arm.value, scores=_in_order(scores)))
    plain = [score for fold in folds for score in _even_scores(run, fold)]
    return [*judged, Judged(name=EVEN, scores=_in_order(plain))]


def forecast_pair(
    network: GrowthUNet, pair: GrowthPair, recipe: GrowthRecipe
) -> tuple[NDArray[np.bool_], float]:
    """Return the forecast mask on the pair's grid, and the field's folding share."""
    scan = BrainScan(
        hu_zyx=pair.baseline_hu_zyx, brain_zyx=pair.brain_zyx, hematoma_zyx=pair.baseline_zyx
    )
    image = network_input(scan, recipe.intensity)
    field = predict_field(network, image, recipe.patch_size_zyx)
    moved = warp(image[None, 1:], field.whole(pair.brain_zyx.shape)[None])[0, 0]
    return (moved >= CUTOFF).numpy(), folding_share(field.displacement[None])


def read_mask(run: GrowthRun, arm: Arm, patient_id: str) -> NDArray[np.bool_]:
    """Return a forecast mask that `judge_run` has kept."""
    fold = next(fold for fold in run.folds if patient_id in fold.testing)
    with np.load(_mask_path(run, arm, fold, patient_id), allow_pickle=False) as stored:
        mask: NDArray[np.bool_] = stored["mask"]
    return mask


def _arm_scores(
    run: GrowthRun, arm: Arm, fold: Fold, device: torch.device
) -> Iterator[GrowthScore]:
    path = run.place(arm, fold) / _SCORES
    digest = run.digest(arm, fold)
    known = _read_scores(path, digest)
    if known is not None:
        yield from known
        return
    network = run.network(arm, fold).to(device)
    scores = []
    for patient in fold.testing:
        pair = load_pair(pair_path(run.pairs, patient))
        mask, folding = forecast_pair(network, pair, run.recipe)
        target = _mask_path(run, arm, fold, patient)
        target.parent.mkdir(exist_ok=True)
        np.savez_compressed(target, mask=mask)
        scores.append(score_forecast(pair, mask, folding=folding))
        yield scores[-1]
    _write_scores(path, digest, scores)


def _even_scores(run: GrowthRun, fold: Fold) -> Iterator[GrowthScore]:
    known = [
        load_pair(pair_path(run.pairs, patient)) for patient in (*fold.learning, *fold.deciding)
    ]
    ratio = float(np.mean([pair.follow_up_ml / pair.baseline_ml for pair in known]))
    for patient in fold.testing:
        pair = load_pair(pair_path(run.pairs, patient))
        yield score_forecast(pair, even_growth(pair, ratio))


def _mask_path(run: GrowthRun, arm: Arm, fold: Fold, patient_id: str) -> Path:
    return run.place(arm, fold) / _MASKS / f"{patient_id}.npz"


def _in_order(scores: Sequence[GrowthScore]) -> tuple[GrowthScore, ...]:
    return tuple(sorted(scores, key=lambda score: score.patient_id))


def _write_scores(path: Path, digest: str, scores: Sequence[GrowthScore]) -> None:
    partial = path.with_name(path.name + ".part")
    with partial.open("w", newline="") as stream:
        names = ["weights_sha256", *(item.name for item in dataclasses.fields(GrowthScore))]
        writer = csv.DictWriter(stream, names)
        writer.writeheader()
        for score in scores:
            writer.writerow({"weights_sha256": digest, **dataclasses.asdict(score)})
    partial.replace(path)


def _read_scores(path: Path, digest: str) -> list[GrowthScore] | None:
    """Return kept scores, None if there are none or of other weights."""
    if not path.exists():
        return None
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    if any(row.pop("weights_sha256") != digest for row in rows):
        return None
    return [
        GrowthScore(
            patient_id=row.pop("patient_id"),
            growth_dice=_number(row.pop("growth_dice")),
            lesion_dice=_number(row.pop("lesion_dice")),
            **{name: float(value) for name, value in row.items()},
        )
        for row in rows
    ]


def _number(text: str) -> float | None:
    return float(text) if text else None
