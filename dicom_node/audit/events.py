"""The events that the node audits, each as PS3.15, section A.5.3, has it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from dicom_node.audit.codes import (
    FILES,
    NODE_ID,
    PATIENT_NUMBER,
    SOP_CLASS_UID,
    STUDY_UID,
    URI,
    Event,
    EventType,
    RoleCode,
    SubjectRole,
    SubjectType,
)
from dicom_node.audit.message import (
    AccessPoint,
    Action,
    AuditMessage,
    Code,
    Outcome,
    Participant,
    Subject,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """An application entity: AE title, and its address as far as it is known."""

    ae_title: str
    address: str = ""
    point: AccessPoint = AccessPoint.IP


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyPart:
    """Instances of one study; `patient` is a number or pseudonym, empty for none."""

    study_uid: str
    instances: Mapping[str, int]
    patient: str = ""


def application(node: Party, process: str, at: datetime, *, starts: bool) -> AuditMessage:
    """Return that a process of the node starts or stops (A.5.3.1)."""
    return AuditMessage(
        event=code_of(Event.APPLICATION_ACTIVITY),
        action=Action.EXECUTE,
        at=at,
        types=(code_of(EventType.START if starts else EventType.STOP),),
        participants=(party_as(node, RoleCode.APPLICATION, user_id=process),),
    )


def transferred(
    source: Party, destination: Party, part: StudyPart, at: datetime, *, source_began: bool
) -> AuditMessage:
    """Return that instances went from one to another (A.5.3.7)."""
    return AuditMessage(
        event=code_of(Event.TRANSFERRED),
        action=Action.CREATE,
        at=at,
        participants=(
            party_as(source, RoleCode.SOURCE, is_requestor=source_began),
            party_as(destination, RoleCode.DESTINATION, is_requestor=not source_began),
        ),
        subjects=study_and_patient(part),
    )


def deleted(
    node: Party, part: StudyPart, at: datetime, *, user: str, is_whole_study: bool
) -> AuditMessage:
    """Return that instances were purged.

    With the last instance of a study that is "study deleted" (A.5.3.8), before it "instances
    accessed" with the action delete (A.5.3.6), as the standard tells them apart.

    Parameters
    ----------
    node, part, at
        Where, what, when.
    user
        Who wanted it; empty if the node's retention did.
    is_whole_study
        Whether no instance of the study is left.
    """
    application_party = party_as(node, RoleCode.APPLICATION, is_requestor=not user)
    person = (Participant(user_id=user, roles=(), is_requestor=True),) if user else ()
    return AuditMessage(
        event=code_of(Event.STUDY_DELETED if is_whole_study else Event.ACCESSED),
        action=Action.DELETE,
        at=at,
        participants=(*person, application_party),
        subjects=study_and_patient(part),
    )


def queried(
    node: Party, peer: Party, sop_class_uid: str, at: datetime, *, outcome: Outcome
) -> AuditMessage:
    """Return that the node asked a peer (A.5.3.10).

    The query itself is left empty: it names the patient.
    """
    return AuditMessage(
        event=code_of(Event.QUERY),
        action=Action.EXECUTE,
        at=at,
        outcome=outcome,
        participants=(
            party_as(node, RoleCode.SOURCE, is_requestor=True),
            party_as(peer, RoleCode.DESTINATION),
        ),
        subjects=(
            Subject(
                object_id=sop_class_uid,
                id_type=SOP_CLASS_UID,
                type_code=SubjectType.SYSTEM,
                role=SubjectRole.REPORT,
                query=b"",
            ),
        ),
    )


def refused(node: Party, caller: Party, reason: str, number: int, at: datetime) -> AuditMessage:
    """Return that a caller was turned away (A.5.3.11, node authentication)."""
    return AuditMessage(
        event=code_of(Event.SECURITY_ALERT),
        action=Action.EXECUTE,
        at=at,
        types=(code_of(EventType.NODE_AUTHENTICATION),),
        outcome=Outcome.MINOR_FAILURE,
        participants=(
            party_as(node, RoleCode.APPLICATION),
            party_as(caller, RoleCode.SOURCE, is_requestor=True),
        ),
        subjects=(
            Subject(
                object_id=caller.ae_title or caller.address or "unknown",
                id_type=NODE_ID,
                type_code=SubjectType.SYSTEM,
                role=SubjectRole.SECURITY_RESOURCE,
                name="caller",
                details={"Alert Description": reason, "Associations": str(number)},
            ),
        ),
    )


def configured(node: Party, tables: Sequence[str], at: datetime) -> AuditMessage:
    """Return that the node was started with other settings than before (A.5.3.11)."""
    return AuditMessage(
        event=code_of(Event.SECURITY_ALERT),
        action=Action.EXECUTE,
        at=at,
        types=(code_of(EventType.SOFTWARE_CONFIGURATION),),
        participants=(party_as(node, RoleCode.APPLICATION),),
        subjects=(
            Subject(
                object_id="node.toml",
                id_type=URI,
                type_code=SubjectType.SYSTEM,
                role=SubjectRole.SECURITY_RESOURCE,
                name="settings",
                details={"Alert Description": f"changed: {', '.join(tables)}"},
            ),
        ),
    )


def exported(node: Party, user: str, place: str, patients: int, at: datetime) -> AuditMessage:
    """Return that de-identified patients were exported to a folder (A.5.3.4).

    Studies and patients are told by their number only: a list of them would undo the export's
    pseudonyms for whoever reads it.
    """
    media = Participant(user_id=place, roles=(code_of(RoleCode.DESTINATION_MEDIA),), media=FILES)
    return AuditMessage(
        event=code_of(Event.EXPORT),
        action=Action.READ,
        at=at,
        participants=(
            Participant(user_id=user, roles=(code_of(RoleCode.SOURCE),), is_requestor=True),
            party_as(node, RoleCode.APPLICATION),
            media,
        ),
        subjects=(
            Subject(
                object_id=place,
                id_type=URI,
                type_code=SubjectType.SYSTEM,
                role=SubjectRole.REPORT,
                name="export",
                details={"Patients": str(patients)},
                anonymized=True,
            ),
        ),
    )


def study_and_patient(part: StudyPart) -> tuple[Subject, ...]:
    """Return a study, and its patient if the site wants that in its trail, as participants."""
    study = Subject(
        object_id=part.study_uid,
        id_type=STUDY_UID,
        type_code=SubjectType.SYSTEM,
        role=SubjectRole.REPORT,
        name="study",
        instances=part.instances,
    )
    if not part.patient:
        return (study,)
    number = part.patient
    return (
        study,
        Subject(
            object_id=number,
            id_type=PATIENT_NUMBER,
            type_code=SubjectType.PERSON,
            role=SubjectRole.PATIENT,
        ),
    )


def party_as(
    party: Party, role: RoleCode, *, user_id: str = "", is_requestor: bool = False
) -> Participant:
    """Return an application entity as a participant of an event."""
    return Participant(
        user_id=user_id or party.ae_title or "unknown",
        alternative_id=f"AETITLES={party.ae_title}" if party.ae_title else "",
        roles=(code_of(role),),
        is_requestor=is_requestor,
        address=party.address,
        point=party.point,
    )


def code_of(code: Event | EventType | RoleCode) -> Code:
    """Return a code of DICOM as a value."""
    value, meaning = code.value
    return Code(value=value, scheme="DCM", meaning=meaning)
