"""nnU-Net's planning and preprocessing, in this process, for a grid and a patch that are given."""

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from nnunetv2.experiment_planning.dataset_fingerprint.fingerprint_extractor import (  # type: ignore[import-untyped] # ships no types
    DatasetFingerprintExtractor,
)
from nnunetv2.experiment_planning.experiment_planners.default_experiment_planner import (  # type: ignore[import-untyped] # ships no types
    ExperimentPlanner,
)
from nnunetv2.imageio.simpleitk_reader_writer import (  # type: ignore[import-untyped] # ships no types
    SimpleITKIO,
)
from nnunetv2.training.data_augmentation.compute_initial_patch_size import (  # type: ignore[import-untyped] # ships no types
    get_patch_size,
)
from nnunetv2.utilities.plans_handling.plans_handler import (  # type: ignore[import-untyped] # ships no types
    PlansManager,
)

from pipeline.model_card import Intensity
from training.cohort.folder import ScanFile
from training.cohort.patient_split import Part
from training.segmentation.experiment import Patch
from training.segmentation.nnunet.layout import (
    CONFIGURATION,
    DATA_SET_ID,
    NnunetLayout,
)
from training.segmentation.nnunet.settings import KEY, TrainerSettings

OnScan = Callable[[int, int], None]

#: nnU-Net draws this many hematoma voxels for its statistics, evenly from all scans.
_FINGERPRINT_VOXELS = 10_000_000

#: Memory that nnU-Net plans for; its default, for which the patch of the paper's setting follows.
_MEMORY_GB = 8.0

#: Slices more than three times as thick as the patch is wide are rotated in the plane only.
_FLAT = 3
_FREE_TURN, _SMALL_TURN = np.pi, np.pi / 6

#: Zoom that nnU-Net allows for when it cuts out what it augments.
_ZOOM = (0.85, 1.25)


def reach_of_augmentation(patch_size_zyx: Patch) -> Patch:
    """Return the voxels that nnU-Net cuts out to rotate a patch from."""
    is_flat = max(patch_size_zyx) / patch_size_zyx[0] > _FLAT
    turn = _FREE_TURN if is_flat else _SMALL_TURN
    z, y, x = (int(size) for size in get_patch_size(patch_size_zyx, *[(-turn, turn)] * 3, _ZOOM))
    return (patch_size_zyx[0] if is_flat else z, y, x)


def write_fingerprint(layout: NnunetLayout, training: Sequence[ScanFile]) -> None:
    """Write what nnU-Net plans by: shapes, spacings and HU of hematoma, of training scans only.

    nnU-Net itself would count validation scans and voxels of unknown truth, too.

    Raises
    ------
    ValueError
        If no training scan shows hematoma.
    """
    files = json.loads((layout.raw / "dataset.json").read_text())["dataset"]
    reader = SimpleITKIO()
    shapes, spacings, drawn = [], [], []
    for scan in training:
        paths = files[scan.case_id]
        image, properties = reader.read_images([str(layout.raw / paths["images"][0])])
        label, _ = reader.read_seg(str(layout.raw / paths["label"]))
        values, _ = DatasetFingerprintExtractor.collect_foreground_intensities(
            (label == 1).astype(np.uint8),
            image,
            num_samples=_FINGERPRINT_VOXELS // max(len(training), 1),
        )
        shapes.append([int(size) for size in image.shape[1:]])
        spacings.append([float(step) for step in properties["spacing"]])
        drawn.append(np.asarray(values[0], dtype=np.float32))
    hu = np.concatenate(drawn)
    if hu.size == 0:
        raise ValueError("No training scan shows hematoma, so nothing can be normalised by it")
    low, median, high = (float(value) for value in np.percentile(hu, (0.5, 50.0, 99.5)))
    fingerprint = {
        "spacings": spacings,
        "shapes_after_crop": shapes,
        "median_relative_size_after_cropping": 1.0,
        "foreground_intensity_properties_per_channel": {
            "0": {
                "mean": float(hu.mean(dtype=np.float64)),
                "median": median,
                "std": float(hu.std(dtype=np.float64)),
                "min": float(hu.min()),
                "max": float(hu.max()),
                "percentile_00_5": low,
                "percentile_99_5": high,
            }
        },
    }
    layout.preprocessed.mkdir(parents=True, exist_ok=True)
    _write(layout.preprocessed / "dataset_fingerprint.json", fingerprint)


