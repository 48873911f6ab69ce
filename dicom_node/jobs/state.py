"""Where series, jobs and deliveries stand, and what may follow what."""

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

from dicom_node.errors import IllegalTransitionError


class SeriesState(StrEnum):
    """Where a series stands. The values are stored; never rename one."""

    RECEIVING = "receiving"  #: images arrive, or are waited for
    COMPLETE = "complete"  #: waits for the other series of its study
    CHOSEN = "chosen"  #: has an analysis job, whose state says the rest
    SET_ASIDE = "set_aside"  #: is not analysed; says why


class JobState(StrEnum):
    """Where a job stands. The values are stored; never rename one."""

    QUEUED = "queued"  #: waits for a worker
    ANALYZING = "analyzing"  #: a worker has it in hand
    DELIVERING = "delivering"  #: results encoded, not yet accepted everywhere
    DELIVERED = "delivered"  #: every destination answered Success
    REJECTED = "rejected"  #: the series cannot be analysed or compared; says why
    WITHDRAWN = "withdrawn"  #: overtaken before a worker took it: more images, another baseline
    FAILED = "failed"  #: gave up; an operator must look


class JobKind(StrEnum):
    """What a job does. The values are stored; never rename one."""

    ANALYSIS = "analysis"  #: one series, from its images to an opinion
    COMPARISON = "comparison"  #: an analysed series beside an earlier one of the patient
    SHADOW = "shadow"  #: an analysed series once more, by models on trial; nothing is sent


class SearchState(StrEnum):
    """Where a search for earlier images at one peer stands. The values are stored."""

    PENDING = "pending"  #: waits for its time
    DONE = "done"  #: asked, and fetched whatever there was; says what
    DEAD = "dead"  #: gave up; says why


class DeliveryState(StrEnum):
    """Where one object stands on its way to one destination. The values are stored."""

    PENDING = "pending"  #: waits for its time
    SENDING = "sending"  #: a courier has it in hand
    ACCEPTED = "accepted"  #: the destination answered Success
    DEAD = "dead"  #: gave up; an operator must look
    COMMITTED = "committed"  #: the destination has taken responsibility for it
    CANCELLED = "cancelled"  #: an operator does not want it sent any more


class WorkitemState(StrEnum):
    """Where a workitem of a worklist stands, as its performer sees it. The values are stored."""

    CLAIMING = "claiming"  #: has its transaction UID; the server may not know it yet
    PERFORMING = "performing"  #: the server let the node have it
    COMPLETING = "completing"  #: results are delivered; the server is being told
    CANCELING = "canceling"  #: there will be no results; the server is being told
    COMPLETED = "completed"  #: the server knows
    CANCELED = "canceled"  #: the server knows
    LOST = "lost"  #: it is not the node's: somebody else's, ended, or gone; says which


#: What may follow what. A state without successors is final.
SERIES_TRANSITIONS: Mapping[SeriesState, frozenset[SeriesState]] = {
    SeriesState.RECEIVING: frozenset({SeriesState.COMPLETE, SeriesState.SET_ASIDE}),
    SeriesState.COMPLETE: frozenset(
        {SeriesState.RECEIVING, SeriesState.CHOSEN, SeriesState.SET_ASIDE}
    ),
    SeriesState.CHOSEN: frozenset({SeriesState.RECEIVING}),
    SeriesState.SET_ASIDE: frozenset({SeriesState.RECEIVING, SeriesState.COMPLETE}),
}

#: ANALYZING leads back to QUEUED when a worker died or failed; FAILED leads on when an operator
#: retries the analysis or the deliveries.
JOB_TRANSITIONS: Mapping[JobState, frozenset[JobState]] = {
    JobState.QUEUED: frozenset({JobState.ANALYZING, JobState.WITHDRAWN}),
    JobState.ANALYZING: frozenset(
        {JobState.QUEUED, JobState.DELIVERING, JobState.REJECTED, JobState.FAILED}
    ),
    JobState.DELIVERING: frozenset({JobState.DELIVERED, JobState.FAILED}),
    JobState.DELIVERED: frozenset(),
    JobState.REJECTED: frozenset(),
    JobState.WITHDRAWN: frozenset(),
    JobState.FAILED: frozenset({JobState.QUEUED, JobState.DELIVERING}),
}

