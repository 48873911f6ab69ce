"""Classifiers of several ratios of HE to NHE slices, judged on the same patients.

The npj study's ViT-1:1, ViT-1:2 and ViT-1:4: synthetic slices bring the training patients to a
ratio, validation and external patients stay as they are.
"""

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.classification.classifier import Classifier
from pipeline.model_bundle import load_bundle
from pipeline.prediction import HeLabel
from pipeline.statistics.delong import delong
from training.classification.case import TripletCase
from training.classification.evaluation import Evaluation, Scores, evaluate, score
from training.classification.evaluation_files import (
    draw_evaluations,
    scores_record,
    write_evaluation,
)
from training.classification.figures import draw_fit
from training.classification.fitting import EpochRecord, fit
from training.classification.learner import CPU
from training.classification.recipe import Recipe
from training.classification.release import release_classifier
from training.classification.split import Split
from training.evaluation.paired import holm
from training.synthesis.augmented_set import parse_ratio, read_manifest, with_synthetic

#: Name of the real slices as they are.
NO_SYNTHETIC = "none"

#: The file with every number.
EXPERIMENTS_FILE = "experiments.json"

#: Cases of each outcome without which AUCs are not compared.
FEWEST_TO_COMPARE = 2

OnEpoch = Callable[[str, EpochRecord], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentPlan:
    """What is compared.

    Attributes
    ----------
    recipe : Recipe
        The same for every ratio.
    split : Split
        Real cases only.
    ratios : tuple of str
        ``none``, or a ratio of HE to NHE such as ``1:2``.
    synthetic : tuple of Path
        Augmented sets; each is found by the ratio in its manifest.
    judged : mapping of str to sequence of TripletCase
        Patients to judge on, by the name of their set.
    initial : mapping of str to Tensor or None
        Weights that every classifier starts from.
    cohort : str or None
        See `release_classifier`.
    device : torch.device
        Where the classifiers learn.

    Raises
    ------
    ValueError
        If a ratio has no set, or the recipe's drawing would undo the ratios.
    """

    recipe: Recipe
    split: Split
    ratios: tuple[str, ...]
    synthetic: tuple[Path, ...]
    judged: Mapping[str, Sequence[TripletCase]]
    initial: Mapping[str, torch.Tensor] | None = None
    cohort: str | None = None
    device: torch.device = CPU

    def __post_init__(self) -> None:
        if self.recipe.balance.he_share:
            raise ValueError("The recipe draws a fixed share of HE slices: set he_share = 0")
        if len(set(self.ratios)) < len(self.ratios) or not self.ratios:
            raise ValueError(f"Each ratio once, got {', '.join(self.ratios) or 'none'}")
        seen = {case.patient_id for case in (*self.split.training, *self.split.validation)}
        for name, cases in self.judged.items():
            both = seen & {case.patient_id for case in cases}
            if both:
                raise ValueError(f"{len(both)} patients of {name} are also learned or chosen by")
        for ratio in self.ratios:
            self.split_for(ratio)

    def split_for(self, ratio: str) -> Split:
        """Return the split whose training side has a ratio.

        Raises
        ------
        ValueError
            If no set of that ratio is given and the real slices do not reach it by themselves.
        """
        if ratio == NO_SYNTHETIC or self._is_reached(ratio):
            return self.split
        for folder in self.synthetic:
            if read_manifest(folder).ratio == ratio:
                return with_synthetic(self.split, folder)
        raise ValueError(
            f"No synthetic set of the ratio {ratio}; `ichtrain synthesis sample --ratio {ratio}` "
            "makes one for this split"
        )

    def _is_reached(self, ratio: str) -> bool:
        wanted, counts = parse_ratio(ratio), slice_counts(self.split.training)
        return counts[HeLabel.HE] * wanted.nhe >= counts[HeLabel.NHE] * wanted.he


def slice_counts(cases: Sequence[TripletCase]) -> dict[HeLabel, int]:
    """Return how many slices of each outcome some cases have."""
    return {
        label: sum(len(case.images_yx) for case in cases if case.label is label)
        for label in HeLabel
    }


def run_experiments(
    plan: ExperimentPlan, *, output: Path, version: str, on_epoch: OnEpoch
) -> dict[str, Any]:
    """Fit, release and judge one classifier for each ratio; called again, go on.

    Writes ``<ratio>/`` with bundle and curves, ``<set>/`` with figures of all classifiers, and
    ``experiments.json``, whose content is returned.
    """
    bundles: dict[str, Path] = {}
    counts: dict[str, dict[str, int]] = {}
    for ratio in plan.ratios:
        split = plan.split_for(ratio)
        counts[ratio] = {
            label.name: number for label, number in slice_counts(split.training).items()
        }
        bundles[ratio] = _fitted(plan, ratio, split, output, version=version, on_epoch=on_epoch)
    sets = {"validation": plan.split.validation, **plan.judged}
    results = {
        name: _judged(bundles, cases, output / _folder(name), title=name)
        for name, cases in sets.items()
    }
    record = {"slices": counts, "sets": results}
    text = json.dumps(record, indent=1)
    (output / EXPERIMENTS_FILE).write_text(text + "\n", encoding="utf-8")
    return record


def _fitted(
    plan: ExperimentPlan,
    ratio: str,
    split: Split,
    output: Path,
    *,
    version: str,
    on_epoch: OnEpoch,
) -> Path:
    """Return the bundle of a ratio."""
    folder = output / _folder(ratio)

    def tell(record: EpochRecord) -> None:
        on_epoch(ratio, record)

    fitted = fit(
        split,
        plan.recipe,
        output=folder,
        on_epoch=tell,
        initial=plan.initial,
        device=plan.device,
    )
    draw_fit(folder, fitted)
    released = release_classifier(
        folder / "bundle", fitted, plan.recipe, split, version=version, cohort=plan.cohort
    )
    return released.path


def _judged(
    bundles: Mapping[str, Path], cases: Sequence[TripletCase], output: Path, *, title: str
) -> dict[str, Any]:
    """Judge all classifiers on one set and compare their AUCs by DeLong's test."""
    found: dict[str, tuple[Evaluation, Scores]] = {}
    for ratio, path in bundles.items():
        one = evaluate(Classifier(load_bundle(path), device=torch.device("cpu")), cases)
        found[_title(ratio)] = (one, score(one))
        write_evaluation(output / _folder(ratio), *found[_title(ratio)])
    draw_evaluations(output, found, title=title)
    return {
        "scores": {name: scores_record(scores) for name, (_, scores) in found.items()},
        "delong": _comparisons({name: one for name, (one, _) in found.items()}),
    }


def _comparisons(found: Mapping[str, Evaluation]) -> list[dict[str, Any]]:
    """Return every pair's difference of AUCs with DeLong's interval and Holm's correction.

    None where an outcome has a single case, which has no variance.
    """
    names = list(found)
    positive = found[names[0]].expanded
    if min(int(positive.sum()), int((~positive).sum())) < FEWEST_TO_COMPARE:
        return []
    areas = delong(positive, np.stack([found[name].probabilities for name in names]))
    rows: dict[str, dict[str, Any]] = {}
    for first, second in itertools.combinations(range(len(names)), 2):
        difference = areas.difference(first, second)
        rows[f"{first} {second}"] = {
            "first": names[first],
            "second": names[second],
            "auc_difference": round(difference.value, 4),
            "low_95": round(difference.low, 4),
            "high_95": round(difference.high, 4),
            "p_value": areas.p_value(first, second),
        }
    corrected = holm({key: row["p_value"] for key, row in rows.items()})
    return [{**row, "p_value_holm": corrected[key]} for key, row in rows.items()]


def _title(ratio: str) -> str:
    return "ViT-real" if ratio == NO_SYNTHETIC else f"ViT-{ratio}"


def _folder(name: str) -> str:
    return name.replace(":", "-").replace("/", "-")
