"""The codes of audit messages: events, what took part, and how (PS3.16; PS3.15, table A.5.2-1)."""

from enum import Enum, StrEnum
from typing import Final

from dicom_node.audit.message import Code


class Event(Enum):
    """Event identifiers (PS3.16, CID 400)."""

    APPLICATION_ACTIVITY = "110100", "Application Activity"
    ACCESSED = "110103", "DICOM Instances Accessed"
    TRANSFERRED = "110104", "DICOM Instances Transferred"
    STUDY_DELETED = "110105", "DICOM Study Deleted"
    EXPORT = "110106", "Export"
    PROCEDURE_RECORD = "110111", "Procedure Record"
    QUERY = "110112", "Query"
    SECURITY_ALERT = "110113", "Security Alert"
    USER_AUTHENTICATION = "110114", "User Authentication"


class EventType(Enum):
    """Kinds of events (PS3.16, CID 401)."""

    START = "110120", "Application Start"
    STOP = "110121", "Application Stop"
    LOGIN = "110122", "Login"
    LOGOUT = "110123", "Logout"
    NODE_AUTHENTICATION = "110126", "Node Authentication"
    SOFTWARE_CONFIGURATION = "110131", "Software Configuration"
    RESTRICTED_FUNCTION = "110132", "Use of Restricted Function"
    USER_ATTRIBUTES = "110137", "User Security Attributes Changed"


class RoleCode(Enum):
    """What a participant did (PS3.16, CID 402)."""

    APPLICATION = "110150", "Application"
    DESTINATION = "110152", "Destination Role ID"
    SOURCE = "110153", "Source Role ID"
    DESTINATION_MEDIA = "110154", "Destination Media"


class SubjectType(StrEnum):
    """Kind of what an event is about (PS3.15, table A.5.2-1: ParticipantObjectTypeCode)."""

    PERSON = "1"
    SYSTEM = "2"


class SubjectRole(StrEnum):
    """What it was in the event (PS3.15, table A.5.2-1: ParticipantObjectTypeCodeRole)."""

    PATIENT = "1"
    REPORT = "3"
    SECURITY_USER = "11"
    SECURITY_RESOURCE = "13"


STUDY_UID: Final = Code(value="110180", scheme="DCM", meaning="Study Instance UID")
SOP_CLASS_UID: Final = Code(value="110181", scheme="DCM", meaning="SOP Class UID")
NODE_ID: Final = Code(value="110182", scheme="DCM", meaning="Node ID")
PATIENT_NUMBER: Final = Code(value="2", scheme="RFC-3881", meaning="Patient Number")
USER_ID: Final = Code(value="11", scheme="RFC-3881", meaning="User Identifier")
URI: Final = Code(value="12", scheme="RFC-3881", meaning="URI")

#: Kind of medium (PS3.16, CID 405).
FILES: Final = Code(value="110037", scheme="DCM", meaning="URI")