#: SENDING leads back to PENDING when the attempt failed or the courier died. ACCEPTED is final
#: where no storage commitment is asked for; a commitment that is refused leads back to PENDING or
#: to DEAD, and a report that comes too late leads from there to COMMITTED. Only what waits or gave
#: up can be cancelled.
DELIVERY_TRANSITIONS: Mapping[DeliveryState, frozenset[DeliveryState]] = {
    DeliveryState.PENDING: frozenset(
        {DeliveryState.SENDING, DeliveryState.CANCELLED, DeliveryState.COMMITTED}
    ),
    DeliveryState.SENDING: frozenset(
        {DeliveryState.PENDING, DeliveryState.ACCEPTED, DeliveryState.DEAD}
    ),
    DeliveryState.ACCEPTED: frozenset(
        {DeliveryState.COMMITTED, DeliveryState.PENDING, DeliveryState.DEAD}
    ),
    DeliveryState.DEAD: frozenset(
        {DeliveryState.PENDING, DeliveryState.CANCELLED, DeliveryState.COMMITTED}
    ),
    DeliveryState.COMMITTED: frozenset(),
    DeliveryState.CANCELLED: frozenset(),
}

SEARCH_TRANSITIONS: Mapping[SearchState, frozenset[SearchState]] = {
    SearchState.PENDING: frozenset({SearchState.DONE, SearchState.DEAD}),
    SearchState.DONE: frozenset(),
    SearchState.DEAD: frozenset({SearchState.PENDING}),
}

#: CLAIMING follows PERFORMING where a server was restored to a time before the claim.
WORKITEM_TRANSITIONS: Mapping[WorkitemState, frozenset[WorkitemState]] = {
    WorkitemState.CLAIMING: frozenset({WorkitemState.PERFORMING, WorkitemState.LOST}),
    WorkitemState.PERFORMING: frozenset(
        {
            WorkitemState.CLAIMING,
            WorkitemState.COMPLETING,
            WorkitemState.CANCELING,
            WorkitemState.LOST,
        }
    ),
    WorkitemState.COMPLETING: frozenset({WorkitemState.COMPLETED, WorkitemState.LOST}),
    WorkitemState.CANCELING: frozenset({WorkitemState.CANCELED, WorkitemState.LOST}),
    WorkitemState.COMPLETED: frozenset(),
    WorkitemState.CANCELED: frozenset(),
    WorkitemState.LOST: frozenset(),
}

State = TypeVar("State", SeriesState, JobState, DeliveryState, SearchState, WorkitemState)


def advance(current: State, to: State, transitions: Mapping[State, frozenset[State]]) -> State:
    """Return the new state, if the table lists the move.

    Raises
    ------
    IllegalTransitionError
        If it does not.
    """
    if to not in transitions[current]:
        raise IllegalTransitionError(f"{current} cannot become {to}")
    return to


def move_series(current: SeriesState, to: SeriesState) -> SeriesState:
    """Return the new state of a series. Raises IllegalTransitionError."""
    return advance(current, to, SERIES_TRANSITIONS)


def move_job(current: JobState, to: JobState) -> JobState:
    """Return the new state of a job. Raises IllegalTransitionError."""
    return advance(current, to, JOB_TRANSITIONS)


def move_delivery(current: DeliveryState, to: DeliveryState) -> DeliveryState:
    """Return the new state of a delivery. Raises IllegalTransitionError."""
    return advance(current, to, DELIVERY_TRANSITIONS)


def move_search(current: SearchState, to: SearchState) -> SearchState:
    """Return the new state of a search. Raises IllegalTransitionError."""
    return advance(current, to, SEARCH_TRANSITIONS)


def move_workitem(current: WorkitemState, to: WorkitemState) -> WorkitemState:
    """Return the new state of a workitem. Raises IllegalTransitionError."""
    return advance(current, to, WORKITEM_TRANSITIONS)
