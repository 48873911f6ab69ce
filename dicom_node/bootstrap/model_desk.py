"""The models of a node for its pages: which there are, and changes that take a while.

What was asked for since the start is kept in memory: a change that a restart interrupts has
changed nothing, and whatever was changed stands in the settings and in the history of models.
"""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Final

from dicom_node.bootstrap.model_faults import model_faults
from dicom_node.bootstrap.model_trial import (
    KEYS,
    SENTENCES,
    TrialEvent,
    TrialStep,
    bundle_name,
    card_of,
    folder_of,
    in_use,
    model_history,
    on_trial,
    plan_end,
    plan_promotion,
    plan_trial,
    write_step,
)
from dicom_node.bootstrap.model_warm_up import try_models_apart
from dicom_node.bootstrap.shadow import has_shadow
from dicom_node.bootstrap.signs_of_life import seen_ages
from dicom_node.bootstrap.watch import NodeWatch
from dicom_node.configuration.history import Change
from dicom_node.errors import NodeError, describe_error
from dicom_node.jobs.ledger import Ledger
from dicom_node.jobs.trial_progress import trial_progress
from dicom_node.model_view import ModelView, model_view
from dicom_node.settings.file import SettingsError
from dicom_node.settings.schema import Settings
from dicom_node.watch.view import shadow_section
from dicom_node.web.administration import SettingsDesk
from dicom_node.web.model_source import (
    ModelChoice,
    ModelEvent,
    ModelStanding,
    ModelWork,
    WorkStep,
    WrongMomentError,
)
from pipeline.errors import ModelBundleError
from pipeline.model_bundle import CARD_FILE, builtin_bundle_paths, load_card

LOGGER = logging.getLogger(__name__)

#: Events of the history that a page shows.
MOST_EVENTS: Final = 20

#: Bundles that are offered; a folder with more of them is not meant for that.
_MOST_CHOICES: Final = 50


class ModelDesk:
    """What the page of models asks and tells; a `dicom_node.web.model_source.ModelSource`.

    Parameters
    ----------
    desk
        The settings file.
    ledger, clock
        Of the node.
    watch
        Compares models on trial with those in use.
    try_models
        Loads models somewhere and lets them see something; raises NodeError.
    """

    def __init__(
        self,
        desk: SettingsDesk,
        *,
        ledger: Ledger,
        watch: NodeWatch,
        clock: Callable[[], datetime],
        try_models: Callable[[Settings], None] = try_models_apart,
    ) -> None:
        self._desk = desk
        self._ledger = ledger
        self._watch = watch
        self._clock = clock
        self._try_models = try_models
        self._lock = threading.Lock()
        self._work: ModelWork | None = None

    def look(self) -> ModelStanding:
        """Return the models at this moment. Raises LedgerError, SettingsError."""
        settings = self._desk.settings()
        history = model_history(settings, most=MOST_EVENTS)
        tries = has_shadow(settings)
        since = _began(history) if tries else None
        used, faults = _views(_bundles_in_use(settings))
        tried, more = _views(on_trial(settings, task) for task in KEYS)
        return ModelStanding(
            in_use=used,
            on_trial=tried,
            faults=(*faults, *more, *self._worker_faults()),
            progress=trial_progress(self._ledger.database, since=since) if tries else None,
            since=since,
            comparisons=tuple(map(shadow_section, self._watch.trial(settings))) if tries else (),
            needs=self._watch.needs() if tries else (),
            choices=tuple(_choices(settings, {one.weights_sha256 for one in (*used, *tried)})),
            history=history,
            work=self._work,
        )

    def begin_trial(self, bundles: Sequence[str], *, who: str, why: str) -> ModelWork:
        """Begin to try models and to put them on trial. Raises NodeError, SettingsError."""
        settings, digest = self._file()
        step = plan_trial(settings, [bundle_name(one) for one in bundles])
        return self._begin(step, settings, who=who, why=why, digest=digest)

    def begin_promotion(
        self, *, who: str, why: str, seen: frozenset[str] | None = None
    ) -> ModelWork:
        """Begin to let the models on trial take over.

        Raises
        ------
        WrongMomentError, NodeError, SettingsError
            If there are none, or others than were looked at, or others are being tried.
        """
        settings, digest = self._file()
        step = plan_promotion(settings)
        tried = {card_of(name).weights_sha256 for name in _names(step)}
        if seen is not None and seen != tried:
            raise WrongMomentError("other models are on trial by now; look at them first")
        return self._begin(step, settings, who=who, why=why, digest=digest)

    def end_trial(self, *, who: str, why: str) -> Change | None:
        """Take models off trial; None if the file said so before.

        Raises
        ------
        WrongMomentError, NodeError, SettingsError
            If none is, or the file cannot be changed.
        """
        settings, digest = self._file()
        if not has_shadow(settings):
            raise WrongMomentError("no model is on trial")
        return self._write(plan_end(), settings, who=who, why=why, digest=digest)

    def _file(self) -> tuple[Settings, str]:
        """Return what the file says, and its digest. Raises NoSettingsFileError, SettingsError."""
        found = self._desk.read()
        if found.settings is None:
            raise SettingsError(str(found.path), found.faults)
        return found.settings, found.digest

    def _begin(
        self, step: TrialStep, settings: Settings, *, who: str, why: str, digest: str
    ) -> ModelWork:
        """Try the models of a step in the background, then write it."""
        cards = [card_of(name) for name in _names(step)]
        work = ModelWork(
            event=step.event,
            sentence=SENTENCES[step.event],
            step=WorkStep.CHECKING,
            models=tuple(f"{card.name} {card.version}" for card in cards),
            who=who,
            at=self._clock(),
        )
        with self._lock:
            if self._work is not None and self._work.is_open:
                raise WrongMomentError("other models are being tried; wait for them")
            self._work = work
        threading.Thread(
            target=self._carry_out,
            args=(step, settings, work),
            kwargs={"why": why, "digest": digest},
            name="models",
            daemon=True,
        ).start()
        return work

    def _carry_out(
        self, step: TrialStep, settings: Settings, work: ModelWork, *, why: str, digest: str
    ) -> None:
        try:
            if step.loads is not None:
                self._try_models(step.loads)
            self._write(step, settings, who=work.who, why=why, digest=digest)
        except Exception as error:  # noqa: BLE001 - whoever waits is told, whatever happened
            words = describe_error(error, trusted=(NodeError, SettingsError))
            LOGGER.warning("Models were not changed (%s): %s", step.event, words)
            self._work = replace(work, step=WorkStep.REFUSED, fault=words)
        else:
            self._work = replace(work, step=WorkStep.DONE)

    def _write(
        self, step: TrialStep, settings: Settings, *, who: str, why: str, digest: str
    ) -> Change | None:
        return write_step(
            step,
            settings=settings,
            change=lambda edits: self._desk.change(
                edits, who=who, why=why or step.event, digest=digest
            ),
            who=who,
            now=self._clock(),
        )

    def _worker_faults(self) -> tuple[str, ...]:
        reports = self._ledger.reports
        processes = reports.processes()
        return model_faults(
            reports.document,
            processes=(process.name for process in processes),
            seen=seen_ages(processes, self._clock()),
        )


