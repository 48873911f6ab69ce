"""A tree of NIfTI files: which are scans, which are their masks."""

import re
from functools import partial
from pathlib import Path

from pipeline.errors import GeometryError
from pipeline.volume import CtVolume
from training.cohort.intake.found_scan import (
    Findings,
    FoundScan,
    MaskKind,
    StrayFile,
    TimePoint,
)
from training.cohort.intake.mask_nifti import read_mask_nifti
from training.cohort.nifti import read_nifti

_ENDINGS = (".nii.gz", ".nii")

#: Endings by which people tell masks from scans; 3D Slicer writes "-label" and ".seg".
_MASK = re.compile(
    r"(^|[-_. ])(mask|masks|label|labels|seg|segmentation|hematoma|haematoma|ich|gt)$",
    re.IGNORECASE,
)

#: Record that `ichtrain phantom` leaves beside a scan.
_SIMULATED = "patient.json"

#: Folders that hold nothing but masks.
_MASK_FOLDERS = frozenset(
    {"mask", "masks", "label", "labels", "labelstr", "seg", "segmentation", "segmentations"}
)

#: What a scan's name may end on that its mask's does not: nnU-Net's channel, "_ct", "_image".
_SCAN_SUFFIX = re.compile(r"[-_](0000|ct|image|img)$", re.IGNORECASE)

_FOLLOW_UP = re.compile(r"follow[-_ ]?up|(^|[-_ ])fu\d*($|[-_ ])", re.IGNORECASE)
_BASELINE = re.compile(r"baseline|(^|[-_ ])bl($|[-_ ])|admission", re.IGNORECASE)


def nifti_files(root: Path) -> list[Path]:
    """Return the NIfTI files below a folder, sorted."""
    return sorted(
        path for path in root.rglob("*") if path.name.lower().endswith(_ENDINGS) and path.is_file()
    )


def stem_of(path: Path) -> str:
    """Return a file's name without the ending of NIfTI."""
    name = path.name
    for ending in _ENDINGS:
        if name.lower().endswith(ending):
            return name[: -len(ending)]
    return name


def is_mask(path: Path, root: Path) -> bool:
    """Return whether a file's name or folder says that it is a mask."""
    folders = {part.lower() for part in path.relative_to(root).parts[:-1]}
    return bool(_MASK.search(stem_of(path)) or folders & _MASK_FOLDERS)


def find_nifti_scans(root: Path, files: list[Path], *, label: int | None) -> Findings:
    """Return the scans among some NIfTI files, each with its mask, and masks without a scan.

    A mask has the scan's name with an ending such as ``_mask``, ``_labels``, ``-label`` or
    ``.seg``, in the same folder or in one called ``masks`` or ``labels`` beside it. The patient
    is the first folder below the root, or the file's name where all lie in one folder.
    """
    masks: dict[tuple[str, str], Path] = {}
    for path in files:
        if is_mask(path, root):
            masks[_home(path, root), _bare(path)] = path
    scans = []
    for path in files:
        if is_mask(path, root):
            continue
        mask = masks.pop((_home(path, root), _bare(path)), None)
        scans.append(_scan(path, mask, root, label=label))
    strays = tuple(
        StrayFile(where=str(path.relative_to(root)), reason="mask without a scan")
        for path in masks.values()
    )
    return Findings(scans=tuple(scans), strays=strays)


def state_of(paths: list[Path]) -> str:
    """Return a text that changes when one of the files does."""
    return ";".join(f"{path.stat().st_size}:{path.stat().st_mtime_ns}" for path in sorted(paths))


def _scan(path: Path, mask: Path | None, root: Path, *, label: int | None) -> FoundScan:
    relative = path.relative_to(root)
    if label is None and (path.parent / _SIMULATED).exists():
        label = 1  # other values there are blood elsewhere
    return FoundScan(
        key=str(relative),
        name=_bare(path),
        patient=_patient(relative),
        where=str(relative),
        state=state_of([path] if mask is None else [path, mask]) + f";{label}",
        time_point=_time_point(stem_of(path)),
        mask_kind=MaskKind.NONE if mask is None else MaskKind.NIFTI,
        read=partial(_read, path),
        read_mask=None if mask is None else partial(read_mask_nifti, mask, label=label),
    )


def _read(path: Path) -> CtVolume:
    hu_zyx, grid = read_nifti(path)
    if hu_zyx.ndim != 3:  # noqa: PLR2004  a volume has three axes
        raise GeometryError(f"a volume has three axes, found {hu_zyx.ndim}")
    return CtVolume(hu_zyx=hu_zyx, grid=grid)


def _bare(path: Path) -> str:
    """Return what scan and mask are both called."""
    return _SCAN_SUFFIX.sub("", _MASK.sub("", stem_of(path)))


def _home(path: Path, root: Path) -> str:
    """Return the folder of a scan, or of the scans that a folder of masks belongs to."""
    parts = [part.lower() for part in path.relative_to(root).parts[:-1]]
    images = {"image", "images", "imagestr", "ct", "scans"}
    return "/".join(part for part in parts if part not in _MASK_FOLDERS | images)


def _patient(relative: Path) -> str:
    folders = [
        part
        for part in relative.parts[:-1]
        if part.lower() not in _MASK_FOLDERS | {"image", "images", "imagestr", "ct", "scans"}
    ]
    if folders:
        return folders[0]
    bare = _bare(relative)
    return re.sub(r"[-_ ]+$", "", _BASELINE.sub("", _FOLLOW_UP.sub("", bare))) or bare


def _time_point(stem: str) -> TimePoint:
    if _FOLLOW_UP.search(stem):
        return TimePoint.FOLLOW_UP
    return TimePoint.BASELINE if _BASELINE.search(stem) else TimePoint.UNKNOWN
