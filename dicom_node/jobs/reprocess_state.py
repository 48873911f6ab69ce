"""Where a re-read of an archive stands, what was asked of it, and where each of its studies is."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Final

from dicom_node.errors import IllegalTransitionError

_DAY_H: Final = 24


class RunState(StrEnum):
    """Where a run stands. The values are stored; never rename one."""

    RUNNING = "running"  #: takes one study after the other
    RESTING = "resting"  #: waits for the hours that it may use
    PAUSED = "paused"  #: an operator wants it to wait
    STOPPED = "stopped"  #: an operator does not want the rest
    FINISHED = "finished"  #: every study has come to an end


class StudyState(StrEnum):
    """Where a study of a run stands. The values are stored; never rename one."""

    LISTED = "listed"  #: waits for its turn
    FETCHING = "fetching"  #: its images are looked for, or on their way
    QUEUED = "queued"  #: its images are here; the analysis is waited for
    ANALYSED = "analysed"
    NOT_ELIGIBLE = "not_eligible"  #: nothing of it is analysed; says why
    SKIPPED = "skipped"  #: the models named by the run have seen it already
    FAILED = "failed"  #: says why


#: Nothing more is to come of these.
ENDS: Final = frozenset(
    {StudyState.ANALYSED, StudyState.NOT_ELIGIBLE, StudyState.SKIPPED, StudyState.FAILED}
)

#: Of these the images may be waiting for a worker: the run holds back while there are too many.
IN_HAND: Final = frozenset({StudyState.FETCHING, StudyState.QUEUED})

#: A run in one of these has a claim on the office; there is one at most.
UNDER_WAY: Final = frozenset({RunState.RUNNING, RunState.RESTING})

RUN_TRANSITIONS: Final[Mapping[RunState, frozenset[RunState]]] = {
    RunState.RUNNING: frozenset(
        {RunState.RESTING, RunState.PAUSED, RunState.STOPPED, RunState.FINISHED}
    ),
    RunState.RESTING: frozenset({RunState.RUNNING, RunState.PAUSED, RunState.STOPPED}),
    RunState.PAUSED: frozenset({RunState.RUNNING, RunState.STOPPED}),
    RunState.STOPPED: frozenset(),
    RunState.FINISHED: frozenset(),
}


def move_run(current: RunState, to: RunState) -> RunState:
    """Return the new state of a run. Raises IllegalTransitionError."""
    if to not in RUN_TRANSITIONS[current]:
        raise IllegalTransitionError(f"a run that is {current} cannot become {to}")
    return to


@dataclass(frozen=True, slots=True, kw_only=True)
class ReprocessRequest:
    """What is re-read, how fast, and where the results go. Says nothing of a patient.

    Attributes
    ----------
    peer : str
        Name of the peer that has the studies; empty for a folder.
    by : str
        ``move`` or ``get``.
    first_day, last_day : date or None
        Range of Study Date, both included; None for a list of studies, or a folder.
    modality : str
        Modalities in Study that is asked for; empty: the peer is not asked.
    folder : str
        Root of a tree of files.
    deliver_to : tuple of str
        Names of destinations; empty: the results are kept, nobody is sent them.
    unless_model : str
        Beginning of the digest of the models whose studies are left out; empty: none are.
    per_minute : float
        Studies begun in a minute at most; 0: as many as there is room for.
    from_hour, to_hour : int
        Hours of the day at which it works; from 20 to 6 goes over midnight.
    most_waiting : int
        Studies in hand at most.
    most_analysing : int
        Workers that it may use at the same time.

    Raises
    ------
    ValueError
        If a number is out of its range.
    """

    peer: str = ""
    by: str = ""
    first_day: date | None = None
    last_day: date | None = None
    modality: str = "CT"
    folder: str = ""
    deliver_to: tuple[str, ...] = ()
    unless_model: str = ""
    per_minute: float = 0.0
    from_hour: int = 0
    to_hour: int = _DAY_H
    most_waiting: int = 10
    most_analysing: int = 1

    def __post_init__(self) -> None:
        if not (0 <= self.from_hour < _DAY_H and 0 < self.to_hour <= _DAY_H):
            raise ValueError("hours are FROM-TO, as 20-6: from 0 to 23, to 1 to 24")
        if self.from_hour == self.to_hour:
            raise ValueError("hours that begin and end alike are none")
        if self.per_minute < 0 or self.most_waiting < 1 or self.most_analysing < 1:
            raise ValueError("pace and limits must be positive")
        if bool(self.first_day) is not bool(self.last_day):
            raise ValueError("a range of days has a first and a last day")
        if self.first_day and self.last_day and self.last_day < self.first_day:
            raise ValueError("the last day lies before the first")

    @property
    def days(self) -> int:
        """How many days the range has; 0 without one."""
        if self.first_day is None or self.last_day is None:
            return 0
        return (self.last_day - self.first_day).days + 1

    def is_open_at(self, local: datetime) -> bool:
        """Return whether it may work at this time on the machine's own clock."""
        if self.from_hour < self.to_hour:
            return self.from_hour <= local.hour < self.to_hour
        return local.hour >= self.from_hour or local.hour < self.to_hour

    def as_text(self) -> str:
        """Return it as JSON."""
        return json.dumps(asdict(self), default=str, sort_keys=True)

    @classmethod
    def of_text(cls, text: str) -> "ReprocessRequest":
        """Return what `as_text` wrote; what a later version added is left out."""
        known = {one.name for one in fields(cls)}
        facts: dict[str, Any] = {k: v for k, v in json.loads(text).items() if k in known}
        for day in ("first_day", "last_day"):
            facts[day] = date.fromisoformat(facts[day]) if facts.get(day) else None
        return cls(**{**facts, "deliver_to": tuple(facts.get("deliver_to", ()))})


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStatus:
    """A run as the ledger has it.

    Attributes
    ----------
    run_id : int
        Names it.
    state : RunState
        Where it stands.
    note : str
        What it waits for just now; empty if it works.
    request : ReprocessRequest
        What was asked for.
    created_at, finished_at : datetime or None
        When it was asked for, and when it ended.
    created_by : str
        By whom.
    begun_at : datetime or None
        When it last began with a study.
    is_listed : bool
        Whether every study is known.
    cursor : str
        How far the listing is; the source alone knows what that means.
    units, units_done : int
        Days or folders that are listed one after the other; 0 if there is nothing of the kind.
    studies : mapping of StudyState to int
        How many there are in each state.
    first_end_at : datetime or None
        When the oldest of `recent_ends` ended.
    recent_ends : int
        How many studies ended lately; `dicom_node.jobs.reprocess_ledger.RECENT`.
    """

    run_id: int
    state: RunState
    note: str
    request: ReprocessRequest
    created_at: datetime
    created_by: str
    finished_at: datetime | None = None
    begun_at: datetime | None = None
    is_listed: bool = False
    cursor: str = ""
    units: int = 0
    units_done: int = 0
    studies: Mapping[StudyState, int] = field(default_factory=dict)
    recent_ends: int = 0
    first_end_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyEntry:
    """One study of a run.

    Attributes
    ----------
    entry_id, run_id : int
        Rows in the ledger.
    study_uid : str
        Which study.
    state : StudyState
        Where it stands.
    reason : str
        Why it ended so, or waits.
    attempts : int
        How often it was begun.
    images : int
        How many came because of the run.
    series_uid : str
        The series that was analysed; empty if none.
    model : str
        Beginning of the digest of what analysed it.
    outcome : str
        As the record has it; empty without one.
    began_at, finished_at : datetime or None
        When it was begun first, and when it ended.
    """

    entry_id: int
    run_id: int
    study_uid: str
    state: StudyState
    reason: str = ""
    attempts: int = 0
    images: int = 0
    series_uid: str = ""
    model: str = ""
    outcome: str = ""
    began_at: datetime | None = None
    finished_at: datetime | None = None
