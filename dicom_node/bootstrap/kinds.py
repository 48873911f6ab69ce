"""One analyst for every kind of job."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from dicom_node.early_analysis import Preparer
from dicom_node.jobs.state import JobKind
from dicom_node.jobs.task import AnalysisOutcome, AnalysisTask, Analyzed, Rejected
from dicom_node.jobs.worker import Analyst


class AnalystOfKinds:
    """Hands a task to whoever does its kind; results carry the digests of whoever made them.

    Parameters
    ----------
    analysts
        Who does what; there must be one for analyses.
    """

    def __init__(self, analysts: Mapping[JobKind, Analyst]) -> None:
        self._analysts = dict(analysts)
        self._first = self._analysts[JobKind.ANALYSIS]

    @property
    def model_digest(self) -> str:
        """Digest of the weights that analyses are made with."""
        return self._first.model_digest

    @property
    def configuration_digest(self) -> str:
        """Digest of whatever else changes an analysis."""
        return self._first.configuration_digest

    def read(self, files: Sequence[Path], *, go_on: Callable[[], None]) -> int:
        """Have read what has come of a series, if whoever does analyses can."""
        return self._first.read(files, go_on=go_on) if isinstance(self._first, Preparer) else 0

    def prepare(self, files: Sequence[Path], *, go_on: Callable[[], None]) -> None:
        """Have a series looked at before there is a job, if whoever does analyses can."""
        if isinstance(self._first, Preparer):
            self._first.prepare(files, go_on=go_on)

    def forget(self) -> None:
        """Drop what was seen in it."""
        if isinstance(self._first, Preparer):
            self._first.forget()

    def analyze(self, task: AnalysisTask, *, on_step: Callable[[str], None]) -> AnalysisOutcome:
        """Return results, or why there can be none."""
        analyst = self._analysts.get(task.kind)
        if analyst is None:  # it was planned before the site switched this off
            return Rejected(reason=f"this node makes no {task.kind} any more")
        outcome = analyst.analyze(task, on_step=on_step)
        if isinstance(outcome, Analyzed):
            return replace(
                outcome,
                model_digest=analyst.model_digest,
                configuration_digest=analyst.configuration_digest,
            )
        return outcome
