"""What the engine costs and how it behaves: throughput, fairness, urgency, recovery."""

import os
import statistics
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from dicom_node.jobs.retry import RetryPolicy
from dicom_node.jobs.state import JobState
from dicom_node.jobs.urgent_lane import URGENT_PRIORITY
from tests.scale.stage import Stage, now

SWEEP_EVERY_S = 5.0

_RETRY = RetryPolicy(max_attempts=3, first_delay_s=0.1, cap_s=1.0)


def throughput(
    folder: Path, workers: int, *, jobs: int, sleep_s: float, on_postgresql: bool = False
) -> dict[str, Any]:
    """Let so many workers work off so many jobs of a known length."""
    stage = Stage(folder=folder, sleep_s=sleep_s, on_postgresql=on_postgresql)
    empty = stage.size_bytes()
    load = os.getloadavg()[0]
    # All are there before the first job is: starting processes is not what is timed.
    stage.start(workers)
    stage.queue(jobs)
    stage.wait_done()
    rows, full = stage.jobs(), stage.size_bytes()
    told = stage.stop()
    begun = min(row.started_at for row in rows if row.started_at)
    ended = max(row.finished_at for row in rows if row.finished_at)
    wall_s = (ended - begun).total_seconds()
    return {
        "workers": workers,
        "jobs": jobs,
        "sleep_s": sleep_s,
        "wall_s": wall_s,
        "jobs_per_minute": jobs / wall_s * 60,
        "of_ideal": jobs * sleep_s / workers / wall_s,
        "overhead_ms_per_job": (wall_s * workers / jobs - sleep_s) * 1000,
        "cpu_ms_per_job": sum(one["cpu_s"] for one in told) / jobs * 1000,
        "ledger_bytes_per_study": (full - empty) / jobs,
        "load": load,
        "done_twice": sum(row.attempts > 1 for row in rows),
    }


def fairness(folder: Path, *, workers: int, sleep_s: float) -> dict[str, Any]:
    """See who waits how long when one sender floods the queue and three send a little after it."""
    stage = Stage(folder=folder, sleep_s=sleep_s)
    senders = {"FLOOD": stage.queue(60, sender="FLOOD")}
    for name in ("CT1", "CT2", "CT3"):
        senders[name] = stage.queue(4, sender=name)
    stage.start(workers)
    stage.wait_done()
    rows = {row.job_id: row for row in stage.jobs()}
    stage.stop()
    waits = {
        name: statistics.median(_waited(rows[one].created_at, rows[one].started_at) for one in ids)
        for name, ids in senders.items()
    }
    return {"workers": workers, "sleep_s": sleep_s, "median_wait_s": waits}


def urgency(folder: Path, *, workers: int, sleep_s: float, times: int) -> dict[str, Any]:
    """See how long urgent jobs wait that come one by one into a full queue."""
    stage = Stage(folder=folder, sleep_s=sleep_s)
    stage.start(workers)
    routine = stage.queue(int(workers * (times + 4) * 3))
    urgent = []
    for number in range(times):
        # Not in step with the sleeps, and seldom enough to wait for none of their own.
        time.sleep(sleep_s * (1.37 + 0.61 * (number % 3)))
        urgent += stage.queue(1, priority=URGENT_PRIORITY)
    stage.wait_done()
    rows = {row.job_id: row for row in stage.jobs()}
    stage.stop()
    waits = sorted(_waited(rows[one].created_at, rows[one].started_at) for one in urgent)
    others = [_waited(rows[one].created_at, rows[one].started_at) for one in routine]
    return {
        "workers": workers,
        "sleep_s": sleep_s,
        "queued": len(routine),
        "urgent": times,
        "urgent_wait_median_s": statistics.median(waits),
        "urgent_wait_longest_s": waits[-1],
        "urgent_waits_s": waits,
        "routine_wait_median_s": statistics.median(others),
    }


def recovery(folder: Path, *, workers: int, sleep_s: float, lease_s: float) -> dict[str, Any]:
    """Kill every process of one of two hosts; the office of the other takes back what it held."""
    stage = Stage(folder=folder, sleep_s=sleep_s, lease_s=lease_s)
    stage.queue(workers * 6)
    lost_host = stage.start(workers // 2, host="lost")
    stage.start(workers // 2, host="left")
    time.sleep(sleep_s * 1.5)
    for one in lost_host:
        one.kill()
    killed_at = now()
    held = [
        row.job_id
        for row in stage.jobs()
        if row.state is JobState.ANALYZING and row.claimed_by.startswith("lost")
    ]
    swept = time.monotonic()
    freed: list[datetime] = []

    def sweep() -> None:
        nonlocal swept
        if time.monotonic() - swept >= SWEEP_EVERY_S:
            swept = time.monotonic()
            freed.extend([now()] * stage.ledger.jobs.sweep(_RETRY, now()))

    stage.wait_done(tick=sweep)
    rows = {row.job_id: row for row in stage.jobs()}
    stage.stop()
    again = [_waited(killed_at, rows[one].started_at) for one in held]
    return {
        "workers": workers,
        "killed": len(lost_host),
        "jobs_held": len(held),
        "lease_s": lease_s,
        "sweep_every_s": SWEEP_EVERY_S,
        "freed_after_s": [(at - killed_at).total_seconds() for at in freed],
        "begun_again_after_s": again,
        "all_done": all(row.state is not JobState.FAILED for row in rows.values()),
        "attempts": max(row.attempts for row in rows.values()),
    }


def _waited(since: datetime, until: datetime | None) -> float:
    if until is None:
        raise RuntimeError("a job was never begun")
    return (until - since).total_seconds()
