"""Which destinations may be served: held by an operator, or out of reach."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import func, select, update

from dicom_node.jobs.database import Database
from dicom_node.jobs.delivery_tables import DestinationRow
from dicom_node.jobs.state import DeliveryState
from dicom_node.jobs.tables import DeliveryRow


class Gate(StrEnum):
    """Whether a destination may be served now."""

    OPEN = "open"  #: it may
    HELD = "held"  #: an operator does not want it
    BROKEN = "broken"  #: it was out of reach and is not tried before its time
    PROBE = "probe"  #: it was out of reach; its time to be tried has come


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerRules:
    """When a destination counts as out of reach, and how often it is tried then.

    Attributes
    ----------
    failures : int
        So many connections that failed in a row break the circuit.
    first_probe_s, longest_probe_s : float
        Wait before the first probe; it doubles up to the longest.

    Raises
    ------
    ValueError
        If a number is not positive.
    """

    failures: int = 3
    first_probe_s: float = 15.0
    longest_probe_s: float = 300.0

    def __post_init__(self) -> None:
        if self.failures < 1 or self.first_probe_s <= 0 or self.longest_probe_s <= 0:
            raise ValueError("failures and both waits must be positive")

    def wait_s(self, probes: int) -> float:
        """Return the wait after so many probes that failed."""
        doublings = min(probes, 32)  # far beyond any longest wait
        return min(self.first_probe_s * 2.0**doublings, self.longest_probe_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationStatus:
    """A destination as an operator sees it; times are None unless it is held or out of reach."""

    name: str
    waiting: int
    dead: int
    held_at: datetime | None
    held_reason: str
    broken_at: datetime | None
    probe_at: datetime | None
    reason: str


class DestinationLedger:
    """Holds and circuit breakers, one row per destination that is out of the ordinary.

    Nothing that is wrong with one destination is felt by another. Deliveries to one that is out of
    reach use up no attempts, so that they go out whenever it comes back.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def gate(self, name: str, now: datetime) -> Gate:
        """Return whether a destination may be served."""
        with self._database.read() as session:
            row = session.get(DestinationRow, name)
            if row is None:
                return Gate.OPEN
            if row.held_at is not None:
                return Gate.HELD
            if row.probe_at is None:
                return Gate.OPEN
            return Gate.PROBE if row.probe_at <= now else Gate.BROKEN

    def failed(self, name: str, reason: str, *, rules: BreakerRules, now: datetime) -> None:
        """Note a connection that failed, or a probe; it may break the circuit."""
        with self._database.write() as session:
            row = session.get(DestinationRow, name)
            if row is None:
                row = DestinationRow(name=name, failures=0, probes=0)
                session.add(row)
            row.failures += 1
            row.reason = reason
            if row.failures < rules.failures:
                return
            if row.opened_at is None:
                row.opened_at = now
                row.probes = 0
            else:
                row.probes += 1
            row.probe_at = now + timedelta(seconds=rules.wait_s(row.probes))

    def reached(self, name: str, now: datetime) -> int:
        """Note that a destination takes part; return how many deliveries no longer wait for it."""
        with self._database.read() as session:
            row = session.get(DestinationRow, name)
            if row is None or row.failures == 0:
                return 0
        with self._database.write() as session:
            row = session.get_one(DestinationRow, name)
            was_broken = row.opened_at is not None
            row.failures = row.probes = 0
            row.opened_at = row.probe_at = None
            row.reason = ""
            if not was_broken:
                return 0
            waiting = (
                DeliveryRow.destination == name,
                DeliveryRow.state == DeliveryState.PENDING,
                DeliveryRow.unreached,
            )
            number = session.scalar(select(func.count()).where(*waiting)) or 0
            session.execute(update(DeliveryRow).where(*waiting).values(next_attempt_at=now))
            return number

    def probe_now(self, name: str, now: datetime) -> None:
        """Let a destination that is out of reach be tried at once: an operator's decision."""
        with self._database.write() as session:
            row = session.get(DestinationRow, name)
            if row is not None and row.probe_at is not None:
                row.probe_at = now

    def hold(self, name: str, reason: str, now: datetime) -> None:
        """Send nothing more to a destination until it is released."""
        with self._database.write() as session:
            row = session.get(DestinationRow, name)
            if row is None:
                row = DestinationRow(name=name, failures=0, probes=0)
                session.add(row)
            row.held_at = row.held_at or now
            row.held_reason = reason

    def release(self, name: str) -> bool:
        """Serve a destination again; return whether it was held."""
        with self._database.write() as session:
            row = session.get(DestinationRow, name)
            if row is None or row.held_at is None:
                return False
            row.held_at = None
            row.held_reason = ""
            return True

    def statuses(self) -> tuple[DestinationStatus, ...]:
        """Return every destination that anything was meant for, by name."""
        with self._database.read() as session:
            rows = {row.name: row for row in session.scalars(select(DestinationRow))}
            counts = Counter(
                {
                    (name, state): number
                    for name, state, number in session.execute(
                        select(DeliveryRow.destination, DeliveryRow.state, func.count()).group_by(
                            DeliveryRow.destination, DeliveryRow.state
                        )
                    )
                }
            )
            names = sorted(rows.keys() | {name for name, _ in counts})
            return tuple(_status(name, rows.get(name), counts) for name in names)


def _status(
    name: str, row: DestinationRow | None, counts: Counter[tuple[str, DeliveryState]]
) -> DestinationStatus:
    return DestinationStatus(
        name=name,
        waiting=counts[name, DeliveryState.PENDING] + counts[name, DeliveryState.SENDING],
        dead=counts[name, DeliveryState.DEAD],
        held_at=row.held_at if row else None,
        held_reason=row.held_reason if row else "",
        broken_at=row.opened_at if row else None,
        probe_at=row.probe_at if row else None,
        reason=row.reason if row else "",
    )
