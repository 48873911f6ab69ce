"""Procrastinate as the engine that hands jobs to the workers of several hosts.

Each waiting job has a ticket in Procrastinate's tables, beside the ledger's own in one database.
Its functions are called on the connection of the ledger's transaction: a ticket is made with the
row that waits, fetched with the claim, and gone with the end of the job, or none of it happens.
They keep the order (priority, then age), let one job of a study run at a time, and tell every
host at once (NOTIFY) that there is work. Whether a worker still lives is decided by the lease in
the ledger, so none of Procrastinate's own workers is needed.
"""

import logging
from typing import Any, Final

from sqlalchemy import Connection, Select, event, inspect, select, text
from sqlalchemy.orm import Session

from dicom_node.jobs.state import JobState
from dicom_node.jobs.tables import JobRow

LOGGER = logging.getLogger(__name__)

#: Channel that Procrastinate notifies of every new ticket.
CHANNEL: Final = "procrastinate_any_queue_v1"

#: Tickets that are looked at for one claim: of jobs that have to wait for something else.
_MOST_PASSED_OVER: Final = 50

_DEFER = text(
    "SELECT procrastinate_defer_jobs_v1(ARRAY[ROW(CAST(:queue AS varchar),"
    " 'ichnode.job', CAST(:priority AS integer), CAST(:study AS text), CAST(:name AS text),"
    " jsonb_build_object('job_id', CAST(:job_id AS bigint)), CAST(:due AS timestamptz)"
    ")::procrastinate_job_to_defer_v1])"
)
_END = text(
    "SELECT procrastinate_finish_job_v1(id, 'succeeded', true) FROM procrastinate_jobs"
    " WHERE queueing_lock = :name AND status IN ('todo', 'doing')"
)
_FETCH = text(
    "SELECT id, CAST(args ->> 'job_id' AS bigint) AS job_id"
    " FROM procrastinate_fetch_job_v2(NULL, NULL)"
)
_PUT_BACK = text(
    "SELECT procrastinate_retry_job_v2("
    "CAST(:ticket AS bigint), CAST(:due AS timestamptz), NULL, NULL, NULL)"
)
_WITHOUT_TICKET = text(
    "SELECT job_id FROM jobs WHERE state = 'queued' AND NOT EXISTS (SELECT 1 FROM"
    " procrastinate_jobs AS ticket WHERE ticket.queueing_lock = 'job-' || jobs.job_id"
    " AND ticket.status = 'todo' AND (ticket.scheduled_at IS NULL"
    " OR ticket.scheduled_at <= greatest(now(), CAST(jobs.available_at AS timestamptz))))"
)
_WITHOUT_JOB = text(
    "SELECT procrastinate_finish_job_v1(id, 'succeeded', true) FROM procrastinate_jobs AS ticket"
    " WHERE task_name = 'ichnode.job' AND status IN ('todo', 'doing') AND NOT EXISTS (SELECT 1"
    " FROM jobs WHERE ticket.queueing_lock = 'job-' || jobs.job_id"
    " AND jobs.state IN ('queued', 'analyzing'))"
)
_DROP = """
DO $$
DECLARE
    found record;
BEGIN
    FOR found IN SELECT oid::regclass AS name FROM pg_class
        WHERE relkind = 'r' AND relname LIKE 'procrastinate\\_%' AND pg_table_is_visible(oid)
    LOOP
        EXECUTE 'DROP TABLE ' || found.name || ' CASCADE';
    END LOOP;
    FOR found IN SELECT oid::regprocedure AS name FROM pg_proc
        WHERE proname LIKE 'procrastinate\\_%' AND pg_function_is_visible(oid)
    LOOP
        EXECUTE 'DROP FUNCTION ' || found.name || ' CASCADE';
    END LOOP;
    FOR found IN SELECT oid::regtype AS name FROM pg_type
        WHERE typname LIKE 'procrastinate\\_%' AND typtype IN ('e', 'c')
            AND pg_type_is_visible(oid)
    LOOP
        EXECUTE 'DROP TYPE ' || found.name || ' CASCADE';
    END LOOP;
END
$$
"""


