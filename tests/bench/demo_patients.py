"""How well the patients of the demonstration are measured: python -m tests.bench.demo_patients.

Simulates the patients of some seeds as `ichnode demo` does, finds their hematomas with the models
that are named, and prints a table in Markdown: volumes beside the truth, and Dice. A patient takes
some ten seconds of one core, and with compact-segmentation twenty more.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import torch

from dicom_node.commands.demo_patient import simulator_options
from pipeline.ct_series import read_ct_series
from pipeline.measurement import volume_ml
from pipeline.model_bundle import builtin_bundle_path, load_bundle
from pipeline.segmentation.segmenter import Segmenter, load_segmenter
from training.phantom.labels import Label


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a model found of a hematoma.

    Attributes
    ----------
    truth_ml, volume_ml : float
        What is there and what was found.
    dice : float
        Overlap of both.
    """

    truth_ml: float
    volume_ml: float
    dice: float

    @property
    def error_ml(self) -> float:
        """How much more was found than is there."""
        return self.volume_ml - self.truth_ml

    @property
    def error(self) -> float:
        """The same as a share of what is there."""
        return self.error_ml / self.truth_ml


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs=2, default=(20001, 20030))
    parser.add_argument(
        "--models", nargs="+", default=["demo-segmentation", "compact-segmentation"]
    )
    wanted = parser.parse_args()
    segmenters = {
        name: load_segmenter(load_bundle(builtin_bundle_path(name)), device=torch.device("cpu"))
        for name in wanted.models
    }
    rows: list[list[str]] = []
    every: dict[str, list[Found]] = {name: [] for name in segmenters}
    first, last = wanted.seeds
    for seed in range(first, last + 1):
        with tempfile.TemporaryDirectory() as folder:
            record, found = _measured(Path(folder), seed, segmenters)
        for name, one in found.items():
            every[name].append(one)
        rows.append([str(seed), record["site"].replace("_", " "), f"{record['baseline_ml']:.1f}"])
        rows[-1] += [cell for one in found.values() for cell in _cells(one)]
        print(rows[-1], file=sys.stderr, flush=True)
    sys.stdout.write(_told(rows, every))


def _measured(
    folder: Path, seed: int, segmenters: dict[str, Segmenter]
) -> tuple[dict[str, str], dict[str, Found]]:
    """Return the record of a patient and what each model finds."""
    subprocess.run(
        [
            *(sys.executable, "-m", "training", *simulator_options(folder, seed=seed)),
            *("--format", "both"),
        ],
        check=True,
        capture_output=True,
    )
    (patient,) = (path.parent for path in folder.rglob("patient.json"))
    record = json.loads((patient / "patient.json").read_text())
    files = sorted((patient / "baseline_dicom").glob("*.dcm"))
    volume = read_ct_series([pydicom.dcmread(path) for path in files])
    labels = np.asarray(nibabel.load(patient / "baseline_labels.nii.gz").dataobj).T
    truth = labels == Label.HEMATOMA
    found = {}
    for name, segmenter in segmenters.items():
        mask = segmenter.segment(volume).hematoma
        both = np.count_nonzero(mask.voxels_zyx & truth)
        either = np.count_nonzero(mask.voxels_zyx) + np.count_nonzero(truth)
        found[name] = Found(
            truth_ml=record["baseline_ml"], volume_ml=volume_ml(mask), dice=2 * both / either
        )
    return record, found


def _cells(one: Found) -> list[str]:
    return [f"{one.volume_ml:.1f}", f"{one.error:+.0%}", f"{one.dice:.2f}"]


def _told(rows: list[list[str]], every: dict[str, list[Found]]) -> str:
    """Return the table and its medians."""
    heads = ["seed", "site", "truth, mL"]
    for name in every:
        heads += [f"{name}, mL", "error", "Dice"]
    lines = [heads, ["---"] * len(heads), *rows]
    text = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    for name, found in every.items():
        size = statistics.median(abs(one.error_ml) for one in found)
        share = statistics.median(abs(one.error) for one in found)
        sign = statistics.fmean(one.error_ml for one in found)
        dice = [one.dice for one in found]
        within = sum(abs(one.error) <= 0.25 for one in found)
        text += (
            f"\n{name}: median error of the volume {size:.1f} mL ({share:.0%}), mean {sign:+.1f} "
            f"mL, within a quarter of the truth {within} of {len(found)}; Dice median "
            f"{statistics.median(dice):.2f}, mean {statistics.fmean(dice):.2f}"
        )
    return text + "\n"


if __name__ == "__main__":
    main()
