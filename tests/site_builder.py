"""A site in a test: sends scans to a ledger and works off its jobs without a network."""

from datetime import timedelta

from node_builders import arrive, small_series, stored_objects
from sqlalchemy import select

from dicom_node.intake.assembly import AssemblyRules
from dicom_node.intake.default_rules import DEFAULT_RULES
from dicom_node.jobs.office import AssemblyOffice
from dicom_node.jobs.pairing import PairingRules
from dicom_node.jobs.planning import PlanningRules
from dicom_node.jobs.state import JobKind
from dicom_node.jobs.tables import JobRow

PAIRING = PairingRules(window=timedelta(hours=72), minimum_interval=timedelta(hours=1))
COMPARE = PlanningRules(pairing=PAIRING)
ADMISSION, NEXT_DAY, LATER = "2026-01-05T08:00:00", "2026-01-06T08:00:00", "2026-01-06T20:00:00"


def scan(number, **options):
    """Return a series of another study of the same patient."""
    return small_series(seed=number, study_uid=f"1.2.{number}", **options)


class Site:
    """Sends scans to a ledger and works off its jobs, as receiver, office and worker would."""

    def __init__(self, ledger, clock, plans=COMPARE):
        self.ledger, self.clock, self.plans = ledger, clock, plans
        self.sent = 0

    def send(self, series):
        self.sent += 1
        arrive(self.ledger, series, self.clock, association_id=f"association-{self.sent}")
        self.assemble(5)

    def assemble(self, seconds=0):
        """Let time pass and judge what has arrived."""
        self.clock.turn(seconds)
        AssemblyOffice(
            ledger=self.ledger,
            assembly=AssemblyRules(),
            selection=DEFAULT_RULES,
            clock=self.clock,
        ).tick()

    def claim(self, worker="worker-0"):
        return self.ledger.jobs.claim(worker, now=self.clock(), lease_s=60, time_limit_s=600)

    def complete(self, held, **record):
        self.ledger.jobs.complete(
            held,
            stored_objects(str(held.task.job_id)),
            model_digest="m",
            configuration_digest="c",
            destinations=(),
            record=record,
            now=self.clock(),
            plans=self.plans,
        )
        self.clock.turn(1)
        return held.task

    def analyze(self, series, acquired_at, status="hematoma_found"):
        """Send a scan and finish its analysis, whatever else waits."""
        self.send(series)
        return self.finish(acquired_at, status)

    def finish(self, acquired_at, status="hematoma_found"):
        held = self.claim()
        assert held.task.kind is JobKind.ANALYSIS
        return self.complete(held, acquired_at=acquired_at, status=status)

    def jobs(self, kind):
        with self.ledger.database.read() as session:
            rows = session.scalars(select(JobRow).where(JobRow.kind == kind)).all()
            return [(row.baseline_job_id, row.analysis_job_id, row.state) for row in rows]
