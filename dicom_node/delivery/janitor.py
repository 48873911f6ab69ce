"""The office's hand in retention: purges what is due, makes room, says how it stands."""

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

from dicom_node.delivery.purger import Purger
from dicom_node.jobs.purge_ledger import Cause
from dicom_node.jobs.retention import RetentionPlan, RetentionRules, plan

LOGGER = logging.getLogger(__name__)

#: Under which key the state is kept in the ledger.
STANDING: Final = "retention"

#: Pause between two looks at all that is held; while room is missing it is shorter.
_LOOK_EVERY_S = 3600.0
_LOOK_AGAIN_S = 300.0

#: So many holdings go in one turn, that the office is not kept busy for long.
_AT_ONCE = 200

#: A clock that leaps further than this while the node runs is not believed for a while.
_LEAP = timedelta(hours=1)
_DISTRUST_S = 12 * 3600.0


class Documents(Protocol):
    """Keeps JSON documents by key."""

    def write(self, key: str, document: Any) -> None:  # noqa: ANN401 - JSON
        """Keep a document."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How retention stood when it was last looked at.

    Attributes
    ----------
    at : str
        When, ISO 8601.
    is_emergency : bool
        Whether the disk was nearly full.
    missing_bytes : int
        Room that no purge could make.
    kept : mapping of str to int
        Bytes that must stay, by the name of the obstacle.
    """

    at: str
    is_emergency: bool
    missing_bytes: int
    kept: Mapping[str, int] = field(default_factory=dict)


class Janitor:
    """Purges again and again, in small turns.

    Parameters
    ----------
    purger
        Takes things out of custody.
    rules
        Of the site; None: nothing is purged, but what was begun is ended.
    documents
        Where it says how it stands.
    clock
        Returns the present as an aware time.
    monotonic
        Returns seconds that never leap.
    """

    def __init__(
        self,
        *,
        purger: Purger,
        rules: RetentionRules | None,
        documents: Documents,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float],
    ) -> None:
        self._purger = purger
        self._rules = rules
        self._documents = documents
        self._clock = clock
        self._monotonic = monotonic
        self._looked_at: float | None = None
        self._was_emergency = False
        self._trusted_at = monotonic()
        self._last = (clock(), monotonic())

    def tick(self) -> None:
        """Purge what is due. Raises LedgerError."""
        self._watch_clock()
        self._purger.finish()
        if self._rules is None:
            return
        is_trusted = self._monotonic() >= self._trusted_at
        rules = self._rules if is_trusted else replace(self._rules, ages={})
        free_bytes = self._purger.free_bytes()
        if not self._is_time(is_emergency=free_bytes < rules.emergency_free_bytes):
            return
        planned = plan(
            self._purger.holdings(rules), rules, free_bytes=free_bytes, now=self._clock()
        )
        self._purge(planned, rules)
        self._tell(planned)
        self._looked_at = self._monotonic() if len(planned.going) <= _AT_ONCE else None

    def _is_time(self, *, is_emergency: bool) -> bool:
        is_new = is_emergency is not self._was_emergency  # also when it ends: that is told
        self._was_emergency = is_emergency
        pause_s = _LOOK_AGAIN_S if is_emergency else _LOOK_EVERY_S
        return is_new or self._looked_at is None or self._monotonic() - self._looked_at >= pause_s

    def _purge(self, planned: RetentionPlan, rules: RetentionRules) -> None:
        by_age = planned.by_age[:_AT_ONCE]
        by_emergency = planned.by_emergency[: _AT_ONCE - len(by_age)]
        for cause, holdings in ((Cause.AGE, by_age), (Cause.EMERGENCY, by_emergency)):
            done = self._purger.purge(holdings, rules, cause=cause)
            if done.holdings:
                LOGGER.info(
                    "Purged %s holdings, %s files, %.1f MB; cause: %s",
                    done.holdings,
                    done.files,
                    done.size_bytes / 2**20,
                    cause,
                )
        if planned.missing_bytes:
            LOGGER.error(
                "The disk is nearly full and nothing more may be purged; %.0f MB are missing",
                planned.missing_bytes / 2**20,
            )

    def _tell(self, planned: RetentionPlan) -> None:
        kept: Counter[str] = Counter()
        for one in planned.kept:
            if one.obstacle is not None:
                kept[one.obstacle.name.lower()] += one.size_bytes
        self._documents.write(
            STANDING,
            {
                "at": self._clock().isoformat(),
                "is_emergency": planned.is_emergency,
                "missing_bytes": planned.missing_bytes,
                "kept": dict(kept),
            },
        )

    def _watch_clock(self) -> None:
        """Let nothing go by age for a while after the clock leapt ahead: it may be wrong."""
        now, seconds = self._clock(), self._monotonic()
        before, seconds_before = self._last
        self._last = (now, seconds)
        if now - before > timedelta(seconds=seconds - seconds_before) + _LEAP:
            self._trusted_at = seconds + _DISTRUST_S
            LOGGER.warning("The clock leapt ahead; nothing is purged by age for 12 hours")


def standing_of(document: Mapping[str, Any] | None) -> Standing | None:
    """Return what was told last, None if nothing ever was."""
    if document is None:
        return None
    return Standing(
        at=str(document["at"]),
        is_emergency=bool(document["is_emergency"]),
        missing_bytes=int(document["missing_bytes"]),
        kept={str(name): int(size) for name, size in document["kept"].items()},
    )


def words_of(standing: Standing | None) -> Sequence[str]:
    """Return what an operator must know of it."""
    if standing is None or not standing.missing_bytes:
        return ()
    missing_mb = standing.missing_bytes / 2**20
    sentence = "the disk is nearly full and nothing more may be purged"
    return (f"{sentence}; {missing_mb:.0f} MB are missing: ichnode retention plan",)
