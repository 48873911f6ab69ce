"""The IHE integration statement: each requirement, how it is met, and what shows it.

Every answer names the tests that prove it; a test of the statement looks whether these exist.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from pipeline import __version__


class Met(StrEnum):
    """How far a requirement is met."""

    YES = "yes"
    OPTION = "yes, where the site turns it on"
    PARTLY = "partly"
    NO = "no"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the node does about one requirement.

    Attributes
    ----------
    key : str
        Short name of the requirement in this statement.
    requirement : str
        What the profile asks for, in a few words.
    met : Met
        How far it is met.
    how : str
        By what; in Markdown, for a cell of a table.
    shown_by : tuple of str
        Tests, as ``file::name`` below ``tests``; empty only where nothing is claimed.
    """

    key: str
    requirement: str
    met: Met
    how: str
    shown_by: tuple[str, ...] = ()


_OBJECTS: Final = "integration/test_results_objects.py"
_VALIDATORS: Final = "acceptance/test_results_validators.py"
_ORTHANC: Final = "acceptance/test_orthanc.py"
_PAPERS: Final = "docs/test_conformance_statement.py"
_COMPARED: Final = "integration/test_comparison_objects.py"
_DOCUMENTS: Final = "integration/test_comparison_documents.py"
_HEADER: Final = "unit/results/test_result_header.py"
_IDENTITY: Final = "unit/results/test_result_identity.py"

