"""The worker's analyst: the line of one series, between the spool and the outbox."""

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from dicom_node.bootstrap.comparers import series_comparer
from dicom_node.bootstrap.encoding import encoded
from dicom_node.bootstrap.kinds import AnalystOfKinds
from dicom_node.bootstrap.layout import DataLayout
from dicom_node.bootstrap.node_models import fitted_facts, load_node_models
from dicom_node.bootstrap.pair_analyst import PairAnalyst
from dicom_node.bootstrap.roles import utc_now
from dicom_node.bootstrap.shadow import ShadowAnalyst, has_shadow, shadow_settings
from dicom_node.jobs.state import JobKind
from dicom_node.jobs.task import (
    AnalysisOutcome,
    AnalysisTask,
    Analyzed,
    ObjectKind,
    Rejected,
)
from dicom_node.jobs.worker import Analyst
from dicom_node.results.capture_style import CaptureStyle
from dicom_node.series_analysis import (
    PreparedSeries,
    RejectedSeries,
    ResultConfiguration,
    SeriesAnalyst,
)
from dicom_node.settings.schema import Settings

if TYPE_CHECKING:
    from pipeline.models import Models


class WorkerAnalyst:
    """Analyses one task of the ledger after the other with warm models."""

    def __init__(self, analyst: SeriesAnalyst, layout: DataLayout) -> None:
        self._analyst = analyst
        self._layout = layout
        self._prepared: PreparedSeries | None = None

    @property
    def model_digest(self) -> str:
        """Digest of the weights."""
        return self._analyst.model_digest

    @property
    def configuration_digest(self) -> str:
        """Digest of whatever else changes a result."""
        return self._analyst.configuration_digest

    def read(self, files: Sequence[Path], *, go_on: Callable[[], None]) -> int:
        """Read what has come of a series, as `early_analysis.Preparer` says."""
        return self._analyst.ahead.read(files, go_on=go_on)

    def prepare(self, files: Sequence[Path], *, go_on: Callable[[], None]) -> None:
        """Look at a series and remember what was seen."""
        self._prepared = self._analyst.prepare(
            files, on_step=lambda _: go_on(), on_progress=lambda _: go_on()
        )

    def forget(self) -> None:
        """Drop what is remembered."""
        self._prepared = None
        self._analyst.ahead.forget()

    def analyze(self, task: AnalysisTask, *, on_step: Callable[[str], None]) -> AnalysisOutcome:
        """Return results, or why there can be none."""
        outcome = self._analyst.analyze(
            task.files,
            series_instance_uid=task.series_instance_uid,
            summary=self._layout.summary(task.job_id),
            supersedes=task.predecessors,
            prepared=self._prepared,
            on_step=on_step,
        )
        record = {**outcome.record, "arrival_flags": sorted(task.arrival_flags)}
        if isinstance(outcome, RejectedSeries):
            reports = [] if outcome.report is None else [outcome.report]
            return Rejected(
                reason=outcome.reason.message,
                record=record,
                objects=tuple(encoded(ObjectKind.REPORT, each) for each in reports),
            )
        objects = tuple(encoded(kind, each) for kind, each in outcome.objects.with_kinds)
        return Analyzed(objects=objects, record=record)


def make_analyst(settings: Settings, layout: DataLayout) -> Analyst:
    """Return the analyst of a worker, with its models loaded and warm.

    Raises
    ------
    ModelBundleError
        If a bundle is missing or altered.
    """
    models = load_node_models(settings)
    models.warm_up()
    analysis = WorkerAnalyst(series_analyst(settings, models), layout)
    analysts: dict[JobKind, Analyst] = {
        JobKind.ANALYSIS: analysis,
        JobKind.COMPARISON: PairAnalyst(series_comparer(settings, models), layout),
    }
    if has_shadow(settings):
        analysts[JobKind.SHADOW] = ShadowAnalyst(lambda: _make_shadow(settings, layout))
    return AnalystOfKinds(analysts)


def _make_shadow(settings: Settings, layout: DataLayout) -> Analyst:
    """Return the analyst of the models on trial. Raises ModelBundleError."""
    shadow = shadow_settings(settings)
    return WorkerAnalyst(series_analyst(shadow, load_node_models(shadow)), layout)


def series_analyst(
    settings: Settings, models: "Models", *, clock: Callable[[], datetime] = utc_now
) -> SeriesAnalyst:
    """Return whoever analyses a series with these models as the settings want it."""
    return SeriesAnalyst(
        models,
        clock=clock,
        configuration=ResultConfiguration(
            with_uncertainty_map=settings.results.uncertainty_map,
            say_not_processed=settings.results.say_not_processed,
            with_pdf=settings.results.pdf,
            with_key_objects=settings.results.key_objects,
            capture_style=CaptureStyle(settings.results.capture_style),
            fitted=tuple(fact for card in models.cards for fact in fitted_facts(card)),
        ),
    )
