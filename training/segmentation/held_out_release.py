"""A released bundle with its scores on held-out patients, written to its card."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.progress import track

from pipeline.model_bundle import ModelBundle, load_bundle, save_card
from pipeline.segmentation.segmenter import load_segmenter
from training.cohort.folder import load_cohort
from training.cohort.patient_split import Part
from training.cohort.scan_statistics import cohort_statistics
from training.segmentation.evaluation import score_cases, summarise


def measure_release(bundle: ModelBundle, cohorts: Sequence[Path]) -> ModelBundle:
    """Return the bundle with scores and statistics on its card, which is written anew.

    Parameters
    ----------
    bundle : ModelBundle
        On disk; it is read again, so that the weights are measured in the precision that is
        shipped.
    cohorts : sequence of Path
        Prepared cohorts. Validation and test patients are measured; how thick their scans
        are and who made them is stated of all.
    """
    segmenter = load_segmenter(
        load_bundle(bundle.path, task="segmentation"), device=torch.device("cpu")
    )
    cohort = load_cohort(cohorts)
    metrics: dict[str, Any] = dict(bundle.card.metrics)
    volumes_ml: list[float] = []
    for part in (Part.VALIDATION, Part.TEST):
        scans = cohort.part(part)
        if scans:
            cases = (scan.read() for scan in track(scans, description=f"Measuring {part}"))
            scores = score_cases(segmenter, cases)
            metrics[part.value] = summarise(scores)
            volumes_ml += [score.predicted_ml for score in scores]
    card = dataclasses.replace(
        bundle.card,
        metrics=metrics,
        training_statistics=cohort_statistics(cohorts, volumes_ml=volumes_ml),
    )
    save_card(bundle.path, card)
    return dataclasses.replace(bundle, card=card)
