"""One scan that was found, not read yet."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from pipeline.volume import CtVolume


class MaskKind(StrEnum):
    """How a scan was segmented. The values are stored; never rename one."""

    NONE = "none"
    NIFTI = "nifti"
    DICOM_SEG = "dicom_seg"


class TimePoint(StrEnum):
    """When a scan was taken. The values are stored; never rename one."""

    BASELINE = "baseline"
    FOLLOW_UP = "follow_up"
    UNKNOWN = "unknown"


class MaskError(ValueError):
    """A mask does not belong to its scan; the message says what was found and needed."""


ReadMask = Callable[[CtVolume], NDArray[np.bool_]]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundScan:
    """A scan with everything that its files say without their pixels.

    Attributes
    ----------
    key : str
        The same whenever the same files are imported: a series UID or a relative path.
    name : str
        Short name, for identifiers that may be read.
    patient : str
        As the source calls the patient; never leaves the import unless it is asked to.
    where : str
        Folder or file below the source.
    state : str
        Changes when one of the files does.
    study : str
        Scans of one study show the same visit; empty if unknown.
    acquired : datetime or None
        For the order of scans and the hours between them.
    time_point : TimePoint
        What the name says of it.
    age_years : float or None
        Of the patient, as the header says it.
    manufacturer, kernel : str
        In the words of `pipeline.scan_kinds`; empty if the files have no place for them.
    mask_kind : MaskKind
        Whether there is a mask, and of which kind.
    read : callable
        Returns the volume; raises SeriesRejectedError.
    read_mask : callable or None
        Returns the mask on the volume's grid; raises MaskError.
    """

    key: str
    name: str
    patient: str
    where: str
    state: str
    study: str = ""
    acquired: datetime | None = None
    time_point: TimePoint = TimePoint.UNKNOWN
    age_years: float | None = None
    manufacturer: str = ""
    kernel: str = ""
    mask_kind: MaskKind = MaskKind.NONE
    read: Callable[[], CtVolume]
    read_mask: ReadMask | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StrayFile:
    """A file that belongs to no scan.

    Attributes
    ----------
    where : str
        Path below the source.
    reason : str
        What is wrong.
    """

    where: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """Everything that a source holds."""

    scans: tuple[FoundScan, ...]
    strays: tuple[StrayFile, ...] = ()
