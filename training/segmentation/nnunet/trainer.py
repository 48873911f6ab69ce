"""Our trainer in nnU-Net's loop: networks of the registry, the experiment's hyper-parameters."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from nnunetv2.training.lr_scheduler.polylr import PolyLRScheduler  # type: ignore[import-untyped] # ships no types
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import (  # type: ignore[import-untyped] # ships no types
    nnUNetTrainer,
)
from torch import nn

from pipeline.segmentation.networks.registry import build_network
from training.segmentation.nnunet.checkpoint import read_checkpoint, write_checkpoint
from training.segmentation.nnunet.curve_logger import CurveLogger
from training.segmentation.nnunet.settings import TrainerSettings
from training.segmentation.nnunet.supervision import set_deep_supervision
from training.segmentation.precision import training_type
from training.segmentation.recompute import recompute_activations
from training.segmentation.run_result import RunProgress

OnProgress = Callable[[RunProgress], None]


def ignore(progress: RunProgress) -> None:
    """Listen to nothing."""
    del progress


class IchnodeTrainer(nnUNetTrainer):  # type: ignore[misc] # nnU-Net ships no types
    """nnU-Net's trainer with a network of ours.

    Data, augmentation, loss and the order of things are nnU-Net's own. Ours are the network, the
    numbers of the experiment, bfloat16, a time limit, checkpoints that are written whole or not
    at all and read without unpickling code, and silence on the terminal (nnU-Net's log file
    keeps everything). One process only; nnU-Net's distributed training is not supported.

    Parameters
    ----------
    plans : dict
        nnU-Net's plans with our settings under ``ichnode``.
    configuration, fold, dataset_json, device
        As nnU-Net gives them.
    """

    def __init__(
        self,
        plans: dict[str, Any],
        configuration: str,
        fold: int,
        dataset_json: dict[str, Any],
        device: torch.device = torch.device("cuda"),  # noqa: B008  nnU-Net's signature
    ) -> None:
        continues = bool(plans["continue_training"])
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.settings = TrainerSettings.from_plans(self.plans_manager.plans)
        experiment = self.settings.experiment
        self.initial_lr = experiment.learning_rate
        self.weight_decay = experiment.weight_decay
        self.oversample_foreground_percent = experiment.foreground_share
        self.num_epochs = experiment.epochs
        self.num_iterations_per_epoch = experiment.iterations
        self.num_val_iterations_per_epoch = experiment.validation_iterations
        self.save_every = experiment.checkpoint_every
        self.enable_deep_supervision = self.settings.scales is not None
        self.logger = CurveLogger(self.output_folder, continues)
        self._type = training_type(experiment.precision, device)
        if self._type == torch.float32 and device.type == "cuda":
            raise ValueError("nnU-Net's loop always computes in half precision on CUDA")
        if self._type != torch.float16:
            self.grad_scaler = None
        self.on_progress: OnProgress = ignore
        self.clock: Callable[[], float] = time.monotonic
        self.steps = 0
        self._earlier_seconds = 0.0
        self._started = self.clock()

    @staticmethod
    def build_network_architecture(
        plans_manager: Any,  # noqa: ANN401  nnU-Net ships no types
        configuration_manager: Any,  # noqa: ANN401, ARG004  nnU-Net's signature
        num_input_channels: int,  # noqa: ARG004
        num_output_channels: int,  # noqa: ARG004
        enable_deep_supervision: bool = True,  # noqa: FBT001, FBT002
    ) -> nn.Module:
        """Return the network that the plans' settings name, with fresh weights."""
        settings = TrainerSettings.from_plans(plans_manager.plans)
        network = build_network(settings.architecture, settings.arguments)
        initialize = getattr(network, "initialize", None)
        if initialize is not None:  # nnU-Net's own networks leave their weights to the caller
            network.apply(initialize)
        set_deep_supervision(network, enable_deep_supervision)
        if settings.experiment.recompute:
            recompute_activations(network)
        return network

    @property
    def seconds(self) -> float:
        """Time spent in training, over all runs."""
        return self._earlier_seconds + self.clock() - self._started

    @property
    def spent_share(self) -> float:
        """Share of the budget that is spent, in epochs or minutes, whichever is more."""
        done = self.steps / (self.num_epochs * self.num_iterations_per_epoch)
        limit = self.settings.limit_seconds
        return min(1.0, max(done, self.seconds / limit if limit else 0.0))

    def configure_optimizers(self) -> tuple[torch.optim.Optimizer, Any]:
        """Return the experiment's optimiser and nnU-Net's polynomial decay."""
        parameters = self.network.parameters()
        optimizer: torch.optim.Optimizer
        if self.settings.experiment.optimiser == "adamw":
            optimizer = torch.optim.AdamW(
                parameters, self.initial_lr, weight_decay=self.weight_decay
            )
        else:
            optimizer = torch.optim.SGD(
                parameters,
                self.initial_lr,
                weight_decay=self.weight_decay,
                momentum=self.settings.experiment.momentum,
                nesterov=True,
            )
        return optimizer, PolyLRScheduler(optimizer, self.initial_lr, self.num_epochs)

    def run_training(self) -> None:
        """Train epoch by epoch until the epochs or the minutes are spent."""
        self.on_train_start()
        self._started = self.clock()
        while self.current_epoch < self.num_epochs and not self._is_late():
            self.on_epoch_start()
            self.on_train_epoch_start()
            outputs = []
            for _ in range(self.num_iterations_per_epoch):
                outputs.append(self.train_step(next(self.dataloader_train)))
                if self._is_late():
                    break
            self.on_train_epoch_end(outputs)
            with torch.no_grad():
                self.on_validation_epoch_start()
                batches = range(self.num_val_iterations_per_epoch)
                found = [self.validation_step(next(self.dataloader_val)) for _ in batches]
                self.on_validation_epoch_end(found)
            self.on_epoch_end()
            self._tell(float(outputs[-1]["loss"]))
        self.on_train_end()

    def on_train_epoch_start(self) -> None:
        """Set the learning rate of the epoch, by its number or by the time that is spent."""
        super().on_train_epoch_start()
        limit = self.settings.limit_seconds
        if limit:
            spent = min(self.seconds / limit, 0.99) * self.num_epochs
            self.lr_scheduler.step(max(spent, self.current_epoch))

    def train_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Take one step in the experiment's precision.

        Raises
        ------
        FloatingPointError
            If the loss is no number.
        """
        self._set_precision()
        result: dict[str, Any] = super().train_step(batch)
        if result["loss"] != result["loss"]:
            raise FloatingPointError(
                f"The loss became NaN in epoch {self.current_epoch}, precision "
                f"{self.settings.experiment.precision}; fp32 or a lower learning rate may help"
            )
        self.steps += 1
        self._tell(float(result["loss"]))
        return result

    def validation_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Judge one batch in the experiment's precision."""
        self._set_precision()
        result: dict[str, Any] = super().validation_step(batch)
        return result

    def save_checkpoint(self, filename: str) -> None:
        """Write what a later run needs to go on."""
        write_checkpoint(Path(filename), self, seconds=self.seconds, steps=self.steps)

    def load_checkpoint(self, filename_or_checkpoint: str) -> None:
        """Go on from a checkpoint."""
        if not self.was_initialized:
            self.initialize()
        found = read_checkpoint(Path(filename_or_checkpoint), self)
        self._earlier_seconds, self.steps = found.seconds, found.steps

    def set_deep_supervision_enabled(self, enabled: bool) -> None:  # noqa: FBT001  nnU-Net's signature
        """Let the network return all resolutions or only the highest."""
        set_deep_supervision(self.network, enabled)

    def print_to_log_file(
        self,
        *args: object,
        also_print_to_console: bool = True,  # noqa: ARG002  nnU-Net's signature
        add_timestamp: bool = True,
    ) -> None:
        """Write to nnU-Net's log file, never to the terminal."""
        super().print_to_log_file(*args, also_print_to_console=False, add_timestamp=add_timestamp)

    def plot_network_architecture(self) -> None:
        """Draw nothing: it needs a library that is gone."""

    def _save_debug_information(self) -> None:
        """Write nothing: the settings stand in the plans."""

    def _get_deep_supervision_scales(self) -> list[list[float]] | None:
        scales = self.settings.scales
        return None if scales is None else [list(scale) for scale in scales]

    def _build_loss(self) -> nn.Module:
        loss: nn.Module = super()._build_loss()
        if self.settings.scales is not None:
            loss.weight_factors = self.settings.supervision_weights()  # type: ignore[assignment] # a plain tuple there
        return loss

    def _is_late(self) -> bool:
        limit = self.settings.limit_seconds
        return limit is not None and self.seconds >= limit and self.steps > 0

    def _set_precision(self) -> None:
        if self.device.type == "cuda":
            # nnU-Net's own autocast names no type; it takes the one set here.
            torch.set_autocast_dtype("cuda", self._type)

    def _tell(self, loss: float) -> None:
        dices = self.logger.get_value("mean_fg_dice", None)
        self.on_progress(
            RunProgress(
                share=self.spent_share,
                epoch=self.current_epoch,
                epochs=self.num_epochs,
                loss=loss,
                pseudo_dice=float(dices[-1]) if dices else None,
            )
        )
