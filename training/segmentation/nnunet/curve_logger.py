"""nnU-Net's log of a training, drawn as in the npj paper's Fig. 3A-B."""

from pathlib import Path
from typing import Any

from nnunetv2.training.logging.nnunet_logger import (  # type: ignore[import-untyped] # ships no types
    MetaLogger,
)

from training.segmentation.curves import Epoch, draw_curves, write_curves

CURVES_TABLE, CURVES_PICTURE = "curves.csv", "curves.png"

#: The picture is drawn anew after so many epochs, the table after every one.
_DRAW_EVERY = 5


class CurveLogger(MetaLogger):  # type: ignore[misc] # nnU-Net ships no types
    """nnU-Net's logger that writes a table and a small picture instead of its large one."""

    def plot_progress_png(self, output_folder: str) -> None:
        """Write the curves; nnU-Net calls it at the end of each epoch."""
        epochs = epochs_of(self.get_checkpoint())
        write_curves(Path(output_folder) / CURVES_TABLE, epochs)
        if len(epochs) % _DRAW_EVERY == 1:
            draw_curves(Path(output_folder) / CURVES_PICTURE, epochs)


def epochs_of(log: dict[str, Any]) -> list[Epoch]:
    """Return the finished epochs in nnU-Net's log."""
    columns = (
        log["train_losses"],
        log["val_losses"],
        log["mean_fg_dice"],
        log["ema_fg_dice"],
        log["lrs"],
        log["epoch_start_timestamps"],
        log["epoch_end_timestamps"],
    )
    return [
        Epoch(
            number=number,
            training_loss=float(training),
            validation_loss=float(validation),
            pseudo_dice=float(dice),
            average_pseudo_dice=float(average),
            learning_rate=float(rate),
            seconds=float(end) - float(start),
        )
        for number, (training, validation, dice, average, rate, start, end) in enumerate(
            zip(*columns, strict=False), start=1
        )
    ]
