"""Who takes part: the npj study's criteria, as far as they can be decided [1]_.

.. [1] Q. Yu et al., npj Digital Medicine (2025), "Patients", and its Fig. 1.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from training.cohort.intake.clinical import ClinicalFacts
from training.cohort.intake.found_scan import TimePoint
from training.cohort.intake.scan_facts import ScanFacts

#: The study's limits.
ADULT_YEARS = 18.0
BASELINE_HOURS = 24.0
FOLLOW_UP_HOURS = 72.0
THICKEST_MM = 5.0
FEWEST_SLICES = 3

#: Headers round 5 mm.
_ROUNDING_MM = 0.05


class Criterion(StrEnum):
    """Why a scan or patient takes no part. The values are stored; never rename one."""

    UNREADABLE = "unreadable"  #: the pipeline's reader refuses the series
    DUPLICATE = "duplicate"  #: the same voxels as another scan
    OTHER_SERIES = "other_series"  #: another series of the visit was taken
    BAD_MASK = "bad_mask"  #: the mask does not belong to the scan
    EMPTY_MASK = "empty_mask"  #: the mask marks nothing
    POOR_QUALITY = "poor_quality"
    THICK_SLICES = "thick_slices"  #: more than 5 mm
    NOT_SPONTANEOUS = "not_spontaneous"
    UNDERAGE = "underage"  #: under 18 years
    LATE_BASELINE = "late_baseline"  #: more than 24 h after onset
    LATE_FOLLOW_UP = "late_follow_up"  #: more than 72 h after onset, or else after baseline
    SURGERY = "surgery"  #: before the follow-up
    PRIMARY_IVH = "primary_ivh"
    FEW_SLICES = "few_slices"  #: baseline hematoma in fewer than 3 neighbouring slices
    NO_BASELINE = "no_baseline"  #: its baseline fell away
    NO_FOLLOW_UP = "no_follow_up"


#: Words for tree and figure.
WORDS: Mapping[Criterion, str] = {
    Criterion.UNREADABLE: "series refused by the reader",
    Criterion.DUPLICATE: "duplicate scan",
    Criterion.OTHER_SERIES: "another series of the visit was taken",
    Criterion.BAD_MASK: "mask does not fit the scan",
    Criterion.EMPTY_MASK: "empty mask",
    Criterion.POOR_QUALITY: "poor image quality",
    Criterion.THICK_SLICES: "slices thicker than 5 mm",
    Criterion.NOT_SPONTANEOUS: "hemorrhage not spontaneous",
    Criterion.UNDERAGE: "younger than 18 years",
    Criterion.LATE_BASELINE: "baseline later than 24 h after onset",
    Criterion.LATE_FOLLOW_UP: "follow-up later than 72 h",
    Criterion.SURGERY: "surgery before follow-up",
    Criterion.PRIMARY_IVH: "primary intraventricular hemorrhage",
    Criterion.FEW_SLICES: "baseline hematoma in fewer than 3 slices",
    Criterion.NO_BASELINE: "no usable baseline scan",
    Criterion.NO_FOLLOW_UP: "no usable follow-up scan",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Who was excluded, and what could not be decided.

    Attributes
    ----------
    excluded : mapping of str to Criterion
        By scan; every scan of an excluded patient is there.
    patients : mapping of str to Criterion
        Patients excluded as such.
    undecided : mapping of Criterion to int
        Patients for whom a criterion could not be decided, for want of facts.
    """

    excluded: Mapping[str, Criterion]
    patients: Mapping[str, Criterion]
    undecided: Mapping[Criterion, int]


