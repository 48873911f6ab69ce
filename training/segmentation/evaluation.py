"""Scores of a segmentation bundle on prepared cases."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from pipeline.segmentation.segmenter import Segmenter
from pipeline.volume import CtVolume, regular_grid
from training.cohort.case import IGNORED, Case
from training.evaluation.bootstrap import bootstrap_mean
from training.evaluation.scores import SegmentationScore, score_mask


def volume_of(case: Case) -> CtVolume:
    """Return a case as a CT volume on a regular grid."""
    return CtVolume(hu_zyx=case.hu_zyx, grid=regular_grid(case.hu_zyx.shape, case.spacing_zyx_mm))


def score_cases(segmenter: Segmenter, cases: Iterable[Case]) -> list[SegmentationScore]:
    """Return one score per case, from the whole way: resampling, tiles, cutoff, floor."""
    return [
        score_mask(
            segmenter.segment(volume_of(case)).hematoma.voxels_zyx,
            case.label_zyx == 1,
            known=case.label_zyx != IGNORED,
            voxel_ml=float(np.prod(case.spacing_zyx_mm)) / 1000,
            patient_id=case.patient_id,
        )
        for case in cases
    ]


def summarise(scores: Sequence[SegmentationScore], *, seed: int = 1) -> dict[str, Any]:
    """Return what belongs on a card: Dice and volume error with intervals, false alarms."""
    bleeding = [score for score in scores if score.true_ml > 0]
    healthy = [score for score in scores if score.true_ml == 0]
    summary: dict[str, Any] = {
        "scans": len(scores),
        "patients": len({score.patient_id for score in scores}),
        "scans_with_hematoma": len(bleeding),
        "missed": sum(score.predicted_ml == 0 for score in bleeding),
        "false_alarms_without_hematoma": f"{sum(score.predicted_ml > 0 for score in healthy)}"
        f" of {len(healthy)}",
    }
    if not bleeding:
        return summary
    patients = [score.patient_id for score in bleeding]
    for name, values in (
        ("dice", [score.dice or 0.0 for score in bleeding]),
        ("absolute_volume_error_ml", [abs(score.error_ml) for score in bleeding]),
    ):
        found = bootstrap_mean(values, patients, rng=np.random.default_rng(seed))
        summary[name] = {
            "mean": round(found.mean, 4),
            "low_95": round(found.low, 4),
            "high_95": round(found.high, 4),
        }
    summary["dice"]["median"] = round(
        float(np.median([score.dice or 0.0 for score in bleeding])), 4
    )
    return summary
