"""Again or never, and if again, when."""

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Exponential back-off with a cap.

    Attributes
    ----------
    max_attempts : int
        Attempts altogether, the first included.
    first_delay_s : float
        Wait after the first failure.
    factor : float
        By which each further wait is longer.
    cap_s : float
        Longest wait.

    Raises
    ------
    ValueError
        If there is no attempt, a delay is negative, or waits would shrink.
    """

    max_attempts: int
    first_delay_s: float
    factor: float = 2.0
    cap_s: float = 3600.0

    def __post_init__(self) -> None:
        if self.max_attempts < 1:
            raise ValueError(f"max_attempts must be at least 1, got {self.max_attempts}")
        if self.first_delay_s < 0 or self.cap_s < 0:
            raise ValueError(
                f"Delays must not be negative, got {self.first_delay_s}, {self.cap_s}"
            )
        if self.factor < 1:
            raise ValueError(f"factor must be at least 1, got {self.factor}")


def next_attempt(policy: RetryPolicy, *, failures: int, now: datetime) -> datetime | None:
    """Return when to try again after so many failures, None if that was the last attempt."""
    if failures >= policy.max_attempts:
        return None
    delay_s = policy.first_delay_s
    for _ in range(failures - 1):
        if delay_s >= policy.cap_s:
            break
        delay_s *= policy.factor
    return now + timedelta(seconds=min(delay_s, policy.cap_s))
