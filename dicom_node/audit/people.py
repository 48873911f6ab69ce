"""What people do to the node: log in, change it, look at studies, take objects away.

Each message is one of PS3.15, section A.5.3. None names more of a patient than the caller gives.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from dicom_node.audit.codes import (
    FILES,
    NODE_ID,
    STUDY_UID,
    URI,
    USER_ID,
    Event,
    EventType,
    RoleCode,
    SubjectRole,
    SubjectType,
)
from dicom_node.audit.events import Party, StudyPart, code_of, party_as, study_and_patient
from dicom_node.audit.message import (
    AccessPoint,
    Action,
    AuditMessage,
    Outcome,
    Participant,
    Subject,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody who uses the node.

    Attributes
    ----------
    user_id : str
        Name of the account, of the web page or of the machine.
    address : str
        Where from: an IP address or the name of the machine, as `point` says.
    point : AccessPoint
        What the address is.
    """

    user_id: str
    address: str
    point: AccessPoint = AccessPoint.IP


def authenticated(
    node: Party, person: Person, at: datetime, *, logs_in: bool, outcome: Outcome = Outcome.SUCCESS
) -> AuditMessage:
    """Return that somebody logged in or out, or tried in vain (A.5.3.12).

    A failed log-in is a minor failure; a session that the node ended, for idleness or because its
    account was closed, is a log-out, too.
    """
    return AuditMessage(
        event=code_of(Event.USER_AUTHENTICATION),
        action=Action.EXECUTE,
        at=at,
        types=(code_of(EventType.LOGIN if logs_in else EventType.LOGOUT),),
        outcome=outcome,
        participants=(_person(person), party_as(node, RoleCode.APPLICATION)),
    )


def reconfigured(
    node: Party, person: Person, what: str, at: datetime, *, change: str = "node.toml"
) -> AuditMessage:
    """Return that somebody changed the settings (A.5.3.11, software configuration).

    Parameters
    ----------
    node, person, at
        Where, who, when.
    what
        The keys that were changed, in words; no values, for one may be a secret's.
    change
        Name of the change in the history of the settings.
    """
    return _alert(
        node,
        person,
        at,
        kind=EventType.SOFTWARE_CONFIGURATION,
        subject=Subject(
            object_id=change,
            id_type=URI,
            type_code=SubjectType.SYSTEM,
            role=SubjectRole.SECURITY_RESOURCE,
            name="settings",
            details={"Alert Description": what},
        ),
    )


def account_changed(
    node: Party, person: Person, whose: str, what: str, at: datetime
) -> AuditMessage:
    """Return that an account was made, changed or closed (A.5.3.11, user attributes).

    `whose` is the account, `what` the change in words: "role operator", "password", "token NAME".
    """
    return _alert(
        node,
        person,
        at,
        kind=EventType.USER_ATTRIBUTES,
        subject=Subject(
            object_id=whose,
            id_type=USER_ID,
            type_code=SubjectType.PERSON,
            role=SubjectRole.SECURITY_USER,
            name=whose,
            details={"Alert Description": what},
        ),
    )


def intervened(
    node: Party,
    person: Person,
    what: str,
    studies: Sequence[str],
    at: datetime,
    *,
    outcome: Outcome = Outcome.SUCCESS,
) -> AuditMessage:
    """Return that an operator told the node to do something (A.5.3.11, restricted function).

    Such as: a study made urgent, analysed again, held back from purging; deliveries tried again
    or cancelled; a model put into use. `what` says it in words; `studies` are their UIDs.
    """
    details = {"Alert Description": what}
    subjects = [
        Subject(
            object_id=study,
            id_type=STUDY_UID,
            type_code=SubjectType.SYSTEM,
            role=SubjectRole.REPORT,
            name="study",
            details=details,
        )
        for study in studies
    ] or [
        Subject(
            object_id=node.ae_title,
            id_type=NODE_ID,
            type_code=SubjectType.SYSTEM,
            role=SubjectRole.SECURITY_RESOURCE,
            name="node",
            details=details,
        )
    ]
    return _alert(
        node,
        person,
        at,
        kind=EventType.RESTRICTED_FUNCTION,
        subject=subjects[0],
        more=subjects[1:],
        outcome=outcome,
    )


def accessed(
    node: Party, person: Person, part: StudyPart, at: datetime, *, action: Action = Action.READ
) -> AuditMessage:
    """Return that somebody looked at instances of a study, or changed them (A.5.3.6)."""
    return AuditMessage(
        event=code_of(Event.ACCESSED),
        action=action,
        at=at,
        participants=(_person(person), party_as(node, RoleCode.APPLICATION)),
        subjects=study_and_patient(part),
    )


def downloaded(node: Party, person: Person, part: StudyPart, at: datetime) -> AuditMessage:
    """Return that somebody took instances of a study away as files (A.5.3.4).

    They leave the node's guard; a transfer to another application entity is `transferred`.
    """
    media = Participant(
        user_id=person.address or "unknown",
        roles=(code_of(RoleCode.DESTINATION_MEDIA),),
        media=FILES,
        address=person.address,
        point=person.point,
    )
    return AuditMessage(
        event=code_of(Event.EXPORT),
        action=Action.READ,
        at=at,
        participants=(_person(person), party_as(node, RoleCode.SOURCE), media),
        subjects=study_and_patient(part),
    )


def _alert(
    node: Party,
    person: Person,
    at: datetime,
    *,
    kind: EventType,
    subject: Subject,
    more: Sequence[Subject] = (),
    outcome: Outcome = Outcome.SUCCESS,
) -> AuditMessage:
    return AuditMessage(
        event=code_of(Event.SECURITY_ALERT),
        action=Action.EXECUTE,
        at=at,
        types=(code_of(kind),),
        outcome=outcome,
        participants=(party_as(node, RoleCode.APPLICATION), _person(person)),
        subjects=(subject, *more),
    )


def _person(person: Person) -> Participant:
    return Participant(
        user_id=person.user_id or "unknown",
        roles=(),
        is_requestor=True,
        address=person.address,
        point=person.point,
    )
