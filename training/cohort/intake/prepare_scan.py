"""From a found scan to a prepared case and the facts of its row."""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import PipelineError
from pipeline.resampling import canonical_grid, resample_map, resample_volume
from pipeline.segmentation.head_crop import head_box
from pipeline.volume import CtVolume, Vector
from training.cohort.case import HALF_COVERED, IGNORED, Case
from training.cohort.intake.criteria import Criterion
from training.cohort.intake.found_scan import FoundScan, MaskError
from training.cohort.intake.scan_facts import ScanFacts


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PreparedScan:
    """The facts of a scan, with its case if it can be used."""

    facts: ScanFacts
    case: Case | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparation:
    """How scans are prepared.

    Attributes
    ----------
    spacing_zyx_mm : Vector
        Grid of the cases.
    source : str
        Name of the data set.
    allow_empty : bool
        Keep scans whose mask marks nothing, as examples without hematoma.
    """

    spacing_zyx_mm: Vector
    source: str
    allow_empty: bool


def prepare_scan(found: FoundScan, known: ScanFacts, how: Preparation) -> PreparedScan:
    """Return the case of a scan, or why there is none.

    Parameters
    ----------
    found : FoundScan
        The scan.
    known : ScanFacts
        Its identifiers and what the header told.
    how : Preparation
        Grid and name.
    """
    facts = _fields(known)
    try:
        volume = found.read()
    except PipelineError as error:
        return _unusable(facts, Criterion.UNREADABLE, str(error))
    except (OSError, ValueError) as error:
        # The text of an error of a reading library may repeat what the file says.
        return _unusable(facts, Criterion.UNREADABLE, type(error).__name__)
    facts |= {
        "slices": volume.grid.shape_zyx[0],
        "spacing_zyx_mm": volume.grid.spacing_zyx_mm,
        "thickness_mm": _thickness(volume),
        "content": hashlib.sha256(volume.hu_zyx.tobytes()).hexdigest(),
    }
    mask: NDArray[np.bool_] | None = None
    if found.read_mask is not None:
        try:
            mask = found.read_mask(volume)
        except MaskError as error:
            return _unusable(facts, Criterion.BAD_MASK, str(error))
        facts |= _measured(mask, volume)
        if not mask.any() and not how.allow_empty:
            return _unusable(facts, Criterion.EMPTY_MASK, "mask marks nothing")
    case = make_case(volume, mask, known, how)
    return PreparedScan(facts=ScanFacts(**facts), case=case)


def make_case(
    volume: CtVolume, mask: NDArray[np.bool_] | None, known: ScanFacts, how: Preparation
) -> Case:
    """Return a scan on the model's grid, cropped to the head, by the pipeline's own steps.

    Without a mask nothing is known of any voxel.
    """
    target = canonical_grid(volume.grid, how.spacing_zyx_mm)
    hu = resample_volume(volume, target)
    box = head_box(hu)
    label = np.full(hu.shape, IGNORED, dtype=np.uint8)
    if mask is not None:
        covered = resample_map(mask.astype(np.float32), volume.grid, target)
        label = (covered >= HALF_COVERED).astype(np.uint8)
    return Case(
        case_id=known.scan_id,
        patient_id=known.patient_id,
        source=how.source,
        hu_zyx=np.round(hu[box]).astype(np.int16),
        label_zyx=label[box],
        spacing_zyx_mm=how.spacing_zyx_mm,
    )


def longest_run(marked: NDArray[np.bool_]) -> int:
    """Return the length of the longest run of true values."""
    longest = current = 0
    for value in marked:
        current = current + 1 if value else 0
        longest = max(longest, current)
    return longest


def _measured(mask: NDArray[np.bool_], volume: CtVolume) -> dict[str, Any]:
    row_mm, column_mm = volume.grid.pixel_spacing_yx_mm
    areas_mm2 = np.count_nonzero(mask, axis=(1, 2)) * row_mm * column_mm
    return {
        "hematoma_ml": round(float(areas_mm2 @ volume.grid.slice_extents_mm) / 1000, 4),
        "hematoma_slices": longest_run(np.asarray(mask.any(axis=(1, 2)))),
    }


def _thickness(volume: CtVolume) -> float:
    """Return the largest nominal thickness; without one, the slice step."""
    return float(max(volume.slice_thickness_mm, default=volume.grid.spacing_zyx_mm[0]))


def _fields(facts: ScanFacts) -> dict[str, Any]:
    return {name: getattr(facts, name) for name in ScanFacts.__dataclass_fields__}


def _unusable(facts: dict[str, Any], problem: Criterion, detail: str) -> PreparedScan:
    told = {**facts, "problem": problem.value, "detail": detail}
    return PreparedScan(facts=ScanFacts(**told), case=None)
