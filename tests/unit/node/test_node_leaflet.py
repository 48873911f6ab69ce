"""A series that cannot be analysed leaves a report that says so, where a site wants it."""

from node_builders import (
    FakeAnalyst,
    arrive,
    result_objects,
    small_series,
)

from dicom_node.delivery.outbox import Outbox
from dicom_node.intake.assembly import AssemblyRules
from dicom_node.intake.default_rules import DEFAULT_RULES
from dicom_node.jobs.office import AssemblyOffice
from dicom_node.jobs.routing import Receives, Route
from dicom_node.jobs.state import JobState
from dicom_node.jobs.task import Rejected
from dicom_node.jobs.worker import JobRules, Worker

ROUTES = (Route(name="pacs"), Route(name="neurosurgery", receives=Receives.FINDINGS))


def study(ledger, clock, *series):
    """Let series of one study arrive and be chosen from."""
    for images in series:
        arrive(ledger, images, clock)
    for _ in range(3):
        clock.turn(40)
        AssemblyOffice(
            ledger=ledger, assembly=AssemblyRules(), selection=DEFAULT_RULES, clock=clock
        ).tick()


def work(ledger, clock, tmp_path):
    """Reject the series that is next, with a report."""
    rejected = Rejected(
        reason="too_few_slices", record={"status": "rejected"}, objects=result_objects()[2:]
    )
    worker = Worker(
        name="worker-0",
        queue=ledger.jobs,
        spool_root=tmp_path,
        analyst=FakeAnalyst(rejected),
        store=Outbox(tmp_path / "outbox"),
        destinations=ROUTES,
        rules=JobRules(),
        clock=clock,
        on_overrun=lambda: None,
    )
    assert worker.work_once()


def test_the_report_goes_to_whoever_receives_everything(ledger, clock, tmp_path):
    """The job stays rejected; a destination for findings gets nothing."""
    study(ledger, clock, small_series())

    work(ledger, clock, tmp_path)

    (series,) = ledger.reports.overview().series
    assert series.job.state is JobState.REJECTED
    assert [(one.destination, one.kind) for one in series.deliveries] == [("pacs", "report")]


def test_the_delivery_leaves_the_job_rejected(ledger, clock, tmp_path):
    """Accepted by the PACS, and still no result."""
    study(ledger, clock, small_series())
    work(ledger, clock, tmp_path)

    parcel = ledger.deliveries.claim("pacs", "courier", now=clock(), lease_s=60)
    ledger.deliveries.accept(parcel.items[0], "accepted", now=clock())

    (series,) = ledger.reports.overview().series
    assert series.job.state is JobState.REJECTED
    assert [one.state.value for one in series.deliveries] == ["accepted"]


def test_nothing_is_said_while_another_series_may_step_in(ledger, clock, tmp_path):
    """Two series of one study: the report comes only when the second is rejected, too."""
    first = small_series()
    second = small_series(seed=1)
    for number, ds in enumerate(second):
        ds.StudyInstanceUID = first[0].StudyInstanceUID
        ds.SeriesInstanceUID = "1.2.3.2"
        ds.SOPInstanceUID = f"1.2.3.2.{number}"
    study(ledger, clock, first, second)

    work(ledger, clock, tmp_path)
    after_first = [len(one.deliveries) for one in ledger.reports.overview().series]
    study(ledger, clock)
    work(ledger, clock, tmp_path)

    assert sorted(after_first) == [0, 0]
    assert sorted(len(one.deliveries) for one in ledger.reports.overview().series) == [0, 1]
