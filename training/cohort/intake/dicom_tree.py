"""A tree of DICOM files: its series, and the segmentations drawn on them."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from pipeline.ct_series import read_ct_series
from pipeline.ct_series.header import ImageHeader
from pipeline.ct_series.multiframe import headers_of
from pipeline.errors import SeriesRejectedError
from pipeline.scan_kinds import kernel_kind, manufacturer_kind
from pipeline.volume import CtVolume
from training.cohort.intake.found_scan import (
    Findings,
    FoundScan,
    MaskKind,
    ReadMask,
    StrayFile,
)
from training.cohort.intake.mask_nifti import read_mask_nifti
from training.cohort.intake.mask_seg import read_mask_seg, referenced_series
from training.cohort.intake.nifti_tree import state_of, stem_of

_PREFIX_AT = 128
_PREFIX = b"DICM"

#: Segmentation Storage (PS3.6, annex A).
_SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"

_TAGS = [
    *("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "PatientID"),
    *("AcquisitionDateTime", "AcquisitionDate", "AcquisitionTime", "SeriesDate", "SeriesTime"),
    *("StudyDate", "StudyTime", "PatientAge", "PatientBirthDate", "ReferencedSeriesSequence"),
    *("Manufacturer", "ConvolutionKernel"),
    *("NumberOfFrames", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
]

#: Series that a segmentation belongs to which names none.
_NOWHERE = ""

#: Days, weeks, months and years of an age string (PS3.5, section 6.2, AS).
_YEARS = {"D": 1 / 365.25, "W": 7 / 365.25, "M": 1 / 12, "Y": 1.0}


@dataclass(slots=True)
class _Series:
    """Files of one series and the header of the first."""

    header: Dataset
    files: list[Path] = field(default_factory=list)
    instances: set[str] = field(default_factory=set)


def dicom_files(root: Path) -> list[Path]:
    """Return the files with the prefix of PS3.10, section 7.1, but the index of a medium."""
    return sorted(path for path in root.rglob("*") if path.is_file() and _is_dicom(path))


def find_dicom_scans(
    root: Path,
    files: Iterable[Path],
    masks: Iterable[Path],
    *,
    label: int | None,
    on_file: Callable[[], None],
) -> Findings:
    """Return every series with its mask, and files that belong to none.

    A DICOM SEG belongs to the series it refers to. A NIfTI mask belongs to the only series of
    its folder, or of the folder of its own name beside it.
    """
    series: dict[str, _Series] = {}
    segmentations: dict[str, list[Path]] = defaultdict(list)
    strays: list[StrayFile] = []
    for path in files:
        on_file()
        try:
            header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=_TAGS)
            uid = str(header.SeriesInstanceUID)
        except (InvalidDicomError, OSError, AttributeError, ValueError):
            strays.append(StrayFile(where=_relative(path, root), reason="unreadable DICOM file"))
            continue
        if str(header.get("SOPClassUID", "")) == _SEGMENTATION:
            for referenced in referenced_series(header) or {_NOWHERE}:
                segmentations[referenced].append(path)
            continue
        found = series.setdefault(uid, _Series(header=header))
        instance = str(header.get("SOPInstanceUID", path))
        if instance not in found.instances:  # a copy of an instance adds nothing
            found.instances.add(instance)
            found.files.append(path)
    homes = _by_folder(series)
    nifti: dict[str, Path] = {}
    for path in masks:
        uid_of = _series_of_mask(path, homes)
        if uid_of is None:
            strays.append(StrayFile(where=_relative(path, root), reason="mask without a scan"))
        else:
            nifti[uid_of] = path
    for uid, paths in segmentations.items():
        if uid not in series:
            strays += [
                StrayFile(where=_relative(path, root), reason="mask without a scan")
                for path in paths
            ]
    scans = [
        _scan(uid, one, root, segmentations.get(uid, []), nifti.get(uid), label=label)
        for uid, one in series.items()
    ]
    return Findings(scans=tuple(scans), strays=tuple(strays))


def _scan(
    uid: str,
    series: _Series,
    root: Path,
    segmentations: list[Path],
    nifti: Path | None,
    *,
    label: int | None,
) -> FoundScan:
    header = series.header
    kind = MaskKind.NONE
    read_mask: ReadMask | None = None
    used = list(series.files)
    if segmentations:
        # Of several the last by name; a redrawn mask is exported later.
        chosen = max(segmentations)
        kind, used = MaskKind.DICOM_SEG, [*used, chosen]
        read_mask = partial(read_mask_seg, chosen)
    elif nifti is not None:
        kind, used = MaskKind.NIFTI, [*used, nifti]
        read_mask = partial(read_mask_nifti, nifti, label=label)
    acquired, image = _acquired(header), _first_image(header)
    return FoundScan(
        key=uid,
        name=hashlib.sha256(uid.encode()).hexdigest()[:8],
        patient=str(header.get("PatientID", "") or header.get("StudyInstanceUID", uid)),
        where=_relative(series.files[0].parent, root),
        state=f"{state_of(used)};{label}",
        study=str(header.get("StudyInstanceUID", "")),
        acquired=acquired,
        age_years=_age(header, acquired),
        manufacturer=manufacturer_kind(image.text("Manufacturer")),
        kernel=kernel_kind(image.text("ConvolutionKernel")),
        mask_kind=kind,
        read=partial(_read, tuple(series.files)),
        read_mask=read_mask,
    )


def _read(files: tuple[Path, ...]) -> CtVolume:
    return read_ct_series([pydicom.dcmread(path) for path in files])


def _first_image(header: Dataset) -> ImageHeader:
    """Return the header of the first image; of a broken multi-frame object what it has itself."""
    try:
        return headers_of(header)[0]
    except SeriesRejectedError:
        return ImageHeader(instance=header)


def _by_folder(series: dict[str, _Series]) -> dict[Path, set[str]]:
    homes: dict[Path, set[str]] = defaultdict(set)
    for uid, one in series.items():
        for path in one.files:
            homes[path.parent].add(uid)
    return homes


def _series_of_mask(path: Path, homes: dict[Path, set[str]]) -> str | None:
    stem = stem_of(path)
    beside = [folder for folder in homes if folder.parent == path.parent]
    named = [folder for folder in beside if stem.lower().startswith(folder.name.lower())]
    for folder in (path.parent, *sorted(named, key=lambda one: -len(one.name))):
        if len(homes.get(folder, ())) == 1:
            return next(iter(homes[folder]))
    return None


def _acquired(header: Dataset) -> datetime | None:
    combined = str(header.get("AcquisitionDateTime", "") or "")[:14]
    pairs = [combined]
    for part in ("Acquisition", "Series", "Study"):
        day = str(header.get(f"{part}Date", "") or "")
        time = str(header.get(f"{part}Time", "") or "").split(".")[0]
        pairs.append(f"{day}{time:0<6}" if day else "")
    for text in pairs:
        try:
            # Without a zone: hours between scans of one hospital.
            return datetime.strptime(text, "%Y%m%d%H%M%S")  # noqa: DTZ007
        except ValueError:
            continue
    return None


def _age(header: Dataset, acquired: datetime | None) -> float | None:
    text = str(header.get("PatientAge", "") or "")
    if text[:-1].isdigit() and text[-1:] in _YEARS:
        return int(text[:-1]) * _YEARS[text[-1]]
    try:
        born = datetime.strptime(str(header.get("PatientBirthDate", "")), "%Y%m%d")  # noqa: DTZ007
    except ValueError:
        return None
    return None if acquired is None else (acquired - born).days / 365.25


def _is_dicom(path: Path) -> bool:
    if path.name.upper() == "DICOMDIR":
        return False
    with path.open("rb") as stream:
        return stream.read(_PREFIX_AT + len(_PREFIX))[_PREFIX_AT:] == _PREFIX


def _relative(path: Path, root: Path) -> str:
    return str(path.relative_to(root))