#: AI Results (AIR), actor Evidence Creator.
EVIDENCE_CREATOR: Final[tuple[Answer, ...]] = (
    Answer(
        key="AIR-1",
        requirement="Results are stored in the study that was analysed",
        met=Met.YES,
        how="Study, patient and frame of reference are those of the source series.",
        shown_by=(f"{_ORTHANC}::test_orthanc_takes_all_results_into_the_study_of_the_ct",),
    ),
    Answer(
        key="AIR-2",
        requirement="Result objects are of the listed IODs",
        met=Met.YES,
        how="Comprehensive 3D SR, Segmentation; Parametric Map where the site wants it. Captures "
        "(Secondary Capture) come in addition; Key Object Selection and Encapsulated PDF where "
        "the site wants them.",
        shown_by=(f"{_PAPERS}::test_the_tables_of_objects_are_those_of_objects_made_now",),
    ),
    Answer(
        key="AIR-3",
        requirement="Result primitives are declared",
        met=Met.YES,
        how="Qualitative findings, measurements, locations (polylines), regions (segments), "
        "parametric map, tracking identifiers, image references: annex A.B of the "
        "[conformance statement](conformance.md).",
        shown_by=(f"{_OBJECTS}::test_the_report_refers_to_every_object_and_image",),
    ),
    Answer(
        key="AIR-4",
        requirement="Qualitative findings stand in a Comprehensive 3D SR with root TID 1500",
        met=Met.YES,
        how="Presence of hematoma, blood elsewhere, edema, expansion risk, and one answer for "
        "each quality flag: present, absent or undetermined.",
        shown_by=(
            f"{_OBJECTS}::test_flags_are_answered_and_told",
            f"{_VALIDATORS}::test_pixelmed_finds_no_error_in_the_report",
        ),
    ),
    Answer(
        key="AIR-5",
        requirement="Every algorithm stands in the Contributing Equipment Sequence, with a Device "
        "UID that changes with the model",
        met=Met.YES,
        how="Scanner, node and each model have an item; purpose (109102, DCM, Processing "
        "Equipment). The Device UID follows from name, version and digest of the weights.",
        shown_by=(
            f"{_HEADER}::test_every_object_names_scanner_node_and_models",
            f"{_IDENTITY}::test_new_weights_are_a_new_device",
        ),
    ),
    Answer(
        key="AIR-6",
        requirement="Measurements have units, finding, site and algorithm",
        met=Met.YES,
        how="UCUM units; finding and finding site in each group; algorithm by TID 4019.",
        shown_by=(f"{_OBJECTS}::test_the_report_says_volume_and_probability_first",),
    ),
    Answer(
        key="AIR-7",
        requirement="Regions are segments that TID 1411 refers to",
        met=Met.YES,
        how="Referenced Segment and Source Series for Segmentation.",
        shown_by=(f"{_OBJECTS}::test_the_segmentation_holds_the_mask_voxel_by_voxel",),
    ),
    Answer(
        key="AIR-8",
        requirement="One tracking identifier for a lesion in segment and report, and again when "
        "it is analysed anew",
        met=Met.YES,
        how="The Tracking UID follows from the source series and the lesion, not from the model. "
        "A comparison has one for both scans.",
        shown_by=(
            f"{_OBJECTS}::test_segment_and_report_track_the_same_lesion",
            f"{_IDENTITY}::test_a_lesion_is_tracked_across_models",
        ),
    ),
    Answer(
        key="AIR-9",
        requirement="Locations and key images are referred to",
        met=Met.PARTLY,
        how="Outlines as SCOORD on their source images; the slices of the triplet by their "
        "captures; with `results.key_objects` a Key Object Selection of both, of a comparison, "
        "too. No SCOORD3D.",
        shown_by=(
            f"{_OBJECTS}::test_every_group_can_be_drawn",
            f"{_DOCUMENTS}::test_the_selection_names_the_capture_and_the_slice_of_the_follow_up",
        ),
    ),
    Answer(
        key="AIR-10",
        requirement="One root document refers to all others",
        met=Met.PARTLY,
        how="The report refers to segmentations, captures and map. It holds the measurements "
        "itself; there is no separate root document.",
        shown_by=(f"{_OBJECTS}::test_the_report_refers_to_every_object_and_image",),
    ),
    Answer(
        key="AIR-11",
        requirement="The observer is the device; the document is preliminary and unverified",
        met=Met.YES,
        how="Device observer with UID, name, manufacturer, model, serial number; PRELIMINARY, "
        "UNVERIFIED.",
        shown_by=(f"{_OBJECTS}::test_every_report_is_marked",),
    ),
    Answer(
        key="AIR-12",
        requirement="Evidence sequences are filled",
        met=Met.YES,
        how="Current Requested Procedure Evidence: all source images and result objects; "
        "Pertinent Other Evidence: the baseline's study in a comparison.",
        shown_by=(
            f"{_OBJECTS}::test_images_left_out_of_the_volume_are_no_evidence",
            f"{_COMPARED}::test_evidence_of_the_other_study_is_listed_as_such",
        ),
    ),
    Answer(
        key="AIR-13",
        requirement="Transactions: Creator Images Stored (RAD-18), Store Instances over the Web "
        "(RAD-108), Storage Commitment (RAD-10)",
        met=Met.YES,
        how="C-STORE; STOW-RS and storage commitment where the site turns them on.",
        shown_by=(
            f"{_ORTHANC}::test_orthanc_commits_itself_to_the_results_and_the_node_to_the_images",
            "acceptance/test_orthanc_dicomweb.py::test_a_node_delivers_to_a_dicomweb_server",
        ),
    ),
    Answer(
        key="AIR-14",
        requirement="The PixelMed validator finds no error in the report",
        met=Met.YES,
        how="Also dciodvfy and dcentvfy on every object. No Connectathon was attended.",
        shown_by=(
            f"{_VALIDATORS}::test_pixelmed_finds_no_error_in_the_report",
            f"{_VALIDATORS}::test_dciodvfy_finds_no_error",
        ),
    ),
    Answer(
        key="AIR-15",
        requirement="Grouped with Consistent Time and ATNA Secure Node",
        met=Met.PARTLY,
        how="Time is that of the machine: let it run NTP. TLS with mutual authentication and an "
        "audit trail by PS3.15 can be turned on; conformance to the ATNA profile is not claimed.",
        shown_by=(
            "unit/audit/test_audit_message.py::test_a_message_has_the_structure_of_the_schema",
        ),
    ),
)

_WHOLE: Final = "acceptance/test_worklist.py"
_PERFORMER: Final = "unit/worklist/test_worklist_performer.py"

