"""The fit: epochs over the training patients, the best one kept, resumable at any epoch."""

import csv
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.classification.familiarity import FamiliarityReference
from pipeline.classification.vit import build_vit
from pipeline.operating_point import FamiliarityLimit, OperatingPoint
from pipeline.statistics.roc import auc
from training.classification.augmentation import augment
from training.classification.calibration import (
    PlattScaling,
    fit_platt,
    fit_temperature,
    fold_into_head,
)
from training.classification.familiarity import fit_limit, fit_reference
from training.classification.learner import CPU, Learner, case_embeddings, margins
from training.classification.metrics import operating_point, youden_threshold
from training.classification.recipe import Calibration, Recipe
from training.classification.slices import (
    SliceSet,
    draw_epoch,
    expanded,
    sign_names,
    slice_set,
)
from training.classification.split import Split
from training.saved_state import save_whole
from training.synthesis.provenance import is_synthetic

if TYPE_CHECKING:
    from timm.models.vision_transformer import VisionTransformer


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochRecord:
    """What one epoch brought.

    Attributes
    ----------
    epoch : int
        Counted from 1.
    learning_rate : float
        Of its last step.
    outcome_loss, signs_loss : float
        Mean over its steps.
    validation_auc : float
        Patient-level AUC of the averaged weights.
    """

    epoch: int
    learning_rate: float
    outcome_loss: float
    signs_loss: float
    validation_auc: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ValidationOpinion:
    """Probabilities of the validation cases.

    Attributes
    ----------
    expanded : ndarray of bool, shape (N,)
        Outcome.
    before, after : ndarray of float64, shape (N,)
        Mean over the slices, before calibration and after.
    """

    expanded: NDArray[np.bool_]
    before: NDArray[np.float64]
    after: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FittedClassifier:
    """The classifier of the best epoch, calibrated.

    Attributes
    ----------
    network : VisionTransformer
        Its softmax gives the calibrated probability.
    threshold : float
        Youden's on the validation cases.
    scaling : PlattScaling
        What was folded into the head.
    operating_points : tuple of OperatingPoint
        Further thresholds, chosen on the validation cases.
    reference : FamiliarityReference or None
        Of the real training cases' embeddings.
    limit : FamiliarityLimit or None
        From the validation cases.
    validation : ValidationOpinion
        What was said of the validation cases, before calibration and after.
    record : EpochRecord
        The epoch that was chosen.
    """

    network: "VisionTransformer"
    threshold: float
    scaling: PlattScaling
    operating_points: tuple[OperatingPoint, ...]
    reference: FamiliarityReference | None
    limit: FamiliarityLimit | None
    validation: ValidationOpinion
    record: EpochRecord


