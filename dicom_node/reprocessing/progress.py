"""How far a re-read is, how fast, and how long it will take: pure, a status in, numbers out."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dicom_node.jobs.reprocess_state import ENDS, RunStatus

_MINUTE_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a run is.

    Attributes
    ----------
    ended : int
        Studies that came to an end.
    total : int or None
        All studies; estimated while they are not listed yet; None if nothing is known.
    is_estimate : bool
        Whether `total` is.
    per_minute : float or None
        Studies that ended in a minute lately; None if too few did.
    remaining_s : float or None
        How long the rest takes at that rate.
    """

    ended: int
    total: int | None
    is_estimate: bool
    per_minute: float | None
    remaining_s: float | None

    @property
    def share(self) -> float | None:
        """Which share of the studies ended, in [0, 1]; None if nothing is known."""
        if self.total is None:
            return None
        return min(1.0, self.ended / self.total) if self.total else 1.0

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "ended": self.ended,
            "total": self.total,
            "total_is_estimate": self.is_estimate,
            "share": self.share,
            "studies_per_minute": self.per_minute,
            "remaining_s": self.remaining_s,
        }


def progress_of(run: RunStatus, now: datetime) -> Progress:
    """Return how far a run is.

    The days or folders that are still to be listed are taken to hold as many studies as those
    before. The rate is that of the studies that ended lately: the time between the first and now,
    without the first.
    """
    ended = sum(number for state, number in run.studies.items() if state in ENDS)
    known = sum(run.studies.values())
    total: int | None = known
    is_estimate = not run.is_listed and run.units_done < run.units
    if is_estimate:
        total = round(known * run.units / run.units_done) if run.units_done else None
    per_minute = None
    if run.recent_ends > 1 and run.first_end_at is not None and now > run.first_end_at:
        minutes = (now - run.first_end_at).total_seconds() / _MINUTE_S
        per_minute = (run.recent_ends - 1) / minutes
    remaining_s = None
    if per_minute and total is not None:
        remaining_s = (total - ended) / per_minute * _MINUTE_S
    return Progress(
        ended=ended,
        total=total,
        is_estimate=is_estimate,
        per_minute=per_minute,
        remaining_s=remaining_s,
    )
