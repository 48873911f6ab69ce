"""What happened to a series, written down as it happens."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy.orm import Session

from dicom_node.jobs.tables import EventRow


class EventKind(StrEnum):
    """Kind of an entry. The values are stored; never rename one."""

    FIRST_IMAGE = "first_image"  #: the series began to arrive
    LATE_IMAGE = "late_image"  #: an image came after the series had been complete
    OTHER_VERSION = "other_version"  #: an image was sent again with other content
    COMPLETE = "complete"  #: the series counts as complete
    CHOSEN = "chosen"  #: selection took it; a job was made
    URGENT = "urgent"  #: it goes before others; says why
    ROUTINE = "routine"  #: it does so no more
    SET_ASIDE = "set_aside"  #: selection did not take it
    RECONSIDERED = "reconsidered"  #: it may step in for a series that was rejected
    CLAIMED = "claimed"  #: a worker took the job
    STEP = "step"  #: the worker began a step
    RESULTS = "results"  #: results are in the outbox
    PAIRED = "paired"  #: the series will be compared with an earlier one of the patient
    NOT_COMPARED = "not_compared"  #: there are other scans of the patient, but no pair; says why
    PRIORS = "priors"  #: what became of the search for earlier scans at a peer
    REJECTED = "rejected"  #: the pipeline refused the series
    ATTEMPT_FAILED = "attempt_failed"  #: the worker failed or died
    FAILED = "failed"  #: the job gave up
    WITHDRAWN = "withdrawn"  #: the job was overtaken by more images
    ACCEPTED = "accepted"  #: a destination has an object
    NOT_ACCEPTED = "not_accepted"  #: an attempt of delivery failed
    COMMITTED = "committed"  #: a destination has taken responsibility for an object
    NOT_COMMITTED = "not_committed"  #: it has not, or did not say
    CANCELLED = "cancelled"  #: an operator does not want an object sent any more
    DELIVERED = "delivered"  #: every destination has every object
    RETRIED = "retried"  #: an operator asked for another attempt
    HOLD = "hold"  #: an operator keeps the study for good; says why
    UNHOLD = "unhold"  #: nobody keeps it any more
    PURGED = "purged"  #: images, results or a summary have left the node; says why


def record(
    session: Session,
    at: datetime,
    series_uid: str,
    kind: EventKind,
    text: str = "",
    *,
    job_id: int | None = None,
) -> None:
    """Add an entry; it is kept if the transaction is."""
    session.add(EventRow(at=at, series_uid=series_uid, job_id=job_id, kind=kind.value, text=text))