def write_plans(layout: NnunetLayout, settings: TrainerSettings) -> None:
    """Let nnU-Net plan, then set the experiment's patch, batch and network in its plans."""
    experiment = settings.experiment
    with _silent(layout):
        planner = ExperimentPlanner(
            DATA_SET_ID,
            gpu_memory_target_in_gb=_MEMORY_GB,
            overwrite_target_spacing=list(experiment.spacing_zyx_mm),
            suppress_transpose=True,
        )
        planner.lowres_creation_threshold = 0.0  # no cascade
        planner.plan_experiment()
    plans = json.loads(layout.plans.read_text())
    plans["configurations"] = {CONFIGURATION: plans["configurations"][CONFIGURATION]}
    configuration = plans["configurations"][CONFIGURATION]
    configuration["patch_size"] = list(experiment.patch_size_zyx)
    configuration["batch_size"] = experiment.batch_size
    configuration["spacing"] = list(experiment.spacing_zyx_mm)
    configuration["architecture"] = {
        "network_class_name": settings.architecture,
        "arch_kwargs": settings.arguments,
        "_kw_requires_import": [],
    }
    plans[KEY] = settings.to_plans()
    _write(layout.plans, plans)


def write_splits(layout: NnunetLayout, parts: Mapping[Part, Sequence[ScanFile]]) -> None:
    """Write the cohort's split by patient as nnU-Net's only fold."""
    fold = {
        name: [scan.case_id for scan in parts[part]]
        for name, part in (("train", Part.TRAIN), ("val", Part.VALIDATION))
    }
    _write(layout.preprocessed / "splits_final.json", [fold])


def preprocess(layout: NnunetLayout, *, on_scan: OnScan) -> None:
    """Normalise every scan as the plans say; those that stand already are not made again.

    nnU-Net's preprocessor would resample, but the scans are on the plans' grid already.
    """
    manager = PlansManager(str(layout.plans))
    configuration = manager.get_configuration(CONFIGURATION)
    data_set = json.loads((layout.raw / "dataset.json").read_text())
    output = layout.preprocessed / configuration.data_identifier
    output.mkdir(parents=True, exist_ok=True)
    preprocessor = configuration.preprocessor_class(verbose=False)
    for index, (case_id, files) in enumerate(data_set["dataset"].items()):
        # The properties are written last.
        if not (output / f"{case_id}.pkl").exists():
            for ending in (".b2nd", "_seg.b2nd"):  # of an interrupted call
                (output / f"{case_id}{ending}").unlink(missing_ok=True)
            with _silent(layout):
                preprocessor.run_case_save(
                    str(output / case_id),
                    [str(layout.raw / image) for image in files["images"]],
                    str(layout.raw / files["label"]),
                    manager,
                    configuration,
                    data_set,
                )
        on_scan(index + 1, len(data_set["dataset"]))


def read_intensity(layout: NnunetLayout) -> Intensity:
    """Return the normalisation in the plans, as the pipeline's card states it."""
    found = json.loads(layout.plans.read_text())["foreground_intensity_properties_per_channel"][
        "0"
    ]
    return Intensity(
        clip_low_hu=found["percentile_00_5"],
        clip_high_hu=found["percentile_99_5"],
        mean=found["mean"],
        sd=max(found["std"], 1e-8),
    )


@contextlib.contextmanager
def _silent(layout: NnunetLayout) -> Iterator[None]:
    """Send what nnU-Net prints to a file of the run."""
    layout.root.mkdir(parents=True, exist_ok=True)
    with (layout.root / "planning.log").open("a") as log, contextlib.redirect_stdout(log):
        yield


def _write(path: Path, content: object) -> None:
    partial = path.with_name(path.name + ".part")
    partial.write_text(json.dumps(content, indent=1) + "\n")
    partial.replace(path)
