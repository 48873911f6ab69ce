"""A run: the folds of one cohort, trained in several ways, in one folder that can be gone on with.

``run.json`` holds recipe and folds; ``<arm>/<fold>/`` holds checkpoint, log, curves and, at the
end, ``weights.safetensors`` with ``result.json``.
"""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from pipeline.growth.network import GrowthUNet
from training.growth.arms import PLANS, Arm
from training.growth.folds import Fold
from training.growth.learning_log import draw_curves
from training.growth.pair import GrowthPair, load_pair, load_shrunk, pair_path, pair_paths
from training.growth.prepare import spacing_of
from training.growth.recipe import GrowthRecipe, recipe_from_fields
from training.growth.trainer import CHECKPOINT, GrowthTrainer, LearningProgress

RUN_FILE, RESULT, WEIGHTS, CURVES = "run.json", "result.json", "weights.safetensors", "curves.png"


@dataclass(frozen=True, slots=True, kw_only=True)
class GrowthRun:
    """What a run is made of.

    Attributes
    ----------
    folder : Path
        Where it lies.
    pairs : Path
        Folder of pairs that it learns from.
    recipe : GrowthRecipe
        How it learns.
    folds : tuple of Fold
        Who is learnt from and who is tested; the last one is everybody's.
    """

    folder: Path
    pairs: Path
    recipe: GrowthRecipe
    folds: tuple[Fold, ...]

    def place(self, arm: Arm, fold: Fold) -> Path:
        """Return the folder of one training."""
        return self.folder / arm.value / fold.name

    def is_done(self, arm: Arm, fold: Fold) -> bool:
        """Return whether a training has ended."""
        return (self.place(arm, fold) / RESULT).is_file()

    def done(self, fold: Fold) -> list[Arm]:
        """Return the arms that have ended for a fold."""
        return [arm for arm in Arm if self.is_done(arm, fold)]

    def network(self, arm: Arm, fold: Fold) -> GrowthUNet:
        """Return the network with the best weights of a training that has ended."""
        network = self.recipe.network(arm)
        network.load_state_dict(load_file(self.place(arm, fold) / WEIGHTS))
        return network.eval()

    def digest(self, arm: Arm, fold: Fold) -> str:
        """Return the SHA-256 of the weights, hexadecimal."""
        return hashlib.sha256((self.place(arm, fold) / WEIGHTS).read_bytes()).hexdigest()


def begin_run(folder: Path, pairs: Path, recipe: GrowthRecipe, folds: Sequence[Fold]) -> GrowthRun:
    """Return the run in a folder, begun or gone on with.

    Raises
    ------
    ValueError
        If the folder holds a run of another recipe or of other folds, or the pairs have another
        voxel size than the recipe.
    """
    spacing = spacing_of(pairs)
    if spacing != tuple(recipe.spacing_zyx_mm):
        raise ValueError(f"{pairs} has voxels of {spacing} mm, the recipe {recipe.spacing_zyx_mm}")
    folder.mkdir(parents=True, exist_ok=True)
    stated = json.loads(
        json.dumps(
            {
                "recipe": dataclasses.asdict(recipe),
                "folds": [dataclasses.asdict(fold) for fold in folds],
            }
        )
    )
    path = folder / RUN_FILE
    if path.exists():
        earlier = json.loads(path.read_text())
        for name, value in stated.items():
            if earlier[name] != value:
                raise ValueError(f"{folder} holds a run with other {name}")
    else:
        path.write_text(json.dumps(stated, indent=1) + "\n")
    return GrowthRun(folder=folder, pairs=pairs, recipe=recipe, folds=tuple(folds))


def read_run(folder: Path, pairs: Path) -> GrowthRun:
    """Return a run that was begun.

    Raises
    ------
    ValueError
        If there is none.
    """
    path = folder / RUN_FILE
    if not path.is_file():
        raise ValueError(f"{folder} holds no run; `ichtrain growth train` begins one")
    content = json.loads(path.read_text())
    return GrowthRun(
        folder=folder,
        pairs=pairs,
        recipe=recipe_from_fields(content["recipe"], where=str(path)),
        folds=tuple(_fold(item) for item in content["folds"]),
    )


def patients_of(pairs: Path) -> list[str]:
    """Return the patients of a folder of pairs."""
    return [load_pair(path).patient_id for path in pair_paths(pairs)]


def train_fold(
    run: GrowthRun,
    arm: Arm,
    fold: Fold,
    *,
    device: torch.device,
    on_progress: Callable[[LearningProgress], None] = lambda _: None,
) -> None:
    """Train one arm on one fold, from where it was left; does nothing if it has ended."""
    if run.is_done(arm, fold):
        return
    place = run.place(arm, fold)
    learning = _pairs(run.pairs, fold.learning, synthetic=PLANS[arm].synthetic)
    deciding = _pairs(run.pairs, fold.deciding, synthetic=False)
    trainer = GrowthTrainer(run.recipe, arm, learning, deciding, folder=place, device=device)
    trainer.run(on_progress=on_progress)
    draw_curves(place / CURVES, trainer.lines, title=f"{PLANS[arm].words}, {fold.name}")
    save_file({name: value.contiguous() for name, value in trainer.best.items()}, place / WEIGHTS)
    result = {
        "arm": arm.value,
        "fold": fold.number,
        "pairs": len(learning),
        "patients": len(fold.learning),
        "epochs": trainer.epoch,
        "best_epoch": trainer.best_epoch,
        "best_validation_loss": trainer.best_loss,
        "minutes": round(trainer.seconds / 60, 2),
    }
    partial = place / f"{RESULT}.part"
    partial.write_text(json.dumps(result, indent=1) + "\n")
    partial.replace(place / RESULT)
    (place / CHECKPOINT).unlink(missing_ok=True)


def _pairs(folder: Path, patients: Sequence[str], *, synthetic: bool) -> list[GrowthPair]:
    """Return patients' scanned pairs, each followed by its made ones where they are wanted."""
    found = []
    for patient in patients:
        pair = load_pair(pair_path(folder, patient))
        found.append(pair)
        if synthetic:
            found += [shrunk.of(pair) for shrunk in load_shrunk(folder, patient)]
    if synthetic and not any(pair.is_synthetic for pair in found):
        raise ValueError(f"{folder} holds no made baseline; prepare with variants")
    return found


def _fold(content: dict[str, Any]) -> Fold:
    parts = {name: tuple(content[name]) for name in ("learning", "deciding", "testing")}
    return Fold(number=int(content["number"]), **parts)
