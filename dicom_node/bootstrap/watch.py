"""The watch of a node: its ledger, its rules and what its bundles state, brought together."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dicom_node.bootstrap import parts
from dicom_node.jobs.alarm_memory import AlarmMemory
from dicom_node.jobs.database import Database
from dicom_node.jobs.pairs import AnalysisEntry, PairLedger
from dicom_node.settings.schema import Settings
from dicom_node.watch.alarms import SENTENCES, Alarm
from dicom_node.watch.history import drift_history
from dicom_node.watch.model_version import version_of
from dicom_node.watch.report import known_statistics, watch
from dicom_node.watch.rules import WatchRules
from dicom_node.watch.shadow import ShadowComparison
from dicom_node.watch.watched import Watched
from pipeline.errors import ModelBundleError
from pipeline.model_bundle import load_card
from pipeline.model_card import ModelCard
from pipeline.training_statistics import TrainingStatistics

LOGGER = logging.getLogger(__name__)


#: What a bundle states is read again after this long, though no job has ended since.
_LONGEST_KEPT_S = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """What the watch saw, which jobs had ended then, and when that was."""

    watched: Watched
    mark: tuple[object, ...]
    at_s: float


class NodeWatch:
    """Looks at the ledger when it is asked and a job has ended since the last time.

    Thousands of records are read, decoded and resampled for it, which takes seconds.

    Parameters
    ----------
    database : Database
        Of the ledger.
    settings : Settings
        Rules, and which bundles are in use or on trial.
    timer : Callable
        Returns seconds on a clock that never goes back.
    """

    def __init__(
        self,
        database: Database,
        settings: Settings,
        *,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pairs = PairLedger(database)
        self._memory = AlarmMemory(database)
        self._settings = settings
        self._rules = watch_rules(settings)
        self._timer = timer
        self._lock = threading.Lock()
        self._kept: _Kept | None = None

    def use(self, settings: Settings) -> None:
        """Go by other settings from now on."""
        with self._lock:
            self._settings = settings
            self._rules = watch_rules(settings)
            self._kept = None

    def look(self) -> Watched:
        """Return the watch at this moment; several pages that ask at once wait for one answer."""
        with self._lock:
            mark, now_s = self._pairs.mark(), self._timer()
            kept = self._kept
            if kept is None or kept.mark != mark or now_s - kept.at_s > _LONGEST_KEPT_S:
                kept = self._kept = _Kept(watched=self._look(), mark=mark, at_s=now_s)
            return kept.watched

    def _look(self) -> Watched:
        jobs, statistics = self._pairs.watched(), bundle_statistics(self._settings)
        report = watch(jobs, self._rules, statistics=statistics)
        if not report.versions:
            return Watched(report=report, history={})
        present = report.versions[0].version
        analyses: list[AnalysisEntry] = [
            one for one in jobs.analyses if version_of(one.record) == present
        ]
        known = known_statistics(present, statistics)
        return Watched(
            report=report, history=drift_history(analyses, self._rules, statistics=known)
        )

    def trial(self, settings: Settings) -> tuple[ShadowComparison, ...]:
        """Return what the models on trial by `settings` and others have said of the same scans."""
        worker = settings.worker
        wanted = {
            card.weights_sha256
            for name in (worker.shadow_segmentation_bundle, worker.shadow_classification_bundle)
            if name and (card := _card(name)) is not None
        }
        if not wanted:
            return ()
        return tuple(one for one in self.look().report.shadows if wanted <= one.shadow.weights)

    def needs(self) -> tuple[str, ...]:
        """Return how many more patients with an outcome a useful answer takes."""
        versions = self.look().report.versions
        return tuple(
            f"patients for {need.wish}: {need.more} more ({need.patients} in all)"
            for need in (versions[0].performance.needs if versions else ())
        )

    def standing(self) -> tuple[str, ...]:
        """Return the sentences of the alarms that stood when the office last looked."""
        names = self._memory.standing()
        return tuple(SENTENCES[alarm] for alarm in Alarm if alarm.value in names)

    def tick(self) -> None:
        """Log which alarms have come or gone since the last time, each once."""
        standing = self.look().report.alarms
        before = self._memory.exchange(one.value for one in standing)
        for alarm in Alarm:
            if alarm in standing and alarm.value not in before:
                LOGGER.warning("Watch: %s", SENTENCES[alarm])
            if alarm not in standing and alarm.value in before:
                LOGGER.info("Watch: no longer so: %s", SENTENCES[alarm])


def watch_rules(settings: Settings) -> WatchRules:
    """Return what counts as an outcome, and what alarms."""
    wanted = settings.watch
    return WatchRules(
        earliest_h=wanted.earliest_follow_up_h,
        latest_h=wanted.latest_follow_up_h,
        auc_width=wanted.auc_width,
        share_half_width=wanted.share_half_width,
        least_auc=wanted.least_auc,
        calibration_difference=wanted.calibration_difference,
        window=wanted.window,
        minimum=wanted.minimum,
        drift_psi=wanted.drift_psi,
        drift_p_value=wanted.drift_p_value,
    )


def bundle_statistics(settings: Settings) -> Mapping[str, TrainingStatistics]:
    """Return the training statistics of the bundles in use, by the digest of their weights.

    A bundle that cannot be read is left out: `ichnode check` names it, and the watch goes on.
    """
    found = {}
    worker = settings.worker
    for name in (worker.segmentation_bundle, worker.classification_bundle):
        card = _card(name)
        if card is not None and card.training_statistics is not None:
            found[card.weights_sha256] = card.training_statistics
    return found


def _card(name: str) -> ModelCard | None:
    """Return the card of a bundle, None if it cannot be read."""
    try:
        return load_card(parts.bundle_path(name))
    except ModelBundleError:
        return None