#: AI Workflow for Imaging (AIW-I), actor Task Performer.
TASK_PERFORMER: Final[tuple[Answer, ...]] = (
    Answer(
        key="AIW-1",
        requirement="Query UPS Workitems (RAD-81)",
        met=Met.OPTION,
        how="UPS-RS search for SCHEDULED workitems with the site's codes; labels are compared by "
        "the node.",
        shown_by=(f"{_PERFORMER}::test_the_search_asks_for_what_is_scheduled_and_has_the_code",),
    ),
    Answer(
        key="AIW-2",
        requirement="Claim a workitem (RAD-82)",
        met=Met.OPTION,
        how="IN PROGRESS with a Transaction UID that is on disk before it is used; a claim whose "
        "answer was lost is recognised.",
        shown_by=(
            f"{_PERFORMER}::test_a_claim_whose_answer_was_lost_is_known_by_its_key",
            f"{_WHOLE}::test_a_kill_between_claim_and_completion_loses_nothing",
        ),
    ),
    Answer(
        key="AIW-3",
        requirement="Get workitem contents (RAD-83)",
        met=Met.OPTION,
        how="Before the claim, and at each look while it is in hand.",
        shown_by=(f"{_PERFORMER}::test_a_workitem_is_claimed_performed_and_completed",),
    ),
    Answer(
        key="AIW-4",
        requirement="Update a workitem (RAD-84)",
        met=Met.OPTION,
        how="Progress in percent and words, performed station, start, workitem code.",
        shown_by=(f"{_PERFORMER}::test_a_completed_workitem_says_who_did_what_and_when",),
    ),
    Answer(
        key="AIW-5",
        requirement="Complete a workitem (RAD-85): COMPLETED with every created object, or "
        "CANCELED with a reason",
        met=Met.OPTION,
        how="Output Information after delivery, with AE title or address of each destination; "
        "else a code of CID 9300 and the reason in words.",
        shown_by=(
            f"{_PERFORMER}::test_a_completed_workitem_names_every_result_and_where_it_is",
            f"{_PERFORMER}::test_a_rejected_series_cancels_the_workitem_with_its_reason",
        ),
    ),
    Answer(
        key="AIW-6",
        requirement="Subscriptions (RAD-86), event channel (RAD-109), notifications (RAD-87)",
        met=Met.NO,
        how="The node asks every `worklists.poll_s` instead: pull workflow, not triggered pull.",
    ),
    Answer(
        key="AIW-7",
        requirement="A request for cancellation (RAD-88) is honoured",
        met=Met.PARTLY,
        how="Until the analysis has begun, and as soon as the next look shows it; later the "
        "results are delivered and named, as PS3.4, CC.2.2 allows.",
        shown_by=(
            f"{_PERFORMER}::test_a_requested_cancellation_is_honoured_while_there_is_time",
            f"{_PERFORMER}::test_a_cancellation_comes_too_late_for_an_analysis_that_has_begun",
        ),
    ),
    Answer(
        key="AIW-8",
        requirement="Create workitems (RAD-80) where the performer asks for sub-tasks",
        met=Met.NO,
        how="The node asks nobody for sub-tasks.",
    ),
    Answer(
        key="AIW-9",
        requirement="Inputs by C-MOVE (RAD-16) or WADO-RS; Instance Availability Notification "
        "(RAD-49) and Procedure Update (RAD-13) as options",
        met=Met.PARTLY,
        how="Routed images, WADO-RS, C-MOVE or C-GET. No notification and no HL7.",
        shown_by=(
            f"{_PERFORMER}::test_missing_images_are_fetched_once",
            f"{_WHOLE}::test_a_task_is_performed_from_the_list_to_the_results",
        ),
    ),
)

_TEXT: Final = """\
# IHE integration statement

| | |
| --- | --- |
| Product | ichnode {version} |
| Made by | the ichnode project (open source) |
| Profiles of IHE Radiology | {profiles} |
| Document | written by `ichnode conformance --ihe` from a table of the code; not edited |

RESEARCH USE ONLY: ichnode is not a medical device. The actors claim what the tables say, no more.
It is a self-declaration: no Connectathon was attended. The requirements are those of the trial
implementation texts as far as they could be read for this version; see the
[conformance statement](conformance.md) for DICOM itself.
"""

_SECTION: Final = """
## {title}

{lead}

| | Requirement | Met | How |
| --- | --- | --- | --- |
{rows}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """An actor of a profile, and what the node does for each of its requirements."""

    profile: str
    name: str
    lead: str
    answers: tuple[Answer, ...]


#: The actors of this statement.
ACTORS: Final[tuple[Actor, ...]] = (
    Actor(
        profile="AI Results (AIR)",
        name="Evidence Creator",
        lead="The node makes result objects of images that it was sent.",
        answers=EVIDENCE_CREATOR,
    ),
    Actor(
        profile="AI Workflow for Imaging (AIW-I)",
        name="Task Performer",
        lead="Where `[[worklists]]` names a worklist, the node performs its workitems.",
        answers=TASK_PERFORMER,
    ),
)


def integration_statement() -> str:
    """Return the statement in Markdown."""
    profiles = ", ".join(f"{one.profile}: {one.name}" for one in ACTORS)
    parts = [_TEXT.format(version=__version__, profiles=profiles)]
    parts += [
        _SECTION.format(
            title=f"{one.profile}, {one.name}",
            lead=one.lead,
            rows="\n".join(
                f"| {answer.key} | {answer.requirement} | {answer.met} | {answer.how} |"
                for answer in one.answers
            ),
        )
        for one in ACTORS
    ]
    return "".join(parts)