def apply_criteria(
    scans: Sequence[ScanFacts],
    clinical: Mapping[str, ClinicalFacts],
    *,
    clinical_criteria: bool,
    need_follow_up: bool,
) -> Verdict:
    """Return who takes part.

    A scan that cannot be used falls alone; a patient falls with all scans, under the first
    criterion that applies. Where a fact is missing nobody falls for it.

    Parameters
    ----------
    scans : sequence of ScanFacts
        All of the cohort.
    clinical : mapping of str to ClinicalFacts
        By the cohort's patient identifier.
    clinical_criteria : bool
        Apply the study's criteria; without, only scans that cannot be used fall.
    need_follow_up : bool
        Demand a follow-up, as a study of expansion does; segmentation does not need one.
    """
    excluded = {scan.scan_id: Criterion(scan.problem) for scan in scans if scan.problem}
    if not clinical_criteria:
        return Verdict(excluded=excluded, patients={}, undecided={})
    for scan in scans:
        if scan.thickness_mm > THICKEST_MM + _ROUNDING_MM:
            excluded.setdefault(scan.scan_id, Criterion.THICK_SLICES)
    fallen: dict[str, Criterion] = {}
    undecided: dict[Criterion, int] = {}
    by_patient: dict[str, list[ScanFacts]] = {}
    for scan in scans:
        by_patient.setdefault(scan.patient_id, []).append(scan)
    for patient, own in by_patient.items():
        usable = [scan for scan in own if scan.scan_id not in excluded]
        if not usable:
            continue  # nothing is left to decide on
        answers = _answers(own, usable, clinical.get(patient), need_follow_up=need_follow_up)
        reason = next((criterion for criterion, fails in answers.items() if fails), None)
        if reason is not None:
            fallen[patient] = reason
            excluded |= {scan.scan_id: reason for scan in usable}
            continue
        for criterion, fails in answers.items():
            if fails is None:
                undecided[criterion] = undecided.get(criterion, 0) + 1
    return Verdict(excluded=excluded, patients=fallen, undecided=undecided)


def _answers(
    own: Sequence[ScanFacts],
    usable: Sequence[ScanFacts],
    facts: ClinicalFacts | None,
    *,
    need_follow_up: bool,
) -> dict[Criterion, bool | None]:
    """Return for each criterion of patients whether it fails them; None is not known."""
    told = facts or ClinicalFacts()
    baselines = [scan for scan in usable if scan.time_point is TimePoint.BASELINE]
    follow_ups = [scan for scan in usable if scan.time_point is TimePoint.FOLLOW_UP]
    had_baseline = any(scan.time_point is TimePoint.BASELINE for scan in own)
    ages = [scan.age_years for scan in usable if scan.age_years is not None]
    age = told.age_years if told.age_years is not None else min(ages, default=None)
    marked = [scan.hematoma_slices for scan in baselines if scan.hematoma_ml]
    return {
        Criterion.POOR_QUALITY: told.poor_quality,
        Criterion.NOT_SPONTANEOUS: None if told.spontaneous is None else not told.spontaneous,
        Criterion.UNDERAGE: _below(age, ADULT_YEARS),
        Criterion.LATE_BASELINE: _above(told.onset_to_baseline_h, BASELINE_HOURS),
        Criterion.LATE_FOLLOW_UP: _above(_follow_up_hours(told, follow_ups), FOLLOW_UP_HOURS)
        if follow_ups
        else False,
        Criterion.SURGERY: told.surgery_before_follow_up if follow_ups else False,
        Criterion.PRIMARY_IVH: told.primary_ivh,
        Criterion.NO_BASELINE: need_follow_up and had_baseline and not baselines,
        Criterion.FEW_SLICES: max(marked) < FEWEST_SLICES if marked else None,
        Criterion.NO_FOLLOW_UP: need_follow_up and not follow_ups,
    }


def _follow_up_hours(told: ClinicalFacts, follow_ups: Sequence[ScanFacts]) -> float | None:
    """Return hours from onset to follow-up; from baseline, where the onset is not known."""
    if told.onset_to_follow_up_h is not None:
        return told.onset_to_follow_up_h
    hours = [one.hours_after_baseline for one in follow_ups]
    known = [value for value in hours if value is not None]
    if not known:
        return None
    return min(known) + (told.onset_to_baseline_h or 0.0)


def _below(value: float | None, limit: float) -> bool | None:
    return None if value is None else value < limit


def _above(value: float | None, limit: float) -> bool | None:
    return None if value is None else value > limit
