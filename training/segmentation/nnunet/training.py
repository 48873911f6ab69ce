"""One training in nnU-Net's loop, from cohort to weights; called again, it goes on."""

import contextlib
import dataclasses
import json
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.segmentation.networks.registry import build_network
from pipeline.segmentation.networks.shared_weights import distinct_weights
from training.cohort.folder import Cohort
from training.cohort.patient_split import Part
from training.segmentation.architectures import Architecture
from training.segmentation.curves import draw_curves, write_curves
from training.segmentation.experiment import Budget, Experiment
from training.segmentation.nnunet.checkpoint import newest_checkpoint
from training.segmentation.nnunet.curve_logger import CURVES_PICTURE, CURVES_TABLE, epochs_of
from training.segmentation.nnunet.layout import (
    CONFIGURATION,
    DATA_SET,
    FOLD,
    PLANS,
    TRAINER,
    NnunetLayout,
    nnunet_environment,
)
from training.segmentation.nnunet.planning import (
    preprocess,
    reach_of_augmentation,
    read_intensity,
    write_fingerprint,
    write_plans,
    write_splits,
)
from training.segmentation.nnunet.raw_data_set import write_raw_data_set
from training.segmentation.nnunet.settings import KEY, TrainerSettings
from training.segmentation.nnunet.supervision import has_deep_supervision, supervised_scales
from training.segmentation.peak_memory import PeakMemory
from training.segmentation.precision import training_type
from training.segmentation.run_record import (
    RECORD_FILE,
    WEIGHTS_FILE,
    RunRecord,
    read_record,
    write_record,
)
from training.segmentation.run_result import RunProgress

#: Told what is being prepared, how much is done and how much there is.
OnPreparation = Callable[[str, int, int], None]

#: More augmenting processes than this do not feed a GPU faster.
_MOST_WORKERS = 12

#: Optimisers in words, as records and cards name them.
_OPTIMISERS = {"sgd": "SGD, Nesterov", "adamw": "AdamW"}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NnunetRun:
    """What is to be trained, on what, and where it is kept."""

    architecture: Architecture
    cohort: Cohort
    folder: Path
    experiment: Experiment
    budget: Budget
    seed: int
    device: torch.device

    @property
    def layout(self) -> NnunetLayout:
        """Folders of nnU-Net."""
        return NnunetLayout(root=self.folder.absolute() / "nnunet")

    @property
    def workers(self) -> int:
        """Processes that augment."""
        wanted = self.experiment.augmentation_workers
        if wanted is not None:
            return wanted
        cores = os.cpu_count() or 1
        return min(_MOST_WORKERS, cores - 1) if self.device.type == "cuda" else 0


def train_nnunet(
    run: NnunetRun,
    *,
    on_preparation: OnPreparation,
    on_progress: Callable[[RunProgress], None],
) -> RunRecord:
    """Train, or go on training, and return the record of the run.

    Leaves ``run.json``, ``weights.safetensors``, ``curves.csv`` and ``curves.png`` in the run's
    folder and everything of nnU-Net's in its folder ``nnunet``.

    Raises
    ------
    ValueError
        If the patch does not fit the architecture, a part has no scan, or the folder holds
        another training.
    """
    parts = {part: run.cohort.part(part) for part in (Part.TRAIN, Part.VALIDATION)}
    for part, scans in parts.items():
        if not scans:
            raise ValueError(f"The cohort has no scan with a mask in its {part} part")
    settings = _settings(run)
    layout = run.layout
    layout.root.mkdir(parents=True, exist_ok=True)
    with nnunet_environment(layout, workers=1):  # the planner takes it for its threads
        record = _prepare(run, settings, on_preparation)
    write_record(run.folder, record)
    with nnunet_environment(layout, workers=run.workers):
        trainer = _trainer(run)
        memory = PeakMemory(run.device.type)
        trainer.on_progress = on_progress
        with _quiet(layout):
            trainer.run_training()
        return _finish(run, record, trainer, memory)


def _settings(run: NnunetRun) -> TrainerSettings:
    """Return the settings; building the network here refuses a patch that does not fit."""
    experiment = run.budget.applied_to(run.experiment)
    patch, spacing = experiment.patch_size_zyx, experiment.spacing_zyx_mm
    training_type(experiment.precision, run.device)  # refuses early what the device cannot do
    arguments = run.architecture.arguments(patch, spacing, experiment.width)
    network = build_network(run.architecture.registry_name, arguments)
    scales = None
    if experiment.deep_supervision and has_deep_supervision(network):
        scales = supervised_scales(network, arguments, patch)
    minutes = run.budget.minutes
    return TrainerSettings(
        architecture=run.architecture.registry_name,
        arguments=arguments,
        experiment=experiment,
        scales=scales,
        drop_lowest="strides" in arguments,
        seed=run.seed,
        limit_seconds=None if minutes is None else minutes * 60,
    )


