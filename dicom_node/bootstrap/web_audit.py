"""What people do on the pages, taken down in the audit trail."""

import ipaddress
from collections.abc import Callable, Sequence
from datetime import datetime

from dicom_node.audit import people
from dicom_node.audit.events import StudyPart
from dicom_node.audit.message import AccessPoint
from dicom_node.bootstrap.audit import audit_trail, node_party
from dicom_node.bootstrap.audit_state import audit_state
from dicom_node.jobs.database import Database
from dicom_node.jobs.documents import Documents
from dicom_node.settings.schema import Settings
from dicom_node.web.source import AuditState
from dicom_node.web.visitor import Visitor

#: Secondary Capture, of which the picture of a page is made (PS3.4, B.5).
_PICTURE_CLASS = "1.2.840.10008.5.1.4.1.1.7"


class PageAudit:
    """Writes messages where the site wants an audit trail.

    Parameters
    ----------
    settings, database, clock
        Of the node.
    """

    def __init__(
        self, settings: Settings, database: Database, *, clock: Callable[[], datetime]
    ) -> None:
        self._clock = clock
        self._documents = Documents(database)
        self.use(settings)

    def use(self, settings: Settings) -> None:
        """Go by other settings from now on."""
        self._settings = settings
        self._trail = audit_trail(settings)
        self._node = node_party(settings)

    def state(self) -> AuditState:
        """Return how the audit trail stands. Raises LedgerError."""
        return audit_state(self._settings, self._documents)

    def intervened(self, visitor: Visitor, what: str, studies: Sequence[str]) -> None:
        """Note that an operator told the node to do something."""
        self._trail.write(
            people.intervened(self._node, _person(visitor), what, studies, self._clock())
        )

    def account_changed(self, visitor: Visitor, whose: str, what: str) -> None:
        """Note that an account was made, changed or closed."""
        self._trail.write(
            people.account_changed(self._node, _person(visitor), whose, what, self._clock())
        )

    def looked_at(self, visitor: Visitor, study_instance_uid: str) -> None:
        """Note that somebody saw pictures of a study."""
        part = StudyPart(study_uid=study_instance_uid, instances={_PICTURE_CLASS: 1})
        self._trail.write(people.accessed(self._node, _person(visitor), part, self._clock()))

    def downloaded(self, visitor: Visitor, study_instance_uid: str, sop_class_uid: str) -> None:
        """Note that somebody took an object of a study away."""
        part = StudyPart(study_uid=study_instance_uid, instances={sop_class_uid: 1})
        self._trail.write(people.downloaded(self._node, _person(visitor), part, self._clock()))


def _person(visitor: Visitor) -> people.Person:
    try:
        ipaddress.ip_address(visitor.address)
    except ValueError:
        point = AccessPoint.NAME
    else:
        point = AccessPoint.IP
    return people.Person(user_id=visitor.name, address=visitor.address, point=point)
