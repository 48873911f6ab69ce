"""What a classifier of the study looks at: Grad-CAM in pictures and in numbers."""

from dataclasses import dataclass

import numpy as np
import torch

from pipeline.classification.classifier import Classifier
from pipeline.model_bundle import load_bundle
from pipeline.prediction import HeLabel
from training.classification.case import TripletCase
from training.classification.experiments import ExperimentPlan
from training.classification.saliency_scores import judge_saliency, summarise_saliency
from training.classification.saliency_sheet import draw_saliency_sheet
from training.study.classification_tables import MODELS
from training.study.outcome import Picture, Sheet, interval
from training.study.stage import StageRoom

_PICTURE = "saliency.png"

#: Most certain cases of each outcome that are drawn.
_DRAWN = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """Saliency of one classifier."""

    sheet: Sheet
    picture: Picture


def explain(room: StageRoom, plan: ExperimentPlan) -> Explained | None:
    """Return the saliency of the classifier that the budget names; None where there is none.

    Measured on external patients, else on validation patients.
    """
    budget = room.settings.budget.budget.classification
    if not budget.explained_patients:
        return None
    ratio = budget.shown_ratio if budget.shown_ratio in plan.ratios else plan.ratios[-1]
    bundle = load_bundle(room.folder / ratio.replace(":", "-") / "bundle")
    classifier = Classifier(bundle, device=torch.device("cpu"))
    cases = list([plan.split.validation, *plan.judged.values()][-1])
    cases.sort(key=lambda case: case.case_id)
    cases = cases[: budget.explained_patients]
    rng = np.random.default_rng(room.settings.budget.budget.seed)
    found = []
    for number, case in enumerate(cases):
        room.follow(f"Explaining {number + 1}/{len(cases)}", 0.9 + 0.1 * number / len(cases))
        one = judge_saliency(classifier, case, rng=rng)
        found += [] if one is None else [one]
    if not found:
        return None
    scores = summarise_saliency(found, seed=room.settings.budget.budget.seed)
    draw_saliency_sheet(room.folder / _PICTURE, classifier, _certain(classifier, cases))
    rows = (
        ("share of the saliency inside the hematoma", interval(scores.inside)),
        ("share of the picture that the hematoma covers", interval(scores.area)),
        ("most salient pixel inside the hematoma", interval(scores.points_inside)),
        ("deletion, less is better", interval(scores.deletion)),
        ("deletion at random", interval(scores.random_deletion)),
    )
    return Explained(
        sheet=Sheet(
            title=f"Saliency of {MODELS[ratio]}, {scores.cases} patients",
            header=("", "mean (95 % CI)"),
            rows=rows,
            note="Not in the publication, which shows examples.",
        ),
        picture=Picture(
            file=_PICTURE,
            caption=f"Grad-CAM of {MODELS[ratio]}, the most certain cases; red is important "
            "(npj Fig. 6H).",
        ),
    )


def _certain(classifier: Classifier, cases: list[TripletCase]) -> list[TripletCase]:
    """Return the cases of each outcome of which the classifier is most certain."""
    ranked = sorted(cases, key=lambda case: -classifier.judge(case.images_yx).probability)
    expanded = [case for case in ranked if case.label is HeLabel.HE]
    others = [case for case in ranked if case.label is HeLabel.NHE]
    return [*expanded[:_DRAWN], *others[-_DRAWN:]]
