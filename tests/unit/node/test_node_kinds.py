"""Each kind of job has its analyst."""

from dataclasses import replace
from pathlib import Path

from node_builders import Clock, FakeAnalyst, MemoryStore, opened_ledger, result_objects
from site_builder import ADMISSION, COMPARE, NEXT_DAY, Site, scan
from sqlalchemy import select

from dicom_node.bootstrap.kinds import AnalystOfKinds
from dicom_node.jobs.state import JobKind
from dicom_node.jobs.tables import ResultSetRow
from dicom_node.jobs.task import AnalysisTask, Analyzed, Rejected
from dicom_node.jobs.worker import JobRules, Worker

TASK = AnalysisTask(
    job_id=1,
    series_instance_uid="1.2.3",
    study_instance_uid="1.2",
    input_digest="abc",
    files=(Path("image.dcm"),),
    arrival_flags=frozenset(),
    predecessors=(),
)


class Other(FakeAnalyst):
    """An analyst with digests of its own."""

    model_digest = "model-2"
    configuration_digest = "configuration-2"


def analyze(analyst, kind):
    return analyst.analyze(replace(TASK, kind=kind), on_step=lambda _: None)


def test_results_carry_the_digests_of_whoever_made_them():
    """A comparison is not taken for the result of the classifier."""
    first, second = FakeAnalyst(Analyzed(objects=())), Other(Analyzed(objects=()))
    analyst = AnalystOfKinds({JobKind.ANALYSIS: first, JobKind.COMPARISON: second})

    compared = analyze(analyst, JobKind.COMPARISON)
    analyzed = analyze(analyst, JobKind.ANALYSIS)

    assert (compared.model_digest, compared.configuration_digest) == ("model-2", "configuration-2")
    assert (analyzed.model_digest, analyzed.configuration_digest) == ("model-1", "configuration-1")
    assert [task.kind for task in second.tasks] == [JobKind.COMPARISON]
    assert (analyst.model_digest, analyst.configuration_digest) == ("model-1", "configuration-1")


def test_a_rejection_is_passed_on():
    """It has no results to mark."""
    refusal = Rejected(reason="Patient's Sex differs")
    analyst = AnalystOfKinds({JobKind.ANALYSIS: FakeAnalyst(), JobKind.COMPARISON: Other(refusal)})

    assert analyze(analyst, JobKind.COMPARISON) is refusal


def test_a_job_that_nobody_does_any_more_ends_with_a_reason():
    """The models on trial were taken out of the settings while a shadow waited."""
    analyst = AnalystOfKinds({JobKind.ANALYSIS: FakeAnalyst()})

    assert "no shadow any more" in analyze(analyst, JobKind.SHADOW).reason


def test_the_worker_hands_over_both_scans_and_plans_what_follows(tmp_path):
    """Two analyses plan a comparison; its analyst can open the images of both."""
    clock = Clock()
    compare = Other(Analyzed(objects=result_objects("9"), record={"status": "compared"}))
    with opened_ledger(tmp_path / "ledger.sqlite") as ledger:
        site = Site(ledger, clock)
        analyst = FakeAnalyst()
        worker = Worker(
            name="worker-0",
            queue=ledger.jobs,
            spool_root=tmp_path / "spool",
            analyst=AnalystOfKinds({JobKind.ANALYSIS: analyst, JobKind.COMPARISON: compare}),
            store=MemoryStore(),
            destinations=(),
            rules=JobRules(),
            clock=clock,
            on_overrun=lambda: None,
            plans=COMPARE,
        )
        for number, day in enumerate((ADMISSION, NEXT_DAY)):
            site.send(scan(number))
            analyst.outcome = Analyzed(
                objects=result_objects(str(number)),
                record={"status": "hematoma_found", "acquired_at": day},
            )
            assert worker.work_once()

        assert worker.work_once()

        assert not worker.work_once()
        (task,) = compare.tasks
        first, second = (done.files for done in analyst.tasks)
        assert (task.baseline.files, task.files) == (first, second)
        assert all(path.is_relative_to(tmp_path / "spool") for path in (*first, *second))
        with ledger.database.read() as session:
            made = select(ResultSetRow.model_digest).order_by(ResultSetRow.result_set_id)
            digests = session.scalars(made).all()
        assert digests == ["model-1", "model-1", "model-2"]
