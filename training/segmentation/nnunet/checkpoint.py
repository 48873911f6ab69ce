"""Checkpoints of nnU-Net's loop: its own layout, but without code to unpickle."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from training.saved_state import save_whole

FINAL, LATEST, BEST = "checkpoint_final.pth", "checkpoint_latest.pth", "checkpoint_best.pth"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What earlier runs have spent."""

    seconds: float
    steps: int


def newest_checkpoint(folder: Path) -> Path | None:
    """Return the checkpoint to go on from, None if there is none."""
    found = (folder / name for name in (FINAL, LATEST, BEST))
    return next((path for path in found if path.exists()), None)


def write_checkpoint(
    path: Path,
    trainer: Any,  # noqa: ANN401  nnU-Net ships no types
    *,
    seconds: float,
    steps: int,
) -> None:
    """Write a trainer's state under the keys of nnU-Net, whole or not at all.

    Numbers are written as plain ones, so that the file can be read without trusting it.
    """
    scaler = trainer.grad_scaler
    state = {
        "network_weights": trainer.network.state_dict(),
        "optimizer_state": trainer.optimizer.state_dict(),
        "grad_scaler_state": None if scaler is None else scaler.state_dict(),
        "logging": _plain(trainer.logger.get_checkpoint()),
        "_best_ema": _plain(trainer._best_ema),  # noqa: SLF001  nnU-Net's own key and attribute
        "current_epoch": trainer.current_epoch + 1,
        "init_args": _plain(trainer.my_init_kwargs),
        "trainer_name": type(trainer).__name__,
        "inference_allowed_mirroring_axes": _plain(trainer.inference_allowed_mirroring_axes),
        "ichnode": {"seconds": float(seconds), "steps": int(steps)},
    }
    save_whole(state, path)


def read_checkpoint(path: Path, trainer: Any) -> Spent:  # noqa: ANN401  nnU-Net ships no types
    """Bring a trainer to the state in a file and return what was spent on it."""
    state = torch.load(path, map_location=trainer.device, weights_only=True)
    trainer.network.load_state_dict(state["network_weights"])
    trainer.optimizer.load_state_dict(state["optimizer_state"])
    if trainer.grad_scaler is not None and state["grad_scaler_state"] is not None:
        trainer.grad_scaler.load_state_dict(state["grad_scaler_state"])
    trainer.logger.load_checkpoint(state["logging"])
    trainer.current_epoch = state["current_epoch"]
    trainer._best_ema = state["_best_ema"]  # noqa: SLF001  nnU-Net's own attribute
    trainer.inference_allowed_mirroring_axes = state["inference_allowed_mirroring_axes"]
    spent = state.get("ichnode", {"seconds": 0.0, "steps": 0})
    return Spent(seconds=spent["seconds"], steps=spent["steps"])


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Return the network's weights in a checkpoint."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    weights: dict[str, torch.Tensor] = state["network_weights"]
    return weights


def _plain(value: Any) -> Any:  # noqa: ANN401  any value of nnU-Net's
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    return value
