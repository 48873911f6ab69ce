"""What is written down about a simulated patient: one flat record, the same in JSON and table."""

from typing import TypeAlias

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
    return {
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
