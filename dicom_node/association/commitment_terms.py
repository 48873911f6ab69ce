"""What storage commitment speaks of: objects, requests, reports, reasons.

No network and no data set, so that whoever keeps book of commitments loads neither.
PS3.4, annex J.
"""

from dataclasses import dataclass

#: Failure Reason (PS3.3, section C.14.1.1); the first is a status of requests and reports, too.
PROCESSING_FAILURE, NO_SUCH_INSTANCE, CLASS_CONFLICT = 0x0110, 0x0112, 0x0119

#: The same in words.
REASONS = {
    PROCESSING_FAILURE: "processing failure",
    NO_SUCH_INSTANCE: "no such object instance",
    0x0213: "resource limitation",
    0x0122: "SOP class not supported",
    CLASS_CONFLICT: "class and instance do not belong together",
    0x0131: "duplicate transaction UID",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """An object that is meant, by its two UIDs."""

    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitmentRequest:
    """A request to take responsibility for objects; the asking side makes the transaction UID."""

    transaction_uid: str
    references: tuple[Reference, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitmentReport:
    """The answer to a request.

    Attributes
    ----------
    transaction_uid : str
        That of the request.
    committed : tuple of Reference
        Objects that the provider is responsible for from now on.
    failed : tuple of (Reference, int)
        Objects that it is not, each with its Failure Reason.
    """

    transaction_uid: str
    committed: tuple[Reference, ...]
    failed: tuple[tuple[Reference, int], ...] = ()


def reason_words(reason: int) -> str:
    """Return a Failure Reason in words (PS3.3, section C.14.1.1)."""
    return f"{REASONS.get(reason, 'failed')} (0x{reason:04X})"
