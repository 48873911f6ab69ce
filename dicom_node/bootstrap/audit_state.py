"""How the audit trail stands: what waits for the repository, and why it did not go."""

from datetime import datetime
from typing import Final

from dicom_node.bootstrap.audit import audit_spool
from dicom_node.jobs.documents import Documents
from dicom_node.settings.schema import Settings
from dicom_node.web.source import AuditState

#: Where the office writes down that the repository did not take messages, and that it does again.
REPOSITORY_KEY: Final = "audit repository"


def audit_state(settings: Settings, documents: Documents) -> AuditState:
    """Return how the audit trail of a node stands. Raises LedgerError."""
    wanted = settings.audit
    spool = audit_spool(settings)
    told = documents.read(REPOSITORY_KEY) or {}
    return AuditState(
        is_on=wanted.enabled,
        repository=f"{wanted.host}:{wanted.port}, {wanted.transport}",
        waiting=len(spool.waiting()),
        limit=wanted.queue_limit,
        oldest_at=spool.oldest_at(),
        fault=told.get("fault", ""),
        fault_at=datetime.fromisoformat(told["at"]) if told.get("at") else None,
    )


def note_repository(documents: Documents, fault: str, at: datetime) -> None:
    """Write down why the repository took nothing; an empty fault: it takes messages again."""
    documents.write(REPOSITORY_KEY, {"fault": fault, "at": at.isoformat()})
