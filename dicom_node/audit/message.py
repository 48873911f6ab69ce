"""An audit message as a value, and as XML by the schema of DICOM PS3.15, section A.5.1."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum
from xml.etree import ElementTree as ET


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """A coded value."""

    value: str
    scheme: str
    meaning: str


class Action(StrEnum):
    """What was done."""

    CREATE = "C"
    READ = "R"
    UPDATE = "U"
    DELETE = "D"
    EXECUTE = "E"


class Outcome(IntEnum):
    """How it ended."""

    SUCCESS = 0
    MINOR_FAILURE = 4
    SERIOUS_FAILURE = 8


class AccessPoint(IntEnum):
    """What an address is."""

    NAME = 1  #: machine name
    IP = 2  #: IP address
    URI = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Participant:
    """Who took part: a process, told by AE title or process id.

    Attributes
    ----------
    user_id : str
        The process.
    roles : sequence of Code
        What it did.
    alternative_id : str
        AE titles as ``AETITLES=A;B`` (A.5.2.2); empty for none.
    is_requestor : bool
        Whether it began.
    address : str
        Network address; empty if it is not known.
    point : AccessPoint
        What the address is.
    media : Code or None
        Kind of medium, if the participant is one.
    """

    user_id: str
    roles: Sequence[Code]
    alternative_id: str = ""
    is_requestor: bool = False
    address: str = ""
    point: AccessPoint = AccessPoint.IP
    media: Code | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What it was done to.

    Attributes
    ----------
    object_id : str
        Which one.
    id_type : Code
        What kind of identifier that is.
    type_code : str
        1 for a person, 2 for a system object (A.5.1).
    role : str
        1 patient, 3 report, 13 security resource (A.5.1.2.2).
    name : str
        For people; the schema wants a name or a query.
    query : bytes or None
        The query; the schema wants a name or a query.
    details : mapping of str to str
        Further facts.
    instances : mapping of str to int
        Instances by SOP Class UID, of a study.
    anonymized : bool or None
        Whether what identifies a patient was removed; None if that is not the question.
    """

    object_id: str
    id_type: Code
    type_code: str
    role: str
    name: str = ""
    query: bytes | None = None
    details: Mapping[str, str] = field(default_factory=dict)
    instances: Mapping[str, int] = field(default_factory=dict)
    anonymized: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSource:
    """Who writes: `source_id` names the node, `site_id` the hospital (empty for none)."""

    source_id: str
    site_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditMessage:
    """An event.

    Attributes
    ----------
    event : Code
        Which one (PS3.16, CID 400).
    action : Action
        What was done.
    at : datetime
        When, aware.
    participants : sequence of Participant
        Who took part, at least one.
    subjects : sequence of Subject
        To what.
    types : sequence of Code
        Which kind of it (CID 401).
    outcome : Outcome
        How it ended.
    """

    event: Code
    action: Action
    at: datetime
    participants: Sequence[Participant]
    subjects: Sequence[Subject] = ()
    types: Sequence[Code] = ()
    outcome: Outcome = Outcome.SUCCESS


def encode_message(message: AuditMessage, source: AuditSource) -> bytes:
    """Return a message as XML in UTF-8."""
    root = ET.Element("AuditMessage")
    event = ET.SubElement(
        root,
        "EventIdentification",
        EventActionCode=message.action.value,
        EventDateTime=message.at.isoformat(timespec="milliseconds"),
        EventOutcomeIndicator=str(message.outcome.value),
    )
    _add_code(event, "EventID", message.event)
    for kind in message.types:
        _add_code(event, "EventTypeCode", kind)
    for participant in message.participants:
        _add_participant(root, participant)
    origin = {"AuditEnterpriseSiteID": _clean(source.site_id)} if source.site_id else {}
    identification = ET.SubElement(
        root, "AuditSourceIdentification", {**origin, "AuditSourceID": _clean(source.source_id)}
    )
    ET.SubElement(identification, "AuditSourceTypeCode", {"csd-code": "4"})
    for subject in message.subjects:
        _add_subject(root, subject)
    encoded: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return encoded


def _add_participant(root: ET.Element, one: Participant) -> None:
    attributes = {
        "UserID": _clean(one.user_id),
        "UserIsRequestor": "true" if one.is_requestor else "false",
    }
    if one.alternative_id:
        attributes["AlternativeUserID"] = _clean(one.alternative_id)
    if one.address:
        attributes["NetworkAccessPointID"] = _clean(one.address)
        attributes["NetworkAccessPointTypeCode"] = str(one.point.value)
    element = ET.SubElement(root, "ActiveParticipant", attributes)
    for role in one.roles:
        _add_code(element, "RoleIDCode", role)
    if one.media is not None:
        _add_code(ET.SubElement(element, "MediaIdentifier"), "MediaType", one.media)


def _add_subject(root: ET.Element, one: Subject) -> None:
    element = ET.SubElement(
        root,
        "ParticipantObjectIdentification",
        ParticipantObjectID=_clean(one.object_id),
        ParticipantObjectTypeCode=one.type_code,
        ParticipantObjectTypeCodeRole=one.role,
    )
    _add_code(element, "ParticipantObjectIDTypeCode", one.id_type)
    if one.query is None:
        ET.SubElement(element, "ParticipantObjectName").text = _clean(one.name)
    else:
        ET.SubElement(element, "ParticipantObjectQuery").text = _base64(one.query)
    for kind, value in one.details.items():
        ET.SubElement(
            element,
            "ParticipantObjectDetail",
            type=kind,
            value=_base64(value.encode(errors="backslashreplace")),
        )
    if one.instances or one.anonymized is not None:
        description = ET.SubElement(element, "ParticipantObjectDescription")
        for uid, number in one.instances.items():
            ET.SubElement(description, "SOPClass", UID=_clean(uid), NumberOfInstances=str(number))
        if one.anonymized is not None:
            ET.SubElement(description, "Anonymized").text = str(one.anonymized).lower()


def _add_code(parent: ET.Element, name: str, code: Code) -> None:
    ET.SubElement(
        parent,
        name,
        {"csd-code": code.value, "codeSystemName": code.scheme, "originalText": code.meaning},
    )


def _clean(text: str) -> str:
    """Return text without the characters that XML 1.0 cannot hold: a caller may send them."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
