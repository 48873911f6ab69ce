"""What is written down about a simulated patient: one flat record, the same in JSON and table."""

from typing import TypeAlias

from training.phantom.clinical import POOR_FROM_MM
from training.phantom.course import Course
from training.phantom.labels import Label
from training.phantom.patient import SimulatedPatient

Record: TypeAlias = dict[str, str | int | float | bool | None]

#: Said in every record, so that nobody takes the data for a patient's.
NOTICE = "SIMULATED data, no patient; research use only"


def patient_record(patient: SimulatedPatient) -> Record:
    """Return everything known about a patient, in the order of the cohort table's columns."""
    plan, growth, signs = patient.lesion, patient.growth, None
    if plan is not None:
        signs = plan.signs
    protocol = patient.baseline.protocol
    follow_up = patient.follow_up
    record: Record = {
        "patient_id": patient.patient_id,
        "notice": NOTICE,
        "seed": patient.seed,
        "index": patient.index,
        "anatomy": patient.anatomy_name,
        "age_years": patient.traits.age_years,
        "sex": "M" if patient.traits.is_male else "F",
        "has_hematoma": plan is not None,
        "has_expansion": patient.has_expansion,
        "baseline_ml": round(patient.baseline_ml, 4),
        "follow_up_ml": round(patient.follow_up_ml, 4),
        "follow_up_scanned": follow_up is not None,
        "expansion_probability": round(growth.probability, 5) if growth is not None else 0.0,
        "site": plan.site.value if plan is not None else None,
        "side": None if plan is None else ("left" if plan.side > 0 else "right"),
        "planned_ml": round(plan.volume_ml, 4) if plan is not None else 0.0,
        "blood_hu": round(plan.blood_hu, 2) if plan is not None else None,
        "black_hole": signs is not None and signs.black_hole,
        "blend": signs is not None and signs.blend,
        "swirl": signs is not None and signs.swirl,
        "satellite": signs is not None and signs.satellite,
        "fluid_level": signs is not None and signs.fluid_level,
        "irregularity": round(signs.irregularity, 4) if signs is not None else None,
        "baseline_hours": round(patient.baseline.hours_from_onset, 2),
        "follow_up_hours": round(follow_up.hours_from_onset, 2) if follow_up is not None else None,
        "intraventricular_ml": round(patient.baseline.label_ml(Label.INTRAVENTRICULAR), 4),
        "extra_axial_ml": round(patient.baseline.label_ml(Label.EXTRA_AXIAL), 4),
        "edema_ml": round(patient.baseline.label_ml(Label.EDEMA), 4),
        "extra_axial": patient.distractors.extra_axial.value,
        "old_infarcts": patient.distractors.old_infarcts,
        "slice_thickness_mm": protocol.slice_thickness_mm,
        "pixel_mm": round(protocol.pixel_mm, 5),
        "tilt_deg": round(protocol.tilt_deg, 3),
        "noise_hu": round(protocol.noise_hu, 3),
    }
    return record if patient.course is None else record | _course_record(patient, patient.course)


def _course_record(patient: SimulatedPatient, course: Course) -> Record:
    """Return what is known of centre and chart."""
    centre, clinical = course.centre, course.clinical
    motion_mm = patient.baseline.protocol.motion_mm
    onset_h = patient.baseline.hours_from_onset + clinical.unwitnessed_h
    between_h = None
    if patient.follow_up is not None:
        between_h = patient.follow_up.hours_from_onset - patient.baseline.hours_from_onset
    return {
        "centre": centre.name,
        "scanner": f"{centre.manufacturer} {centre.model}",
        "kernel": centre.kernel,
        "kernel_px": round(patient.baseline.protocol.kernel_px, 3),
        "visible_expansion_probability": round(course.visible_probability, 5),
        "hypertension": clinical.hypertension,
        "diabetes": clinical.diabetes,
        "antithrombotic": clinical.antithrombotic,
        "systolic_mmhg": clinical.systolic_mmhg,
        "gcs": clinical.gcs,
        "onset_to_baseline_h": round(onset_h, 2),
        "onset_to_follow_up_h": None if between_h is None else round(onset_h + between_h, 2),
        "spontaneous": clinical.spontaneous,
        "surgery_before_follow_up": clinical.surgery_before_follow_up,
        "primary_ivh": clinical.primary_ivh,
        "poor_quality": motion_mm >= POOR_FROM_MM,
    }


#: Columns of the clinical table, in the words of the record; the last is called otherwise there.
_CHART = (
    *("patient_id", "centre", "age_years", "sex", "hypertension", "diabetes", "antithrombotic"),
    *("systolic_mmhg", "gcs", "onset_to_baseline_h", "onset_to_follow_up_h", "spontaneous"),
    *("surgery_before_follow_up", "primary_ivh", "poor_quality"),
)


def clinical_row(record: Record) -> Record:
    """Return the row of a patient of a centre in the table that `ichtrain cohort import` reads.

    ``ideal_he_probability`` is what the best reader of the first image alone would say.
    """
    row = {name: _said(record[name]) for name in _CHART}
    return row | {"ideal_he_probability": record["visible_expansion_probability"]}


def _said(value: str | float | bool | None) -> str | int | float | bool | None:  # noqa: FBT001  a cell
    return ("no", "yes")[value] if isinstance(value, bool) else value
