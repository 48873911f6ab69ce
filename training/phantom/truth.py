"""The truth file of a simulated study: what the best readers could reach."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from training.phantom.ideal import Estimate, IdealObserver
from training.phantom.record import NOTICE

TRUTH_NAME = "truth.json"

#: How many hematomas are planned for it, and from which seed: the truth belongs to the centres,
#: not to the patients that happened to be drawn.
PLANS, SEED = 20_000, 1


def write_truth(cohort: Path, observers: Sequence[IdealObserver]) -> None:
    """Write the ideal observers into a cohort's folder, which is made if absent."""
    cohort.mkdir(parents=True, exist_ok=True)
    content = {
        "notice": NOTICE,
        "plans": PLANS,
        "seed": SEED,
        "observers": [asdict(one) for one in observers],
    }
    path = cohort / TRUTH_NAME
    partial = path.with_name(f".{path.name}.part")
    partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    partial.replace(path)


def read_truth(cohort: Path) -> tuple[IdealObserver, ...]:
    """Return the ideal observers of a cohort: each centre's, and last that of all together.

    Raises
    ------
    OSError
        If the folder has no truth file.
    """
    content = json.loads((cohort / TRUTH_NAME).read_text(encoding="utf-8"))
    return tuple(
        IdealObserver(
            name=one["name"],
            share=one["share"],
            prevalence=Estimate(**one["prevalence"]),
            image_auc=Estimate(**one["image_auc"]),
            full_auc=Estimate(**one["full_auc"]),
        )
        for one in content["observers"]
    )


def in_words(observers: Sequence[IdealObserver]) -> str:
    """Return a small table for people, without the last line's end."""
    lines = [
        f"Best AUC there can be, from {PLANS} planned hematomas (standard error):",
        f"{'':10}{'patients':>9}{'expand':>9}{'from the image':>18}{'knowing all':>16}",
    ]
    lines += [
        f"{one.name:10}{one.share:9.0%}{one.prevalence.value:9.1%}"
        f"{_number(one.image_auc):>18}{_number(one.full_auc):>16}"
        for one in observers
    ]
    return "\n".join(lines)


def _number(estimate: Estimate) -> str:
    return f"{estimate.value:.3f} ({estimate.standard_error:.3f})"
