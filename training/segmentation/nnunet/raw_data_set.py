"""A cohort as nnU-Net's raw data set: NIfTI in Hounsfield units on the pipeline's grid."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray

from pipeline.volume import AIR_HU, Vector
from training.cohort.case import IGNORED, Case
from training.cohort.folder import ScanFile
from training.cohort.patient_split import Part
from training.cohort.regrid import on_grid
from training.segmentation.experiment import Patch

#: nnU-Net wants its ignore label to follow the last class.
_NNUNET_IGNORE = 2

_ENDING = ".nii.gz"

#: Told how many scans are written and how many there are.
OnScan = Callable[[int, int], None]


def write_raw_data_set(
    folder: Path,
    parts: Mapping[Part, Sequence[ScanFile]],
    *,
    spacing_zyx_mm: Vector,
    least_shape_zyx: Patch,
    on_scan: OnScan,
) -> None:
    """Write training and validation scans, their labels and ``dataset.json``.

    The test part stays out, so that nothing can be learnt from it. Scans that stand already are
    not written again. Smaller scans are surrounded by air, as the pipeline does it: nnU-Net would
    pad with zeros, which after normalisation look like hematoma.

    Parameters
    ----------
    folder : Path
        ``Dataset501_...``; made if absent.
    parts : mapping
        Scans to train and to validate on.
    spacing_zyx_mm : Vector
        Grid to train on. Cases on another one are brought to it by the pipeline's resampling.
    least_shape_zyx : tuple of int
        Voxels that augmentation may reach for.
    on_scan : callable
        Told about each scan.

    Raises
    ------
    ValueError
        If no scan of either part shows hematoma.
    """
    scans = [*parts[Part.TRAIN], *parts[Part.VALIDATION]]
    for name in ("imagesTr", "labelsTr"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for index, scan in enumerate(scans):
        image, label = (folder / relative for relative in _paths(scan.case_id))
        if not label.exists():
            case = on_grid(scan.read(), spacing_zyx_mm)
            hu, labels = _surrounded(case, least_shape_zyx)
            _write(image, hu, spacing_zyx_mm)
            _write(label, np.where(labels == IGNORED, _NNUNET_IGNORE, labels), spacing_zyx_mm)
        on_scan(index + 1, len(scans))
    values = [_label_values(folder / _paths(scan.case_id)[1]) for scan in scans]
    if not any(1 in found for found in values):
        raise ValueError("No scan to train or validate on shows hematoma")
    has_unknown = any(_NNUNET_IGNORE in found for found in values)
    content = _data_set_json(scans, has_unknown=has_unknown)
    (folder / "dataset.json").write_text(json.dumps(content, indent=1) + "\n")


def _paths(case_id: str) -> tuple[Path, Path]:
    return Path("imagesTr") / f"{case_id}_0000{_ENDING}", Path("labelsTr") / f"{case_id}{_ENDING}"


def _surrounded(case: Case, least: Patch) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """Return HU and labels with air around them up to a least shape."""
    missing = [max(0, size - have) for size, have in zip(least, case.hu_zyx.shape, strict=True)]
    pads = [(count // 2, count - count // 2) for count in missing]
    return (
        np.pad(case.hu_zyx, pads, constant_values=AIR_HU),
        np.pad(case.label_zyx, pads, constant_values=0),
    )


def _write(path: Path, values_zyx: NDArray[Any], spacing_zyx_mm: Vector) -> None:
    z, y, x = spacing_zyx_mm
    # NIfTI's x and y run against ours, which rise to the left and to posterior.
    affine = np.diag([-x, -y, z, 1.0])
    partial = path.with_name(f".part-{path.name}")
    image = nibabel.Nifti1Image(values_zyx.transpose(2, 1, 0), affine)  # type: ignore[no-untyped-call] # untyped there
    nibabel.save(image, partial)
    partial.replace(path)


def _label_values(path: Path) -> set[int]:
    image = nibabel.Nifti1Image.from_filename(path)
    return {int(value) for value in np.unique(np.asarray(image.dataobj))}


def _data_set_json(scans: Iterable[ScanFile], *, has_unknown: bool) -> dict[str, Any]:
    labels = {"background": 0, "hematoma": 1}
    if has_unknown:
        labels["ignore"] = _NNUNET_IGNORE
    files = {
        scan.case_id: {"images": [str(image)], "label": str(label)}
        for scan in scans
        for image, label in [_paths(scan.case_id)]
    }
    return {
        "channel_names": {"0": "CT"},
        "labels": labels,
        "numTraining": len(files),
        "file_ending": _ENDING,
        "dataset": files,
    }
