"""Workers of several hosts take jobs from one ledger: each once, in order, none lost."""

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from node_builders import START, Clock
from postgresql_cluster import running_cluster
from sqlalchemy import text

from dicom_node.jobs.ledger import open_ledger
from dicom_node.jobs.ledger_place import PostgresqlPlace
from dicom_node.jobs.postgresql_bells import PostgresqlBells
from dicom_node.jobs.process_identity import ProcessIdentity
from dicom_node.jobs.retry import RetryPolicy
from dicom_node.jobs.state import JobState, SeriesState
from dicom_node.jobs.tables import JobRow, SeriesRow
from dicom_node.jobs.wake import Topic

RETRY = RetryPolicy(max_attempts=3, first_delay_s=30.0, cap_s=600.0)

#: Claims the next job and works on it until it is killed.
WORKER = """
import sys, threading
from datetime import datetime
from dicom_node.jobs.ledger import open_ledger
from dicom_node.jobs.ledger_place import PostgresqlPlace
from dicom_node.jobs.process_identity import ProcessIdentity
identity = ProcessIdentity(name="worker-0@b", host="b", pid=1, token="b")
ledger = open_ledger(PostgresqlPlace(url=sys.argv[1]), process=identity)
now = datetime.fromisoformat(sys.argv[2])
claim = ledger.jobs.claim("worker-0@b", now=now, lease_s=60, time_limit_s=900)
print(claim.task.job_id, flush=True)
threading.Event().wait()
"""


@pytest.fixture
def place():
    return running_cluster().fresh()


@pytest.fixture
def hosts(place):
    """Return the ledger as two hosts have opened it."""
    opened = [
        open_ledger(place, process=ProcessIdentity(name="worker-0", host=host, pid=1, token=host))
        for host in ("a", "b")
    ]
    yield opened
    for one in opened:
        one.close()


def queue(ledger, series, *, study=None, priority=0, session=None):
    """Have a series wait for its analysis, as selection does it."""
    if session is None:
        with ledger.database.write() as own:
            return queue(ledger, series, study=study, priority=priority, session=own)
    now = START
    session.add(
        SeriesRow(
            series_uid=series,
            study_uid=study or f"study of {series}",
            state=SeriesState.CHOSEN,
            first_received_at=now,
            last_received_at=now,
        )
    )
    session.flush()
    job = JobRow(
        series_uid=series,
        study_uid=study or f"study of {series}",
        input_digest=series,
        state=JobState.QUEUED,
        priority=priority,
        created_at=now,
        available_at=now,
    )
    session.add(job)
    session.flush()
    return job.job_id


def claim(ledger, clock, worker="worker-0@a"):
    return ledger.jobs.claim(worker, now=clock(), lease_s=60, time_limit_s=900)


def series_of(claimed):
    return None if claimed is None else claimed.task.series_instance_uid


def tickets(ledger):
    """Return what Procrastinate's table holds: name, queue, lock, priority, state."""
    with ledger.database.read() as session:
        return session.execute(
            text(
                "SELECT queueing_lock, queue_name, lock, priority, status"
                " FROM procrastinate_jobs ORDER BY id"
            )
        ).all()


def test_each_job_is_one_host_s_and_the_urgent_one_comes_first(hosts, clock):
    """By priority, then by age; when nothing is left both hosts are told so."""
    a, b = hosts
    for series, priority in (("1", 0), ("2", 0), ("3", 10)):
        queue(a, series, priority=priority)

    taken = [series_of(claim(one, clock)) for one in (a, b, a, b)]

    assert taken == ["3", "1", "2", None]


def test_a_study_is_one_host_s_at_a_time(hosts, clock):
    """Its second series waits for the end of the first; other studies do not."""
    a, b = hosts
    for series, study in (("1.1", "1"), ("1.2", "1"), ("2.1", "2")):
        queue(a, series, study=study)
    first = claim(a, clock)
    assert series_of(first) == "1.1"
    assert series_of(claim(b, clock)) == "2.1"
    assert claim(b, clock) is None

    a.jobs.reject(first, "no", record={}, now=clock())

    assert series_of(claim(b, clock)) == "1.2"