def _prepare(
    run: NnunetRun, settings: TrainerSettings, on_preparation: OnPreparation
) -> RunRecord:
    """Write raw data, plans, split and normalised images, or check those that stand."""
    experiment, layout = settings.experiment, run.layout
    parts = {part: run.cohort.part(part) for part in (Part.TRAIN, Part.VALIDATION)}
    _refuse_another(run, settings)
    write_raw_data_set(
        layout.raw,
        parts,
        spacing_zyx_mm=experiment.spacing_zyx_mm,
        least_shape_zyx=reach_of_augmentation(experiment.patch_size_zyx),
        on_scan=lambda done, total: on_preparation("Writing", done, total),
    )
    if not layout.plans.exists():
        on_preparation("Planning", 0, 1)
        write_fingerprint(layout, parts[Part.TRAIN])
        write_plans(layout, settings)
    _update_settings(layout, settings)
    write_splits(layout, parts)
    preprocess(layout, on_scan=lambda done, total: on_preparation("Preprocessing", done, total))
    return _record(run, settings)


def _refuse_another(run: NnunetRun, settings: TrainerSettings) -> None:
    if not (run.folder / RECORD_FILE).exists():
        return
    asked, begun = _record(run, settings, planned=False), read_record(run.folder)
    differing = asked.differs_in(begun)
    if asked.hyper_parameters["optimiser"] != begun.hyper_parameters.get("optimiser"):
        differing += ("optimiser",)
    if differing:
        raise ValueError(
            f"{run.folder} holds another training, which differs in {', '.join(differing)}; "
            "choose another output, or the same cohort and settings to go on"
        )


def _update_settings(layout: NnunetLayout, settings: TrainerSettings) -> None:
    """Give the plans the lengths of this call; a longer budget may be granted later."""
    plans = json.loads(layout.plans.read_text())
    plans[KEY] = settings.to_plans()
    layout.plans.write_text(json.dumps(plans, indent=1) + "\n")


def _record(run: NnunetRun, settings: TrainerSettings, *, planned: bool = True) -> RunRecord:
    before = (run.folder / RECORD_FILE).exists()
    return RunRecord(
        architecture=run.architecture.name,
        registry_name=settings.architecture,
        arguments=json.loads(json.dumps(settings.arguments)),
        loop=run.architecture.loop.value,
        spacing_zyx_mm=settings.experiment.spacing_zyx_mm,
        patch_size_zyx=settings.experiment.patch_size_zyx,
        intensity=read_intensity(run.layout) if planned else read_record(run.folder).intensity,
        hyper_parameters=dataclasses.asdict(settings.experiment)
        | {
            "optimiser": _OPTIMISERS[settings.experiment.optimiser],
            "loss": "Dice and cross-entropy",
            "decay": "poly 0.9",
        },
        seed=run.seed,
        cohorts=tuple(folder.name for folder in run.cohort.folders),
        counts=run.cohort.describe(),
        sources=run.cohort.sources(Part.TRAIN),
        seconds=read_record(run.folder).seconds if before else 0.0,
    )


def _trainer(run: NnunetRun) -> Any:  # noqa: ANN401  nnU-Net ships no types
    """Return our trainer as nnU-Net finds it, at the newest checkpoint if there is one."""
    from nnunetv2.run.run_training import (  # type: ignore[import-untyped] # ships no types
        get_trainer_from_args,
    )

    random.seed(run.seed)
    np.random.seed(run.seed)  # noqa: NPY002  nnU-Net draws from it
    torch.manual_seed(run.seed)
    checkpoint = newest_checkpoint(run.layout.results)
    with _quiet(run.layout):
        trainer = get_trainer_from_args(
            DATA_SET, CONFIGURATION, FOLD, TRAINER, PLANS, checkpoint is not None, run.device
        )
        if checkpoint is not None:
            trainer.load_checkpoint(str(checkpoint))
    return trainer


def _finish(
    run: NnunetRun,
    record: RunRecord,
    trainer: Any,  # noqa: ANN401  nnU-Net ships no types
    memory: PeakMemory,
) -> RunRecord:
    """Write weights, curves and the finished record."""
    from safetensors.torch import save_file

    trainer.set_deep_supervision_enabled(False)
    weights = {
        name: value.cpu().contiguous() for name, value in distinct_weights(trainer.network).items()
    }
    partial = run.folder / f"{WEIGHTS_FILE}.part"
    save_file(weights, partial)
    partial.replace(run.folder / WEIGHTS_FILE)
    epochs = epochs_of(trainer.logger.get_checkpoint())
    write_curves(run.folder / CURVES_TABLE, epochs)
    draw_curves(run.folder / CURVES_PICTURE, epochs, title=record.architecture)
    finished = dataclasses.replace(
        record,
        parameters=sum(one.numel() for one in trainer.network.parameters()),
        seconds=trainer.seconds,
        peak_memory_mb=memory.megabytes,
        epochs=trainer.current_epoch,
        iterations=trainer.steps,
        finished=trainer.spent_share >= 1,
        scores={"pseudo_dice_moving_average": epochs[-1].average_pseudo_dice} if epochs else {},
    )
    write_record(run.folder, finished)
    return finished


@contextlib.contextmanager
def _quiet(layout: NnunetLayout) -> Iterator[None]:
    """Send what nnU-Net prints to a file of the run."""
    with (layout.root / "training.log").open("a") as log, contextlib.redirect_stdout(log):
        yield
