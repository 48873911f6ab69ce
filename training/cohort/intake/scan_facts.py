"""What an import keeps of a scan: one row of the cohort's table."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

from training.cohort.intake.found_scan import MaskKind, TimePoint


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanFacts:
    """A scan that was looked at, pseudonymous unless the operator kept identifiers.

    Attributes
    ----------
    scan_id, patient_id : str
        Within the cohort.
    state : str
        Digest of the files and options that the facts hold for.
    study : str
        Digest of the study; equal for series of one visit.
    problem, detail : str
        Why the scan cannot be used, and in more words; empty if it can.
    slices : int
        Slices of the source.
    spacing_zyx_mm : tuple of float
        Of the source.
    thickness_mm : float
        Of the thickest slice.
    mask : MaskKind
        Kind of mask.
    hematoma_ml : float or None
        Volume of the mask on the source's grid; None without a mask.
    hematoma_slices : int
        Longest run of neighbouring slices that the mask marks.
    content : str
        Digest of the voxels, to find duplicates.
    time_point : TimePoint
        As the dates say, or the names.
    hours_after_baseline : float or None
        From the patient's first scan.
    age_years : float or None
        As the header says.
    manufacturer, kernel : str
        In the words of `pipeline.scan_kinds`; empty if the files have no place for them.
    """

    scan_id: str
    patient_id: str
    state: str = ""
    study: str = ""
    problem: str = ""
    detail: str = ""
    slices: int = 0
    spacing_zyx_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    thickness_mm: float = 0.0
    mask: MaskKind = MaskKind.NONE
    hematoma_ml: float | None = None
    hematoma_slices: int = 0
    content: str = ""
    time_point: TimePoint = TimePoint.UNKNOWN
    hours_after_baseline: float | None = None
    age_years: float | None = None
    manufacturer: str = ""
    kernel: str = ""


def write_facts(path: Path, facts: ScanFacts) -> None:
    """Write the facts of one scan, whole or not at all."""
    partial = path.with_name(path.name + ".part")
    partial.write_text(json.dumps(dataclasses.asdict(facts)) + "\n")
    partial.replace(path)


def read_facts(path: Path) -> ScanFacts:
    """Return what `write_facts` wrote."""
    content = json.loads(path.read_text())
    content["mask"] = MaskKind(content["mask"])
    content["time_point"] = TimePoint(content["time_point"])
    z, y, x = content["spacing_zyx_mm"]
    return ScanFacts(**{**content, "spacing_zyx_mm": (z, y, x)})
