"""One stage of the study: what it needs, what it does, what stands of it on the disk."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.study.outcome import Outcome, outcome_of, outcome_record, write_json

if TYPE_CHECKING:
    from training.study.budget import BudgetFile
    from training.study.participants import Participants

RESULT_FILE = "result.json"

#: Told what is done, and which share of the stage is done.
OnProgress = Callable[[str, float], None]


class StageImpossibleError(ValueError):
    """A stage cannot be done with what there is; the message says why."""


class StageState(StrEnum):
    """What became of a stage. The values are stored; never rename one."""

    DONE = "done"
    IMPOSSIBLE = "impossible"  #: for want of patients, files or an earlier stage
    FAILED = "failed"  #: by an error
    LEFT_OUT = "left out"  #: not chosen, and no result of an earlier call fits


@dataclass(frozen=True, slots=True, kw_only=True)
class StudySettings:
    """What a study is made of; the same for all stages.

    Attributes
    ----------
    participants : Participants
        Patients.
    budget : BudgetFile
        Trainings.
    device : str
        ``cpu`` or ``cuda``.
    readers : Path or None
        Folder of a finished reader study.
    features : Path or None
        Network for the distances of synthetic slices; None for the shipped classifier.
    initial : Path or None
        Weights that the classifiers start from.
    truth : Path
        File with the best possible AUC of a simulated cohort; need not exist.
    """

    participants: "Participants"
    budget: "BudgetFile"
    device: str
    readers: Path | None
    features: Path | None
    initial: Path | None
    truth: Path

    @property
    def is_simulated(self) -> bool:
        """Whether the patients are simulated; a truth file is of nobody else."""
        return self.truth.is_file() or self.participants.is_simulated()


@dataclass(frozen=True, slots=True, kw_only=True)
class StageResult:
    """What stands of a stage.

    Attributes
    ----------
    name : str
        Of the stage.
    state : StageState
        What became of it.
    folder : Path or None
        Where its files lie; None if it was never begun.
    outcome : Outcome or None
        What it found; None unless it is done.
    reason : str
        Why it is not done.
    seconds : float
        What it took, over all calls.
    is_cached : bool
        Whether an earlier call did it.
    """

    name: str
    state: StageState
    folder: Path | None = None
    outcome: Outcome | None = None
    reason: str = ""
    seconds: float = 0.0
    is_cached: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRoom:
    """What a stage works with.

    Attributes
    ----------
    settings : StudySettings
        Of the study.
    folder : Path
        Its own folder; what an interrupted call left is there.
    earlier : mapping of str to StageResult
        The stages that it comes after.
    follow : callable
        To be told how far it is.
    clock : callable
        Seconds, rising.
    """

    settings: StudySettings
    folder: Path
    earlier: Mapping[str, StageResult]
    follow: OnProgress
    clock: Callable[[], float]

    def need(self, name: str) -> tuple[Path, Outcome]:
        """Return folder and outcome of an earlier stage.

        Raises
        ------
        StageImpossibleError
            If it is not done.
        """
        found = self.earlier.get(name)
        if found is None or found.outcome is None or found.folder is None:
            why = f": {found.reason}" if found is not None and found.reason else ""
            raise StageImpossibleError(f"it needs the stage {name}, which is not done{why}")
        return found.folder, found.outcome


def _nothing(_: StudySettings) -> tuple[Path, ...]:
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A stage of the study.

    Attributes
    ----------
    name : str
        On the command line; also its folder and the first part of its measures' keys.
    title : str
        Of its section.
    shows : str
        Published figures and tables that it is the counterpart of.
    version : int
        To be raised when the same inputs give another result.
    after : tuple of str
        Stages whose results it reads.
    choices : callable
        Everything of the settings that decides its result, as JSON values.
    files : callable
        Files whose content decides its result.
    run : callable
        Does it.
    """

    name: str
    title: str
    shows: str
    version: int
    after: tuple[str, ...] = ()
    choices: Callable[[StudySettings], Any]
    files: Callable[[StudySettings], Iterable[Path]] = _nothing
    run: Callable[[StageRoom], Outcome] = field(repr=False)


def write_result(folder: Path, outcome: Outcome, *, seconds: float) -> None:
    """Write what a finished stage has found."""
    write_json(folder / RESULT_FILE, {"seconds": seconds, "outcome": outcome_record(outcome)})


def read_result(name: str, folder: Path) -> StageResult | None:
    """Return the finished stage in a folder, None if it is not finished."""
    path = folder / RESULT_FILE
    if not path.is_file():
        return None
    content = json.loads(path.read_text(encoding="utf-8"))
    return StageResult(
        name=name,
        state=StageState.DONE,
        folder=folder,
        outcome=outcome_of(content["outcome"]),
        seconds=content["seconds"],
        is_cached=True,
    )