def install(connection: Connection) -> None:
    """Make Procrastinate's tables and functions, in the caller's transaction."""
    from procrastinate.schema import SchemaManager

    _run_script(connection, SchemaManager.get_schema())


def remove(connection: Connection) -> None:
    """Drop them."""
    _run_script(connection, _DROP)


class ProcrastinateDispatch:
    """A `Dispatch` by tickets: queue = kind of the job, lock = its study, priority as it is."""

    def attend(self, session: Session) -> None:
        """Make and end tickets as the rows of jobs are written."""
        event.listen(session, "after_flush", _keep_tickets)

    def next_of(self, session: Session, waiting: Select[JobRow]) -> JobRow | None:
        """Return the job of the first ticket that may begin, the ticket now being its worker's.

        Tickets of jobs that have to wait go back where they were, and those of jobs that need
        nobody any more are ended.
        """
        if session.scalar(waiting) is None:
            return None
        found = self._of_first_ticket(session, waiting)
        if found is None and self.mend(session):
            found = self._of_first_ticket(session, waiting)
        return found

    def mend(self, session: Session) -> int:
        """Give every waiting job its ticket again, and end tickets that nobody needs."""
        without = session.scalars(_WITHOUT_TICKET).all()
        for job in session.scalars(select(JobRow).where(JobRow.job_id.in_(without))):
            _defer(session, job)
        ended = len(session.execute(_WITHOUT_JOB).all())
        if without or ended:
            LOGGER.warning("%s jobs had no ticket, %s tickets no job", len(without), ended)
        return len(without) + ended

    def _of_first_ticket(self, session: Session, waiting: Select[JobRow]) -> JobRow | None:
        passed_over: list[tuple[int, JobRow]] = []
        found = None
        while found is None and len(passed_over) < _MOST_PASSED_OVER:
            ticket, job_id = session.execute(_FETCH).one()
            if ticket is None:
                break
            found = session.scalar(waiting.where(JobRow.job_id == job_id))
            if found is not None:
                break
            job = session.get(JobRow, job_id)
            if job is not None and job.state is JobState.QUEUED:
                passed_over.append((ticket, job))
            else:
                session.execute(_END, {"name": _name(job_id)})
        for ticket, job in passed_over:
            session.execute(_PUT_BACK, {"ticket": ticket, "due": _due(job)})
        return found


def _keep_tickets(session: Session, _context: object) -> None:
    """Follow the rows that were just written."""
    for row in session.new:
        if isinstance(row, JobRow) and row.state is JobState.QUEUED:
            _defer(session, row)
    for row in session.dirty:
        if not isinstance(row, JobRow) or row.state is JobState.ANALYZING:
            continue
        facts = inspect(row).attrs
        if not any(facts[key].history.has_changes() for key in _WATCHED):
            continue
        if row.state is JobState.QUEUED:
            _defer(session, row)
        else:
            session.connection().execute(_END, {"name": _name(row.job_id)})


#: A change of these is a change of the ticket.
_WATCHED: Final = ("state", "priority", "available_at")


def _defer(session: Session, job: JobRow) -> None:
    connection = session.connection()
    connection.execute(_END, {"name": _name(job.job_id)})
    ticket: dict[str, Any] = {
        "queue": job.kind.value,
        "priority": job.priority,
        "study": job.study_uid,
        "name": _name(job.job_id),
        "job_id": job.job_id,
        "due": _due(job),
    }
    connection.execute(_DEFER, ticket)


def _due(job: JobRow) -> str | None:
    """Return when the job may begin, if it was tried before; a first attempt is due at once."""
    return job.available_at.isoformat() if job.attempts else None


def _name(job_id: int) -> str:
    return f"job-{job_id}"


def _run_script(connection: Connection, script: str) -> None:
    """Run several statements; without parameters, so that no character of them is one."""
    connection.execution_options(no_parameters=True).exec_driver_sql(script)
