"""Which processes live: by the sign that each writes to the ledger, or by the lock that it holds.

A sign of life is a row, which a full disk keeps from being written. The lock file of a process is
let go by the kernel when its holder dies, whatever the disk does.
"""

import glob
import shutil
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

from dicom_node.bootstrap.layout import DataLayout
from dicom_node.jobs.status import ProcessStatus
from dicom_node.lockfile import is_held
from dicom_node.processes import Role
from dicom_node.settings.schema import Settings
from dicom_node.settings.values import SQLITE

#: A process that has not been seen for this long does not live; each writes every 5 s.
SEEN_WITHIN_S: Final = 20.0

#: With less than this, SQLite's journal may not grow by what one sign of life needs.
FULL_BELOW_MB: Final = 1

_MEGABYTE: Final = 2**20


def seen_ages(processes: Iterable[ProcessStatus], now: datetime) -> dict[str, float]:
    """Return how many seconds ago each process was seen that has not ended, by its name."""
    seen: dict[str, float] = {}
    for process in processes:
        if process.ended_at is None:
            age_s = (now - process.seen_at).total_seconds()
            seen[process.name] = min(age_s, seen.get(process.name, age_s))
    return seen


def is_alive(role: Role, seen: Mapping[str, float]) -> bool:
    """Return whether a process of that role was seen lately; workers are numbered."""
    return any(
        age_s < SEEN_WITHIN_S
        for name, age_s in seen.items()
        if name == role or name.startswith(f"{role}-")
    )


def free_mb(root: Path) -> int:
    """Return the room on the disk of a data directory, whole mebibytes."""
    return shutil.disk_usage(root).free // _MEGABYTE


def cannot_write_its_sign(settings: Settings, role: Role) -> bool:
    """Return whether a process of that role lives, though the disk is too full to say so.

    Parameters
    ----------
    settings
        Say where the data lie.
    role
        Whose sign of life is missing.
    """
    if settings.node.ledger != SQLITE or free_mb(settings.node.data_dir) >= FULL_BELOW_MB:
        return False
    return holds_its_lock(settings, role)


def holds_its_lock(settings: Settings, role: Role, *, host: str = "") -> bool:
    """Return whether a process of that role is there, by its lock file; it may be starting.

    With a host only workers of that one count, where several share the ledger.
    """
    layout = DataLayout(root=settings.node.data_dir)
    workers = layout.lock(f"{role}-*@{glob.escape(host)}" if host else f"{role}-*")
    return any(is_held(lock) for lock in (layout.lock(role), *layout.root.glob(workers.name)))


def waiting_roles(settings: Settings, *, host: str = "") -> tuple[Role, ...]:
    """Return which processes are there and wait for a ledger on a server that is away."""
    if settings.node.ledger == SQLITE:
        return ()
    return tuple(role for role in Role if holds_its_lock(settings, role, host=host))