def test_a_ticket_is_made_with_its_row_or_not_at_all(hosts):
    """Queue = kind, lock = study; a transaction that is undone leaves none."""
    a, _ = hosts
    with a.database.write() as session:
        queue(a, "1", session=session)
        session.rollback()
    assert tickets(a) == []

    job = queue(a, "1", study="1.9")

    assert tickets(a) == [(f"job-{job}", "analysis", "1.9", 0, "todo")]


def test_a_study_that_becomes_urgent_overtakes(hosts, clock):
    """Its ticket gets the priority of its row."""
    a, b = hosts
    queue(a, "1")
    queue(a, "2", study="2")
    b.urgent_lane.hurry("2", clock())

    assert [series_of(claim(a, clock)) for _ in range(2)] == ["2", "1"]


def test_a_job_that_ended_has_no_ticket(hosts, clock):
    """Whether it was rejected, failed for good, or withdrawn while it waited."""
    a, _ = hosts
    for series in ("1", "2", "3"):
        queue(a, series)
    a.jobs.reject(claim(a, clock), "no", record={}, now=clock())
    a.jobs.fail(claim(a, clock), "broken", again_at=None, now=clock())
    with a.database.write() as session:
        job = session.query(JobRow).filter_by(state=JobState.QUEUED).one()
        job.state = JobState.WITHDRAWN

    assert tickets(a) == []


def test_a_job_that_waits_for_its_next_attempt_is_passed_over(hosts, clock):
    """Others go first; at its time it is taken."""
    a, b = hosts
    queue(a, "1")
    queue(a, "2")
    first = claim(a, clock)
    later = Clock()
    later.turn(30)
    a.jobs.fail(first, "away", again_at=later(), now=clock())

    assert [series_of(claim(b, clock)) for _ in range(2)] == ["2", None]
    assert series_of(claim(b, later)) == "1"


def test_what_was_lost_of_the_engine_is_made_again(hosts, clock):
    """A row without a ticket gets one; a ticket without work is ended, not worked off."""
    a, b = hosts
    queue(a, "1")
    done = queue(a, "2")
    with a.database.write() as session:
        session.execute(text("DELETE FROM procrastinate_jobs WHERE queueing_lock = 'job-1'"))
        session.execute(
            text("UPDATE jobs SET state = 'delivered' WHERE job_id = :job"), {"job": done}
        )

    assert [series_of(claim(b, clock)) for _ in range(2)] == ["1", None]
    b.jobs.sweep(RETRY, clock())
    assert [ticket[0] for ticket in tickets(a)] == ["job-1"]


def test_a_killed_host_gives_its_job_back(hosts, place, clock):
    """A real process is killed at work; its lease runs out, and the other host has the job."""
    a, _ = hosts
    job = queue(a, "1")
    words = [sys.executable, "-c", WORKER, place.url, clock().isoformat()]
    other = subprocess.Popen(
        words, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3]
    )
    with other:
        try:
            assert other.stdout.readline() == f"{job}\n"
        finally:
            other.send_signal(signal.SIGKILL)
    assert other.returncode == -signal.SIGKILL
    assert claim(a, clock) is None

    clock.turn(61)
    assert a.jobs.sweep(RETRY, clock()) == 1
    clock.turn(31)
    again = claim(a, clock)

    assert (again.task.job_id, again.attempts) == (job, 2)


def test_a_host_hears_of_a_job_when_it_is_there(hosts):
    """The ticket rings as its transaction is committed; so do results."""
    a, b = hosts
    heard = threading.Semaphore(0)
    bells = PostgresqlBells(b.database.engine)
    with bells.listen(Topic.JOBS, heard.release):
        assert heard.acquire(timeout=60)  # it listens now
        queue(a, "1")
        assert heard.acquire(timeout=60)
    with bells.listen(Topic.RESULTS, heard.release):
        assert heard.acquire(timeout=60)
        PostgresqlBells(a.database.engine).ring(Topic.RESULTS)
        assert heard.acquire(timeout=60)


def test_bells_of_a_server_that_is_away_are_silent():
    """A ring is a hint: whoever rings is not held up by it."""
    from dicom_node.jobs.database import engine_of

    engine = engine_of(PostgresqlPlace(url="postgresql://ichnode@127.0.0.1:1/ichnode"))
    PostgresqlBells(engine).ring(Topic.JOBS)
