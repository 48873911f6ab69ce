"""Models on trial work in silence, and fail in silence."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from node_builders import (
    START,
    Clock,
    FakeAnalyst,
    MemoryStore,
    arrive,
    result_objects,
    small_series,
)
from sqlalchemy import select

from dicom_node.bootstrap.kinds import AnalystOfKinds
from dicom_node.bootstrap.shadow import ShadowAnalyst, has_shadow, shadow_settings
from dicom_node.intake.assembly import AssemblyRules
from dicom_node.intake.default_rules import DEFAULT_RULES
from dicom_node.jobs.office import AssemblyOffice
from dicom_node.jobs.planning import PlanningRules
from dicom_node.jobs.routing import Route
from dicom_node.jobs.state import JobKind, JobState
from dicom_node.jobs.tables import JobRow, ObjectRow
from dicom_node.jobs.task import Analyzed, Rejected
from dicom_node.jobs.worker import JobRules, Worker
from dicom_node.settings.schema import Settings, WorkerSettings
from pipeline.errors import ModelBundleError


class Trial:
    """Another model, that answers at once."""

    model_digest = "model-on-trial"
    configuration_digest = "configuration-on-trial"

    def __init__(self, outcome):
        self.outcome = outcome

    def analyze(self, task, *, on_step):
        on_step("segment")
        return self.outcome(task)


class Current(FakeAnalyst):
    """The node's own models; they read no file here."""

    def analyze(self, task, *, on_step):
        return super().analyze(replace(task, files=()), on_step=on_step)


def work_off(ledger, load):
    """Send one series to a node with these models on trial, and work until nothing waits."""
    clock = Clock()
    arrive(ledger, small_series(), clock)
    clock.turn(5)
    AssemblyOffice(
        ledger=ledger, assembly=AssemblyRules(), selection=DEFAULT_RULES, clock=clock
    ).tick()
    analyst = AnalystOfKinds({JobKind.ANALYSIS: Current(), JobKind.SHADOW: ShadowAnalyst(load)})
    worker = Worker(
        name="worker-0",
        queue=ledger.jobs,
        spool_root=Path(),
        analyst=analyst,
        store=MemoryStore(),
        destinations=(Route(name="pacs"),),
        rules=JobRules(),
        plans=PlanningRules(with_shadow=True),
        clock=clock,
        on_overrun=lambda: None,
    )
    while worker.work_once():
        clock.turn(1)


def jobs(ledger):
    with ledger.database.read() as session:
        return {row.kind: row for row in session.scalars(select(JobRow))}


def test_a_trial_leaves_a_record_and_sends_nothing(ledger):
    """Objects of the other models are dropped; the record says whose it is."""

    def outcome(task):
        del task
        return Analyzed(objects=result_objects("77"), record={"he_probability": 0.4})

    work_off(ledger, lambda: Trial(outcome))

    shadow, current = jobs(ledger)[JobKind.SHADOW], jobs(ledger)[JobKind.ANALYSIS]
    assert json.loads(shadow.record) == {"he_probability": 0.4, "kind": "shadow"}
    assert shadow.state is JobState.DELIVERED
    assert shadow.analysis_job_id == current.job_id
    assert current.state is JobState.DELIVERING
    with ledger.database.read() as session:
        objects = session.scalars(select(ObjectRow)).all()
    assert {one.result_set_id for one in objects} == {current.result_set_id}


@pytest.mark.parametrize(
    ("fault", "state"),
    [
        (ModelBundleError("the bundle is gone"), JobState.FAILED),
        (Rejected(reason="the other model refuses"), JobState.REJECTED),
        (RuntimeError("out of memory"), JobState.QUEUED),
    ],
)
def test_a_trial_that_fails_leaves_the_result_alone(ledger, fault, state):
    """A missing bundle, a refusal, a crash: the series stays what it was, its results go out."""

    def outcome(task):
        del task
        if isinstance(fault, Exception):
            raise fault
        return fault

    work_off(ledger, lambda: Trial(outcome))

    assert jobs(ledger)[JobKind.SHADOW].state is state
    assert jobs(ledger)[JobKind.ANALYSIS].state is JobState.DELIVERING
    (series,) = ledger.reports.overview().series
    assert series.job.kind is JobKind.ANALYSIS
    assert len(series.deliveries) == 3


@pytest.mark.parametrize("kind", [Analyzed, Rejected])
def test_a_trial_hands_on_no_object(kind):
    """Neither results nor the report that a series was not processed."""
    words = {"reason": "no head"} if kind is Rejected else {}
    outcome = kind(objects=result_objects("78"), **words)

    told = ShadowAnalyst(lambda: Trial(lambda _: outcome)).analyze(None, on_step=lambda _: None)

    assert told.objects == ()
    assert told.record == {"kind": "shadow"}


def test_models_on_trial_are_loaded_once_and_only_when_asked_for():
    """A node whose worker is always busy spends no memory on them."""
    loaded = []

    def load():
        loaded.append(START)
        return Trial(lambda _: Analyzed(objects=(), record={}))

    analyst = ShadowAnalyst(load)
    assert loaded == []

    for _ in range(2):
        analyst.analyze(None, on_step=lambda _: None)

    assert (len(loaded), analyst.model_digest) == (1, "model-on-trial")


@pytest.mark.parametrize(
    ("trial", "segmentation", "classification"),
    [
        ({"shadow_classification_bundle": "/c2"}, "/s", "/c2"),
        ({"shadow_segmentation_bundle": "/s2"}, "/s2", "/c"),
        (
            {"shadow_segmentation_bundle": "/s2", "shadow_classification_bundle": "/c2"},
            "/s2",
            "/c2",
        ),
    ],
)
def test_a_model_without_a_rival_stands_in_for_itself(trial, segmentation, classification):
    """A trial of one model is a trial of the pair that it would be part of."""
    settings = Settings(
        worker=WorkerSettings(segmentation_bundle="/s", classification_bundle="/c", **trial)
    )

    changed = shadow_settings(settings).worker

    assert has_shadow(settings)
    assert not has_shadow(shadow_settings(settings))
    assert (changed.segmentation_bundle, changed.classification_bundle) == (
        segmentation,
        classification,
    )


def test_without_models_on_trial_there_is_no_shadow():
    """The default."""
    assert not has_shadow(Settings())
