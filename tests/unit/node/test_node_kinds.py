"""Each kind of job has its analyst."""

from dataclasses import replace
from pathlib import Path

from node_builders import FakeAnalyst

from dicom_node.bootstrap.kinds import AnalystOfKinds
from dicom_node.jobs.state import JobKind
from dicom_node.jobs.task import AnalysisTask, Analyzed, Rejected

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
