"""One of several processes that train a tiny network together: the program of test_ranks.

Called with the folder of cases, the folder of the run and a folder for what each process holds.
"""

import os
import sys
from pathlib import Path

import torch

from training.segmentation.patches import CasePool
from training.segmentation.ranks import joined
from training.segmentation.recipe import Recipe, Schedule
from training.segmentation.trainer import Trainer

STEPS = 3


def recipe(batch_size):
    return Recipe(
        architecture="CompactUNet",
        architecture_arguments={
            "features": [4, 8],
            "slice_strides": [1],
            "volume_levels": 1,
            "fold": 2,
        },
        spacing_zyx_mm=(5.0, 2.0, 2.0),
        patch_size_zyx=(4, 32, 32),
        tile_size_zyx=(4, 32, 32),
        clip_low_hu=-20.0,
        clip_high_hu=100.0,
        mean_hu=25.0,
        sd_hu=30.0,
        schedule=Schedule(
            steps=STEPS, warm_up_steps=1, validate_every=STEPS, batch_size=batch_size
        ),
    )


def pool_of(folder):
    return CasePool(
        folders=[Path(folder)], spacing_zyx_mm=(5.0, 2.0, 2.0), validation_fraction=0.3
    )


def main():
    cases, run, held = sys.argv[1:]
    torch.set_num_threads(1)
    with joined(os.environ, torch.device("cpu")) as ranks:
        trainer = Trainer(recipe(2), pool_of(cases), folder=Path(run), ranks=ranks)
        trainer.run()
        torch.save(trainer.network.state_dict(), Path(held) / f"{ranks.rank}.pt")


if __name__ == "__main__":
    main()
