"""The worker's analyst of pairs: two scans of one patient, between the spool and the outbox."""

from collections.abc import Callable

from dicom_node.bootstrap.encoding import encoded
from dicom_node.bootstrap.layout import DataLayout
from dicom_node.jobs.task import AnalysisOutcome, AnalysisTask, Analyzed, Rejected
from dicom_node.series_comparison import RefusedComparison, SeriesComparer


class PairAnalyst:
    """Compares one pair of the ledger after the other with warm models."""

    def __init__(self, comparer: SeriesComparer, layout: DataLayout) -> None:
        self._comparer = comparer
        self._layout = layout

    @property
    def model_digest(self) -> str:
        """Digest of the weights."""
        return self._comparer.model_digest

    @property
    def configuration_digest(self) -> str:
        """Digest of whatever else changes a comparison."""
        return self._comparer.configuration_digest

    def analyze(self, task: AnalysisTask, *, on_step: Callable[[str], None]) -> AnalysisOutcome:
        """Return results, or why there can be none.

        Raises
        ------
        ValueError
            If the task has no baseline.
        """
        if task.baseline is None:
            raise ValueError(f"Job {task.job_id} is a comparison without a baseline")
        outcome = self._comparer.compare(
            task.baseline.files,
            task.files,
            baseline_series_uid=task.baseline.series_instance_uid,
            follow_up_series_uid=task.series_instance_uid,
            summary=self._layout.summary(task.job_id),
            supersedes=task.predecessors,
            on_step=on_step,
        )
        if isinstance(outcome, RefusedComparison):
            return Rejected(reason=outcome.reason, record=outcome.record)
        objects = tuple(encoded(kind, each) for kind, each in outcome.objects.with_kinds)
        return Analyzed(objects=objects, record=outcome.record)