def fit(
    split: Split,
    recipe: Recipe,
    *,
    output: Path,
    on_epoch: Callable[[EpochRecord], None],
    initial: Mapping[str, torch.Tensor] | None = None,
    device: torch.device = CPU,
) -> FittedClassifier:
    """Return the classifier that the recipe makes of these cases.

    After each epoch the whole state is written to ``output/state.pt``; a later call with the
    same cases and recipe goes on from there and arrives at the same result.

    Parameters
    ----------
    split : Split
        Cases to learn, and cases that choose epoch, calibration and threshold.
    recipe : Recipe
        Every choice.
    output : Path
        Folder for ``state.pt``, ``best.pt`` and ``log.csv``.
    on_epoch : callable
        Told of each epoch when it is done.
    initial : mapping of str to Tensor, optional
        Weights to start from.
    device : torch.device, optional
        Where it learns; what is returned lies on the CPU.

    Raises
    ------
    ValueError
        If `output` holds a fit of another recipe.
    """
    output.mkdir(parents=True, exist_ok=True)
    signs = sign_names(split.training)
    size, how = recipe.network.input_size, recipe.slices
    training = slice_set(split.training, input_size=size, signs=signs, how=how)
    validation = slice_set(split.validation, input_size=size, signs=signs, how=how)
    steps = -(-len(training) // recipe.schedule.batch_size)
    learner = Learner(
        recipe, sign_count=len(signs), steps_per_epoch=steps, initial=initial, device=device
    )
    generator = torch.Generator().manual_seed(recipe.seed)
    records = _resume(output, learner, generator, recipe)
    for epoch in range(len(records) + 1, recipe.schedule.epochs + 1):
        losses = _epoch(learner, training, recipe, generator)
        means = validation.case_means(torch.sigmoid(margins(learner.average, validation, how=how)))
        record = EpochRecord(
            epoch=epoch,
            learning_rate=learner.learning_rate(),
            outcome_loss=losses[0],
            signs_loss=losses[1],
            validation_auc=auc(expanded(split.validation), means),
        )
        best = max((past.validation_auc for past in records), default=-1.0)
        if record.validation_auc > best:
            save_whole({"network": learner.average.state_dict()}, output / "best.pt")
        records.append(record)
        _keep(output, learner, generator, records, recipe)
        on_epoch(record)
    return _finished(output, recipe, split, (training, validation), records)


def read_log(path: Path) -> list[EpochRecord]:
    """Return the epochs of a ``log.csv``."""
    with path.open(encoding="utf-8", newline="") as file:
        return [
            EpochRecord(
                epoch=int(row["epoch"]),
                **{key: float(value) for key, value in row.items() if key != "epoch"},
            )
            for row in csv.DictReader(file)
        ]


def _epoch(
    learner: Learner, training: SliceSet, recipe: Recipe, generator: torch.Generator
) -> tuple[float, float]:
    batches = draw_epoch(
        training,
        he_share=recipe.balance.he_share,
        batch_size=recipe.schedule.batch_size,
        generator=generator,
    )
    targets = training.targets(chance_share=recipe.balance.chance_share)
    outcome = signs = 0.0
    for chosen in batches:
        images = augment(training.images[chosen], recipe.augmentation, generator=generator)
        outcome_step, signs_step = learner.learn(images, targets[chosen], training.signs[chosen])
        outcome += outcome_step / len(batches)
        signs += signs_step / len(batches)
    return outcome, signs


def _resume(
    output: Path, learner: Learner, generator: torch.Generator, recipe: Recipe
) -> list[EpochRecord]:
    path = output / "state.pt"
    if not path.exists():
        return []
    state = torch.load(path, weights_only=True, map_location="cpu")
    if state.get("recipe") != repr(recipe):
        raise ValueError(f"{output} holds a fit of another recipe; give a folder of its own")
    learner.restore(state["learner"])
    generator.set_state(state["generator"])
    torch.set_rng_state(state["dropout"])
    if learner.device.type == "cuda" and "cuda_dropout" in state:
        torch.cuda.set_rng_state(state["cuda_dropout"], learner.device)
    return [EpochRecord(**record) for record in state["records"]]


def _keep(
    output: Path,
    learner: Learner,
    generator: torch.Generator,
    records: list[EpochRecord],
    recipe: Recipe,
) -> None:
    state = {
        "recipe": repr(recipe),
        "learner": learner.state(),
        "generator": generator.get_state(),
        "dropout": torch.get_rng_state(),
        "records": [asdict(record) for record in records],
    }
    if learner.device.type == "cuda":
        state["cuda_dropout"] = torch.cuda.get_rng_state(learner.device)
    save_whole(state, output / "state.pt")
    with (output / "log.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(EpochRecord)])
        writer.writeheader()
        writer.writerows(asdict(record) for record in records)


def _best(output: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = torch.load(
        output / "best.pt", weights_only=True, map_location="cpu"
    )["network"]
    return found


def _finished(
    output: Path,
    recipe: Recipe,
    split: Split,
    slices: tuple[SliceSet, SliceSet],
    records: list[EpochRecord],
) -> FittedClassifier:
    """Return the best epoch's network with whatever the validation cases decide."""
    training, validation = slices
    network = build_vit(recipe.network.architecture, recipe.network.arguments)
    network.load_state_dict(_best(output))
    slice_margins = margins(network, validation, how=recipe.slices)
    outcome = expanded(split.validation)
    scaling = _scaling(recipe, slice_margins.numpy(), outcome[validation.cases.numpy()])
    opinion = ValidationOpinion(
        expanded=outcome,
        before=validation.case_means(torch.sigmoid(slice_margins)),
        after=validation.case_means(scaling.probabilities(slice_margins)),
    )
    fold_into_head(network, scaling)
    reference = limit = None
    if recipe.validation.familiar_share:
        real = np.array([not is_synthetic(case.patient_id) for case in split.training])
        known = case_embeddings(network, training, how=recipe.slices)[torch.from_numpy(real)]
        reference = fit_reference(known)
        unseen = case_embeddings(network, validation, how=recipe.slices)
        limit = fit_limit(reference, unseen, share=recipe.validation.familiar_share)
    return FittedClassifier(
        network=network.eval(),
        threshold=youden_threshold(outcome, opinion.after),
        scaling=scaling,
        operating_points=tuple(
            operating_point(outcome, opinion.after, wanted_sensitivity=wanted)
            for wanted in recipe.validation.sensitivities
        ),
        reference=reference,
        limit=limit,
        validation=opinion,
        record=max(records, key=lambda record: record.validation_auc),
    )


def _scaling(
    recipe: Recipe, slice_margins: NDArray[np.float64], outcome: NDArray[np.bool_]
) -> PlattScaling:
    match recipe.validation.calibration:
        case Calibration.TEMPERATURE:
            return fit_temperature(slice_margins, outcome)
        case Calibration.PLATT:
            return fit_platt(slice_margins, outcome, prevalence=recipe.balance.prevalence)
        case Calibration.NONE:
            return PlattScaling(scale=1.0, offset=0.0)
