"""Models on trial: they see every series that the node has analysed, and nobody hears of it."""

from collections.abc import Callable
from dataclasses import replace

from dicom_node.jobs.state import JobKind
from dicom_node.jobs.task import AnalysisOutcome, AnalysisTask
from dicom_node.jobs.worker import Analyst
from dicom_node.settings.schema import Settings


def has_shadow(settings: Settings) -> bool:
    """Return whether the site has models on trial."""
    worker = settings.worker
    return bool(worker.shadow_segmentation_bundle or worker.shadow_classification_bundle)


def shadow_settings(settings: Settings) -> Settings:
    """Return the settings with the models on trial in the place of the current ones.

    A model that has nobody on trial beside it stands in for itself. A trial makes no forecast.
    """
    worker = settings.worker
    changed = {
        "segmentation_bundle": worker.shadow_segmentation_bundle or worker.segmentation_bundle,
        "classification_bundle": (
            worker.shadow_classification_bundle or worker.classification_bundle
        ),
        "shadow_segmentation_bundle": "",
        "shadow_classification_bundle": "",
    }
    return settings.model_copy(
        update={
            "worker": worker.model_copy(update=changed),
            "results": settings.results.model_copy(update={"forecast": False}),
        }
    )


class ShadowAnalyst:
    """Analyses as the node would with the models on trial, and keeps the record alone.

    The models are loaded when the first job asks for them, so that a node without idle time
    spends no memory, and a bundle that cannot be loaded fails shadow jobs and nothing else.

    Parameters
    ----------
    load
        Makes the analyst with the models on trial; may raise ModelBundleError.
    """

    def __init__(self, load: Callable[[], Analyst]) -> None:
        self._load = load
        self._analyst: Analyst | None = None

    @property
    def model_digest(self) -> str:
        """Digest of the weights on trial; loads them."""
        return self._loaded().model_digest

    @property
    def configuration_digest(self) -> str:
        """Digest of whatever else changes a result; loads the models."""
        return self._loaded().configuration_digest

    def analyze(self, task: AnalysisTask, *, on_step: Callable[[str], None]) -> AnalysisOutcome:
        """Return a record without objects, or why there can be none."""
        outcome = self._loaded().analyze(task, on_step=on_step)
        # A rejection may bring an object, too: the report that the series was not processed.
        record = {**outcome.record, "kind": JobKind.SHADOW.value}
        return replace(outcome, objects=(), record=record)

    def _loaded(self) -> Analyst:
        if self._analyst is None:
            self._analyst = self._load()
        return self._analyst
