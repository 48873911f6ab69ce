"""From any finished run to a bundle with a filled card."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.model_bundle import ModelBundle, save_bundle
from pipeline.model_card import ModelCard
from training.segmentation.half_precision import halved
from training.segmentation.run_record import WEIGHTS_FILE, RunRecord, read_record

if TYPE_CHECKING:
    pass

#: What a card says as long as nobody has said more.
_DRAFT: Mapping[str, Any] = {
    "version": "0",
    "licence": "not decided",
    "intended_use": "RESEARCH USE ONLY. A training run, not judged on held-out patients.",
    "demonstration": True,
    "probability_cutoff": 0.5,
    "minimum_component_ml": 0.0,
}

#: Fields that the run itself decides; nobody may claim others.
_FROM_RUN = (
    *("task", "architecture", "architecture_arguments", "spacing_zyx_mm", "patch_size_zyx"),
    *("intensity", "class_names", "weights_sha256", "card_format"),
)


def release_run(
    folder: Path,
    bundle: Path,
    *,
    facts: Mapping[str, Any],
    half: bool = False,
) -> ModelBundle:
    """Write a run's weights with a card that the run has filled.

    Architecture, patch, grid and normalisation are the run's; deep supervision is off.

    Parameters
    ----------
    folder : Path
        Of the run.
    bundle : Path
        Folder of the bundle; made if absent.
    facts : mapping
        Fields of the card that no run knows: name, version, licence, intended_use,
        demonstration, probability_cutoff, minimum_component_ml, volume_error. What is left out
        stays a draft's. ``training_cohort`` is put before the run's own counts, ``metrics`` are
        added to the run's.
    half : bool
        Store matrices in half precision.

    Raises
    ------
    ValueError
        If the folder holds no finished run, or the facts name a field that is no fact.
    """
    from safetensors.torch import load_file

    record = read_record(folder)
    if not (folder / WEIGHTS_FILE).exists():
        raise ValueError(f"{folder} holds no {WEIGHTS_FILE}: its training has not ended yet")
    card = _card(record, facts)
    weights = load_file(folder / WEIGHTS_FILE)
    return save_bundle(bundle, card, halved(weights) if half else weights)


def describe_cohort(record: RunRecord) -> str:
    """Return one paragraph on the patients that a run saw."""
    counts = record.counts
    sources = ", ".join(f"{name} ({count} scans)" for name, count in record.sources.items())
    return (
        f"Cohort {', '.join(record.cohorts)}: trained on {counts['train_scans']} scans of "
        f"{counts['train_patients']} patients from {sources}; validated on "
        f"{counts['validation_scans']} scans of {counts['validation_patients']} other patients; "
        f"{counts['test_scans']} scans of {counts['test_patients']} more patients were set aside "
        "and not used."
    )


def _card(record: RunRecord, facts: Mapping[str, Any]) -> ModelCard:
    unknown = sorted(set(facts) & set(_FROM_RUN))
    if unknown:
        raise ValueError(f"{', '.join(unknown)} of the card come from the run, not from facts")
    given = {"name": record.architecture, **_DRAFT, **facts}
    told = given.pop("training_cohort", "")
    metrics = {**_metrics(record), **given.pop("metrics", {})}
    try:
        return ModelCard(
            task="segmentation",
            architecture=record.registry_name,
            architecture_arguments=record.arguments,
            spacing_zyx_mm=record.spacing_zyx_mm,
            patch_size_zyx=record.patch_size_zyx,
            intensity=record.intensity,
            class_names=record.class_names,
            training_cohort=f"{told} {describe_cohort(record)}".strip(),
            metrics=metrics,
            **given,
        )
    except TypeError as error:
        raise ValueError(f"The facts do not fit a card: {error}") from error


def _metrics(record: RunRecord) -> dict[str, Any]:
    """Return how the run was trained and what its own loop measured."""
    return {
        "training": {
            "loop": record.loop,
            "hyper_parameters": record.hyper_parameters,
            "seed": record.seed,
            "parameters": record.parameters,
            "epochs": record.epochs,
            "iterations": record.iterations,
            "minutes": round(record.seconds / 60, 2),
            "finished": record.finished,
        },
        "validation_while_training": {
            **{name: round(float(value), 4) for name, value in record.scores.items()},
            "note": "patches or scans that guided the training, hence optimistic",
        },
    }
