"""What is stored by value keeps its value: ledgers, records and objects outlive a version."""

import pytest

from dicom_node.intake.assembly import ArrivalFlag
from dicom_node.jobs.purge_ledger import Cause
from dicom_node.jobs.reprocess_state import RunState, StudyState
from dicom_node.jobs.retention import HoldingKind
from dicom_node.jobs.state import (
    DeliveryState,
    JobKind,
    JobState,
    SearchState,
    SeriesState,
    WorkitemState,
)
from dicom_node.jobs.tally import Tally
from dicom_node.jobs.task import ObjectKind
from dicom_node.jobs.timeline import EventKind
from dicom_node.operator_error import ExitCode
from dicom_node.processes import Role
from dicom_node.results.comparison_record import ComparisonStatus, Definition
from pipeline.analysis import Step
from pipeline.expansion import Criterion
from pipeline.finding import Compartment
from pipeline.follow_up.flags import FollowUpFlag
from pipeline.prediction import HeLabel
from pipeline.quality_flags import QualityFlag
from pipeline.rejection import RejectionCode
from pipeline.triplet import TripletPosition

PINNED = {
    RejectionCode: "no_images not_ct mixed_series not_original not_axial mixed_orientation "
    "too_few_slices coverage gap pixels geometry_missing hu_missing not_a_head",
    QualityFlag: "thick_slices mixed_thickness uneven_spacing slices_missing duplicate_positions "
    "non_ct_dropped tilt_corrected oblique lossy_source hu_implausible not_a_head "
    "contrast_suspected few_hematoma_slices hematoma_at_edge extra_axial_hemorrhage "
    "primary_intraventricular intraventricular_extension volume_uncertain unfamiliar",
    SeriesState: "receiving complete chosen set_aside",
    JobState: "queued analyzing delivering delivered rejected withdrawn failed",
    RunState: "running resting paused stopped finished",
    StudyState: "listed fetching queued analysed not_eligible skipped failed",
    DeliveryState: "pending sending accepted dead committed cancelled",
    JobKind: "analysis comparison shadow",
    SearchState: "pending done dead",
    WorkitemState: "claiming performing completing canceling completed canceled lost",
    Tally: "instances associations lost_leases delivery_attempts attempts step_seconds steps "
    "door_to_result door_to_result_seconds alerts audit workitems purged purged_bytes",
    HoldingKind: "images results summary",
    Cause: "age emergency operator",
    ObjectKind: "captures segmentation report uncertainty-map forecast pdf key-objects",
    ArrivalFlag: "forced association_open slices_missing fetch_open",
    TripletPosition: "max-1 max max+1",
    Step: "assess segment measure classify explain",
    Role: "receiver worker office",
    Compartment: "extra_axial_hemorrhage perihematomal_edema intraventricular_hemorrhage",
    ComparisonStatus: "compared no_verdict refused",
    Definition: "standard revised",
    Criterion: "absolute_growth relative_growth new_intraventricular intraventricular_growth",
    FollowUpFlag: "registration_poor surgery_suspected sharp_fall baseline_no_hematoma "
    "hematoma_cut_off interval_short interval_long time_zone_missing other_scanner tilt_differs "
    "thickness_differs contrast_differs",
}


@pytest.mark.parametrize("enum", PINNED, ids=lambda enum: enum.__name__)
def test_the_values_are_those_that_were_stored(enum):
    """A renamed value would make old rows unreadable; a new one is added at the end."""
    pinned = PINNED[enum].split()

    assert [member.value for member in enum][: len(pinned)] == pinned


def test_the_order_of_the_classes_is_that_of_the_weights():
    """HE is column 0 in every bundle."""
    assert {label.name: label.value for label in HeLabel} == {"HE": 0, "NHE": 1}


def test_exit_codes_are_a_contract_with_scripts():
    """As the manual says."""
    assert {code.name: code.value for code in ExitCode} == {
        "OK": 0,
        "FAILED": 1,
        "USAGE": 2,
        "REJECTED": 3,
        "ALARM": 4,
    }


def test_events_are_single_words():
    """They are columns of the timeline and words of the status page."""
    assert all(kind.value.replace("_", "").isalpha() for kind in EventKind)
