"""What a clock that was set back leaves behind: times that lie ahead of any that it could mean.

Every time that is kept is either a fact, which cannot lie in the future, or the end of a wait,
which cannot lie further ahead than its wait is long. One that does was written by a clock that has
been set back since; it is taken for the present. `dicom_node.jobs.future_times` does so for the
whole ledger, and nobody who compares a kept time with the present need think of it.
"""

from datetime import datetime, timedelta
from typing import Final

#: Two processes that look at one clock one after the other; and corrections of a running clock.
STEP: Final = timedelta(seconds=5)


def latest_lawful(now: datetime, longest: timedelta = timedelta(0)) -> datetime:
    """Return the latest time that a wait of at most `longest`, or a fact, can mean at `now`."""
    return now + longest + STEP


def brought_back(at: datetime, now: datetime, longest: timedelta = timedelta(0)) -> datetime:
    """Return a time, or the present if it lies further ahead than it can mean."""
    return now if at > latest_lawful(now, longest) else at