def _names(step: TrialStep) -> list[str]:
    """Return the bundles that a step puts somewhere."""
    return [name for name in step.values.values() if name]


def _bundles_in_use(settings: Settings) -> Iterator[str]:
    yield from (in_use(settings, task) for task in KEYS)
    yield settings.worker.growth_bundle


def _views(bundles: "Iterator[str]") -> tuple[tuple[ModelView, ...], tuple[str, ...]]:
    """Return what bundles are, and what is wrong with those that cannot be read."""
    found, faults = [], []
    for name in filter(None, bundles):
        try:
            found.append(model_view(folder_of(name), bundle=name))
        except (NodeError, ModelBundleError) as error:
            faults.append(f"{name}: {error}")
    return tuple(found), tuple(faults)


def _choices(settings: Settings, known: set[str]) -> Iterator[ModelChoice]:
    """Yield the bundles that came along, and those beside the ones that the settings name."""
    worker = settings.worker
    named = [
        *_bundles_in_use(settings),
        worker.shadow_segmentation_bundle,
        worker.shadow_classification_bundle,
    ]
    places = {Path(name).expanduser().parent for name in named if "/" in name}
    beside = [card.parent for place in sorted(places) for card in place.glob(f"*/{CARD_FILE}")]
    shipped = [(path.name, path) for path in builtin_bundle_paths()]
    for name, path in [*shipped, *((str(path), path) for path in sorted(beside))][:_MOST_CHOICES]:
        try:
            card = load_card(path)
        except ModelBundleError:
            continue  # ichnode models list names it
        if card.task in KEYS and card.weights_sha256 not in known:
            title = f"{card.name} {card.version}"
            yield ModelChoice(
                bundle=name, task=card.task, title=title, demonstration=card.demonstration
            )


def _began(history: Sequence[ModelEvent]) -> datetime | None:
    """Return when the trial began that is under way; None if the history does not know."""
    return next((one.at for one in history if one.event == TrialEvent.ON_TRIAL), None)
