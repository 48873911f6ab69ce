"""A cohort of small heads in three centres, as an import leaves it, and budgets of seconds."""

import csv
import json
from pathlib import Path

import numpy as np

from training.cohort.case import Case, save_case

#: Grid of the heads, in mm, and their size.
SPACING, SHAPE = (5.0, 4.0, 4.0), (12, 48, 48)

#: Patients by centre; every third one expands.
CENTRES = {"Alpha": 21, "Beta": 9, "Gamma": 9}

_COHORT = (
    *("patient_id", "centre", "scan_id", "time_point", "hours_after_baseline", "slices"),
    *("spacing_z_mm", "spacing_y_mm", "spacing_x_mm", "thickness_mm"),
    *("mask", "hematoma_ml", "hematoma_slices", "part", "excluded"),
)


def head(number: int, *, expanded: bool, follow_up: bool) -> Case:
    """Return a box of bone with brain and a bright cuboid, which is brighter if it expands."""
    rng = np.random.default_rng([number, int(follow_up)])
    hu = np.full(SHAPE, 30) + rng.integers(-3, 4, SHAPE)
    hu[:, :3] = hu[:, -3:] = hu[:, :, :3] = hu[:, :, -3:] = 900
    hu[:1] = hu[-1:] = 900
    label = np.zeros(SHAPE, dtype=np.uint8)
    side = 7 + number % 4
    grown = side + (6 if follow_up and expanded else 0)
    label[4:9, 14 : 14 + side, 16 : 16 + grown] = 1
    hu[label == 1] = 72 if expanded else 60
    name = "follow_up" if follow_up else "baseline"
    return Case(
        case_id=f"p{number:02d}-{name}",
        patient_id=f"p{number:02d}",
        source="simulated",
        hu_zyx=hu.astype(np.int16),
        label_zyx=label,
        spacing_zyx_mm=SPACING,
    )


def write_study_cohort(folder: Path, centres: dict[str, int] | None = None) -> Path:
    """Write scans and tables of a cohort, with one excluded patient, and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    rows, clinical = [], []
    number = 0
    for centre, count in (CENTRES if centres is None else centres).items():
        for _ in range(count):
            expanded = number % 3 == 0
            for follow_up in (False, True):
                case = head(number, expanded=expanded, follow_up=follow_up)
                save_case(folder, case)
                rows.append(_row(case, centre, follow_up=follow_up))
            clinical.append(
                {
                    "patient_id": f"p{number:02d}",
                    "centre": centre,
                    "age_years": 50 + number % 30,
                    "sex": "M" if number % 2 else "F",
                    "ideal_he_probability": 0.7 if expanded else 0.1 + 0.02 * (number % 7),
                }
            )
            number += 1
    lost = head(number, expanded=False, follow_up=False)
    rows.append({**_row(lost, "Alpha", follow_up=False), "excluded": "surgery"})
    exclusion = {"level": "patient", "criterion": "surgery", "words": "surgery before follow-up"}
    exclusion |= {"patient_id": lost.patient_id, "scan_id": lost.case_id, "detail": ""}
    _write(folder / "cohort.csv", rows)
    _write(folder / "clinical.csv", clinical)
    _write(folder / "exclusions.csv", [exclusion])
    return folder


def write_tiny_budget(folder: Path, **changes: object) -> Path:
    """Write a budget whose stages take seconds, with its recipes, and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in _RECIPES.items():
        (folder / name).write_text(text)
    path = folder / "study_tiny.toml"
    head_lines = "\n".join(f"{key} = {json.dumps(value)}" for key, value in changes.items())
    path.write_text(f"{head_lines}\n{_BUDGET}")
    return path


def _row(case: Case, centre: str, *, follow_up: bool) -> dict[str, object]:
    z, y, x = case.spacing_zyx_mm
    values = (
        *(case.patient_id, centre, case.case_id, "follow_up" if follow_up else "baseline"),
        *(24 if follow_up else 0, SHAPE[0], z, y, x, z, "nifti", f"{case.hematoma_ml:.3f}"),
        *(5, "train", ""),
    )
    return dict(zip(_COHORT, values, strict=True))


def _write(path: Path, rows: list[dict[str, object]]) -> None:
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


_BUDGET = """
name = "tiny"
validation = 0.3

[expected_minutes]
benchmark = 0.2

[benchmark]
architectures = ["nnunet", "compact"]
experiment = "experiment.toml"
examined_patients = 2

[segmentation]
epochs = 2
examined_patients = 2

[synthesis]
recipe = "synthesis.toml"
ratios = ["1:1"]
steps = 4
convolution_probe = false

[classification]
recipe = "classification.toml"
ratios = ["1:1", "none"]
shown_ratio = "1:1"
explained_patients = 2

[growth]
recipe = "growth.toml"
folds = 2
arms = ["original"]
"""

_RECIPES = {
    "growth.toml": """
name = "tiny"
spacing_zyx_mm = [6.0, 6.0, 6.0]
patch_size_zyx = [8, 8, 8]
widths = [4, 8]
[shrinking]
variants = 1
erosion_mm = 6.0
most_erosions = 1
[sampling]
patches_per_case = 4
patches_per_epoch = 8
validation_patches_per_case = 2
[course]
epochs = 1
patience = 1
batch_size = 8
learning_rate = 1e-3
""",
    "experiment.toml": """
spacing_zyx_mm = [5.0, 4.0, 4.0]
patch_size_zyx = [4, 32, 32]
width = 2
optimiser = "adamw"
learning_rate = 0.01
epochs = 1
iterations = 2
validation_iterations = 1
batch_size = 2
foreground_share = 1.0
deep_supervision = false
precision = "fp32"
""",
    "synthesis.toml": """
name = "tiny"
image_size = 16
[network]
width = 8
multipliers = [1, 2]
token_widths = [8, 8]
residual_blocks = 1
kan_layers = 1
[noise]
steps = 20
[course]
epochs = 2
batch_size = 8
sheet_every = 1
""",
    "classification.toml": """
name = "tiny"
seed = 1
validation_share = 0.2
[network]
architecture = "vit"
input_size = 32
[network.arguments]
img_size = 32
patch_size = 8
in_chans = 1
embed_dim = 16
depth = 1
num_heads = 2
[slices]
roi = "square"
margin_mm = 10.0
resizing = "pad"
mean = [0.5]
sd = [0.5]
[schedule]
epochs = 2
batch_size = 16
warmup_epochs = 0
learning_rate = 3e-3
final_learning_rate = 1e-3
weight_decay = 0.0
averaging = 0.0
gradient_limit = 1.0
[balance]
he_share = 0.0
prevalence = 0.3
signs_weight = 0.0
signs_only_epochs = 0
label_smoothing = 0.0
[augmentation]
flip = true
rotation_deg = 0.0
shift = 0.0
scale = 0.0
contrast = 0.0
brightness = 0.0
noise = 0.0
[validation]
calibration = "temperature"
sensitivities = [0.9]
familiar_share = 0.0
""",
}
