"""Claims about who takes part in a cohort: the npj study's criteria, decided and counted."""

import pytest

from training.cohort.intake.clinical import ClinicalFacts, read_clinical
from training.cohort.intake.criteria import Criterion, apply_criteria
from training.cohort.intake.found_scan import FoundScan, MaskKind, TimePoint
from training.cohort.intake.identifiers import Namer
from training.cohort.intake.scan_facts import ScanFacts

BASELINE, FOLLOW_UP = TimePoint.BASELINE, TimePoint.FOLLOW_UP


def scan(patient="a", point=BASELINE, **changes) -> ScanFacts:
    """Return a scan that no criterion excludes."""
    facts = {
        "thickness_mm": 5.0,
        "mask": MaskKind.NIFTI,
        "hematoma_ml": 12.0,
        "hematoma_slices": 6,
        "age_years": 61.0,
        "hours_after_baseline": 0.0 if point is BASELINE else 24.0,
    }
    return ScanFacts(
        scan_id=f"{patient}-{point}", patient_id=patient, time_point=point, **(facts | changes)
    )


#: Everything that is asked of a patient, answered so that nothing excludes.
FIT = {
    "age_years": 61.0,
    "spontaneous": True,
    "onset_to_baseline_h": 24.0,
    "onset_to_follow_up_h": 72.0,
    "surgery_before_follow_up": False,
    "primary_ivh": False,
    "poor_quality": False,
}


def judged(scans, told=None, *, need_follow_up=False):
    clinical = {} if told is None else {"a": ClinicalFacts(**told)}
    return apply_criteria(scans, clinical, clinical_criteria=True, need_follow_up=need_follow_up)


def test_a_patient_exactly_at_every_limit_takes_part():
    """18 years, 24 h, 72 h, 5 mm and 3 slices are all still within the study's criteria."""
    pair = [scan(hematoma_slices=3), scan(point=FOLLOW_UP)]

    verdict = judged(pair, FIT | {"age_years": 18.0}, need_follow_up=True)

    assert (verdict.excluded, verdict.patients, verdict.undecided) == ({}, {}, {})


@pytest.mark.parametrize(
    ("told", "criterion"),
    [
        ({"spontaneous": False}, Criterion.NOT_SPONTANEOUS),
        ({"age_years": 17.9}, Criterion.UNDERAGE),
        ({"onset_to_baseline_h": 24.5}, Criterion.LATE_BASELINE),
        ({"onset_to_follow_up_h": 73.0}, Criterion.LATE_FOLLOW_UP),
        ({"surgery_before_follow_up": True}, Criterion.SURGERY),
        ({"primary_ivh": True}, Criterion.PRIMARY_IVH),
        ({"poor_quality": True}, Criterion.POOR_QUALITY),
    ],
)
def test_what_the_table_says_excludes_the_patient_with_both_scans(told, criterion):
    """Each criterion of the study that images cannot decide, one at a time."""
    pair = [scan(), scan(point=FOLLOW_UP)]

    verdict = judged(pair, FIT | told)

    assert verdict.patients == {"a": criterion}
    assert verdict.excluded == {one.scan_id: criterion for one in pair}


@pytest.mark.parametrize(
    ("scans", "criterion"),
    [
        ([scan(hematoma_slices=2), scan(point=FOLLOW_UP)], Criterion.FEW_SLICES),
        ([scan(age_years=17.0), scan(point=FOLLOW_UP)], Criterion.UNDERAGE),
        ([scan(), scan(point=FOLLOW_UP, hours_after_baseline=80.0)], Criterion.LATE_FOLLOW_UP),
        ([scan()], Criterion.NO_FOLLOW_UP),
        ([scan(thickness_mm=6.0), scan(point=FOLLOW_UP)], Criterion.NO_BASELINE),
    ],
)
def test_what_scans_say_excludes_the_patient(scans, criterion):
    """Slices of blood, age in the header, hours between scans, a missing scan."""
    verdict = judged(scans, need_follow_up=True)

    assert verdict.patients == {"a": criterion}


def test_a_thick_scan_falls_alone_where_no_follow_up_is_needed():
    """Segmentation learns from the patient's other scan."""
    verdict = judged([scan(thickness_mm=6.0), scan(point=FOLLOW_UP)])

    assert verdict.excluded == {"a-baseline": Criterion.THICK_SLICES}
    assert verdict.patients == {}


def test_nobody_falls_for_what_is_not_known_and_each_gap_is_counted():
    """Without a table and ages the study's other criteria are undecided for both patients."""
    verdict = judged([scan("a", age_years=None), scan("b", age_years=None)])

    assert verdict.excluded == {}
    assert verdict.undecided == dict.fromkeys(
        (
            Criterion.POOR_QUALITY,
            Criterion.NOT_SPONTANEOUS,
            Criterion.UNDERAGE,
            Criterion.LATE_BASELINE,
            Criterion.PRIMARY_IVH,
        ),
        2,
    )


def test_hours_to_the_follow_up_count_from_onset_where_it_is_known():
    """60 h between scans are 72 h from an onset 12 h before, and 73 h from one 13 h before."""
    pair = [scan(), scan(point=FOLLOW_UP, hours_after_baseline=60.0)]

    early, late = (
        judged(pair, {"onset_to_baseline_h": hours}).patients.get("a") for hours in (12.0, 13.0)
    )

    assert (early, late) == (None, Criterion.LATE_FOLLOW_UP)


def test_the_table_is_read_and_its_faults_are_shown_without_their_values(tmp_path):
    """Empty cells are not known; a fault names line and column, not the patient."""
    table = tmp_path / "patients.csv"
    table.write_text("patient_id,age_years,spontaneous,note\nsecret,61.5,yes,x\nother,,no,\n")

    told = read_clinical(table).patients

    assert told["secret"] == ClinicalFacts(age_years=61.5, spontaneous=True)
    assert told["other"] == ClinicalFacts(spontaneous=False)
    table.write_text("patient_id,age_years\nsecret,61.5\nother,old\n")
    with pytest.raises(ValueError, match=r"line 3, age_years: a number is expected") as fault:
        read_clinical(table)
    assert "old" not in str(fault.value).removeprefix(str(table))


@pytest.mark.parametrize(
    ("patient", "name", "expected"),
    [
        ("b", "baseline", "b-baseline"),  # begins with the patient's letter by chance
        ("b", "b", "b"),
        ("ich_1", "ich_1-baseline", "ich_1-baseline"),
        ("ich_1", "ich_12", "ich_1-ich_12"),
    ],
)
def test_a_kept_scan_name_says_whose_it_is_exactly_once(patient, name, expected):
    """The patient's name is put before a scan's unless it stands there as a word."""
    found = FoundScan(
        key=name, name=name, patient=patient, where=name, state="", read=NotImplemented
    )

    assert Namer(salt="s", keep=True).scan(found) == expected
