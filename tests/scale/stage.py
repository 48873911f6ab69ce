"""A ledger with jobs that nobody has to analyse, and processes that only sleep over them."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import select

from dicom_node.jobs.ledger import Ledger, open_ledger
from dicom_node.jobs.ledger_place import LedgerPlace, PostgresqlPlace
from dicom_node.jobs.process_identity import ProcessIdentity
from dicom_node.jobs.state import JobState, SeriesState
from dicom_node.jobs.tables import (
    HeaderVariantRow,
    InstanceRow,
    JobInstanceRow,
    JobRow,
    SeriesRow,
)

if TYPE_CHECKING:
    from postgresql_cluster import Cluster

ROOT = Path(__file__).parents[2]

#: Images of a job: only their rows count here.
IMAGES = 30


@cache
def _server() -> "Cluster":
    """Return a server that syncs, unlike that of the tests."""
    import postgresql_cluster

    postgresql_cluster._SETTINGS = ("listen_addresses=", "max_connections=200")
    return postgresql_cluster.running_cluster()


def place_of(words: str) -> LedgerPlace:
    """Return the place that a command line names."""
    return PostgresqlPlace(url=words) if words.startswith("postgresql:") else Path(words)


def now() -> datetime:
    return datetime.now(UTC)


def opened(place: LedgerPlace) -> Ledger:
    """Return the ledger as one more process of the node."""
    identity = ProcessIdentity(
        name="scale", host="here", pid=os.getpid(), token=os.urandom(8).hex()
    )
    return open_ledger(place, process=identity)


@dataclass(kw_only=True)
class Stage:
    """A folder with a ledger, and the workers that were started on it."""

    folder: Path
    sleep_s: float
    lease_s: float = 30.0
    on_postgresql: bool = False
    workers: list[subprocess.Popen[str]] = field(default_factory=list)
    series: int = 0

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.place = _server().empty() if self.on_postgresql else self.folder / "ledger.sqlite"
        self.ledger = opened(self.place)

    def size_bytes(self) -> float:
        """Return how long the ledger is."""
        if isinstance(self.place, Path):
            return self.place.stat().st_size
        name = _server().name_of(self.place)
        ((size,),) = _server().sql(f"SELECT pg_database_size('{name}')")
        return float(str(size))

    def queue(self, number: int, *, sender: str = "CT", priority: int = 0) -> list[int]:
        """Queue so many jobs in one transaction, as if their images had come; return them."""
        made = []
        with self.ledger.database.write() as session:
            for _ in range(number):
                self.series += 1
                uid, at = f"1.2.{self.series}", now()
                session.add(
                    SeriesRow(
                        series_uid=uid,
                        study_uid=uid,
                        state=SeriesState.CHOSEN,
                        calling_ae_title=sender,
                        first_received_at=at,
                        last_received_at=at,
                    )
                )
                session.flush()
                variant = HeaderVariantRow(series_uid=uid, attributes="{}")
                session.add(variant)
                session.flush()
                images = [_image(uid, one, variant.variant_id, at) for one in range(IMAGES)]
                job = JobRow(
                    series_uid=uid,
                    study_uid=uid,
                    input_digest=uid,
                    state=JobState.QUEUED,
                    priority=priority,
                    created_at=at,
                    available_at=at,
                )
                session.add_all([*images, job])
                session.flush()
                session.add_all(
                    JobInstanceRow(job_id=job.job_id, instance_id=one.instance_id)
                    for one in images
                )
                made.append(job.job_id)
        return made

    def start(self, number: int, *, host: str = "host") -> list[subprocess.Popen[str]]:
        """Start so many workers and wait until they are ready."""
        begun = len(self.workers)
        started = [
            subprocess.Popen(
                [
                    *(sys.executable, "-m", "tests.scale.sleeper", self._told_place()),
                    *("--name", f"{host}-worker-{begun + one}", "--sleep", str(self.sleep_s)),
                    *("--lease", str(self.lease_s)),
                ],
                stdout=subprocess.PIPE,
                text=True,
                cwd=ROOT,
                env=os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
            )
            for one in range(number)
        ]
        self.workers += started
        for one in started:
            if one.stdout is None or one.stdout.readline() != "ready\n":
                raise RuntimeError("a worker did not start")
        return started

    def _told_place(self) -> str:
        return str(self.place) if isinstance(self.place, Path) else self.place.url

    def jobs(self, ids: Sequence[int] | None = None) -> list[JobRow]:
        with self.ledger.database.read() as session:
            wanted = select(JobRow).order_by(JobRow.job_id)
            rows = session.scalars(wanted).all()
        return [row for row in rows if ids is None or row.job_id in set(ids)]

    def wait_done(self, *, limit_s: float = 600.0, tick: object = None) -> None:
        """Wait until nothing is queued or in hand."""
        deadline = time.monotonic() + limit_s
        open_states = (JobState.QUEUED, JobState.ANALYZING)
        while True:
            with self.ledger.database.read() as session:
                left = session.scalar(
                    select(JobRow.job_id).where(JobRow.state.in_(open_states)).limit(1)
                )
            if left is None:
                return
            if callable(tick):
                tick()
            if time.monotonic() > deadline:
                raise RuntimeError("jobs are left over")
            time.sleep(0.1)

    def stop(self) -> list[dict[str, float]]:
        """Stop all workers; return what each says of its processor time."""
        told = []
        for one in self.workers:
            if one.poll() is None:
                one.send_signal(signal.SIGTERM)
        for one in self.workers:
            output, _ = one.communicate(timeout=120)
            lines = [line for line in output.splitlines() if line.startswith("{")]
            told += [json.loads(line) for line in lines]
        self.ledger.close()
        return told


def _image(uid: str, number: int, variant: int, at: datetime) -> InstanceRow:
    return InstanceRow(
        series_uid=uid,
        study_uid=uid,
        sop_instance_uid=f"{uid}.{number}",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        content_digest=f"{number:064d}",
        patient_key=uid,
        path=f"{uid}/{number}.dcm",
        size_bytes=525_000,
        received_at=at,
        association_id="",
        current=True,
        variant_id=variant,
    )
