"""What the page of models asks for, and whom it tells."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from dicom_node.configuration.history import Change
from dicom_node.errors import NodeError
from dicom_node.jobs.trial_progress import TrialProgress
from dicom_node.model_view import ModelView
from dicom_node.watch.view import Section


class WrongMomentError(NodeError):
    """The models are not in the state for what was asked; says which they are in."""


class WorkStep(StrEnum):
    """How far a change of the models is. The values are shown."""

    CHECKING = "checking"
    DONE = "done"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelWork:
    """A change of the models that somebody asked for, whose models are tried first.

    Attributes
    ----------
    event, sentence : str
        What shall happen, and what is said once it has happened.
    step : WorkStep
        How far it is.
    models : tuple of str
        Which, name and version.
    who : str
        Who asked.
    at : datetime
        When.
    fault : str
        Why nothing was changed.
    """

    event: str
    sentence: str
    step: WorkStep
    models: tuple[str, ...]
    who: str
    at: datetime
    fault: str = ""

    @property
    def is_open(self) -> bool:
        """Whether the models are being tried."""
        return self.step is WorkStep.CHECKING


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelEvent:
    """Something that happened to the models of the node.

    Attributes
    ----------
    at : datetime
        When.
    event, who : str
        What, and who did it; empty if it was not written down.
    models : tuple of (str, str)
        Keys of the settings and what they became; empty for nothing.
    """

    at: datetime
    event: str
    who: str
    models: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelChoice:
    """A bundle that could be put on trial."""

    bundle: str
    task: str
    title: str
    demonstration: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelStanding:
    """The models of the node at one moment.

    Attributes
    ----------
    in_use, on_trial : tuple of ModelView
        One for a task.
    faults : tuple of str
        Bundles of the settings that cannot be read, workers that could not load theirs.
    progress : TrialProgress or None
        How far the trial is; None if nothing is on trial.
    since : datetime or None
        When it began, if that is known.
    comparisons : tuple of Section
        What the models on trial and those in use have said of the same scans.
    needs : tuple of str
        How many more patients with an outcome it takes to tell how good they are.
    choices : tuple of ModelChoice
        Bundles that could be put on trial.
    history : tuple of ModelEvent
        What happened to the models, the latest first.
    work : ModelWork or None
        What was asked for last since the node started.
    """

    in_use: tuple[ModelView, ...]
    on_trial: tuple[ModelView, ...]
    faults: tuple[str, ...]
    progress: TrialProgress | None
    since: datetime | None
    comparisons: tuple[Section, ...]
    needs: tuple[str, ...]
    choices: tuple[ModelChoice, ...]
    history: tuple[ModelEvent, ...] = ()
    work: ModelWork | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the standing for JSON."""
        return dataclasses.asdict(self)


class ModelSource(Protocol):
    """Answers which models there are, and changes them; what it refuses is a NodeError."""

    def look(self) -> ModelStanding:
        """Return the models at this moment. Raises LedgerError, SettingsError."""

    def begin_trial(self, bundles: Sequence[str], *, who: str, why: str) -> ModelWork:
        """Begin to try models and to put them on trial. Raises NodeError, SettingsError."""

    def end_trial(self, *, who: str, why: str) -> Change | None:
        """Take models off trial; None if none was. Raises NodeError, SettingsError."""

    def begin_promotion(
        self, *, who: str, why: str, seen: frozenset[str] | None = None
    ) -> ModelWork:
        """Begin to let the models on trial take over.

        `seen` are the digests of the models that somebody has looked at.

        Raises
        ------
        NodeError, SettingsError
            If there are none, or others by now.
        """
