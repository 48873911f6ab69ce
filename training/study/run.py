"""The run of a study: stage after stage, each from its cache where its inputs are the same."""

import json
import traceback
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from training.study.fingerprint import INPUTS_FILE, difference, fingerprint, inputs_of
from training.study.outcome import write_json
from training.study.stage import (
    Stage,
    StageImpossibleError,
    StageResult,
    StageRoom,
    StageState,
    StudySettings,
    read_result,
    write_result,
)

FAILURE_FILE, OBSTACLE_FILE, SPENT_FILE = "failure.txt", "impossible.txt", "spent.json"


class Audience(Protocol):
    """Told how a study goes on."""

    def begins(self, stage: Stage) -> None:
        """Hear that a stage's turn has come."""

    def follow(self, stage: Stage, words: str, share: float) -> None:
        """Hear what a stage does, and which share of it is done."""

    def ends(self, stage: Stage, result: StageResult) -> None:
        """Hear what became of a stage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What would be done with a stage.

    Attributes
    ----------
    stage : Stage
        Which.
    runs : bool
        Whether it would be run.
    why : str
        Why, or why not.
    """

    stage: Stage
    runs: bool
    why: str


def plan_study(
    settings: StudySettings, stages: Sequence[Stage], output: Path, *, chosen: Collection[str]
) -> list[Planned]:
    """Return what `run_study` would do, provided that every stage that it runs succeeds."""
    marks: dict[str, str | None] = {}
    plan = []
    for stage in stages:
        inputs = inputs_of(stage, settings, marks)
        mark = fingerprint(inputs)
        stands = read_result(stage.name, output / stage.name / mark) is not None
        runs = not stands and stage.name in chosen
        marks[stage.name] = mark if stands or runs else None
        if stands:
            why = "done, with the same inputs"
        elif not runs:
            why = "not chosen"
        else:
            why = _why(output / stage.name, inputs, mark)
        plan.append(Planned(stage=stage, runs=runs, why=why))
    return plan


def run_study(
    settings: StudySettings,
    stages: Sequence[Stage],
    output: Path,
    *,
    chosen: Collection[str],
    audience: Audience,
    clock: Callable[[], float],
) -> list[StageResult]:
    """Return what became of every stage; one that cannot be done does not stop the others.

    Parameters
    ----------
    settings : StudySettings
        Of the study.
    stages : sequence of Stage
        In an order in which each comes after those that it reads.
    output : Path
        Every stage works in ``<name>/<fingerprint of its inputs>``.
    chosen : collection of str
        Stages to be run where they have no result; of the others a result is only used.
    audience : Audience
        Told how it goes on.
    clock : callable
        Seconds, rising.
    """
    marks: dict[str, str | None] = {}
    results: dict[str, StageResult] = {}
    for stage in stages:
        audience.begins(stage)
        inputs = inputs_of(stage, settings, marks)
        folder = output / stage.name / fingerprint(inputs)
        result = read_result(stage.name, folder)
        if result is None and stage.name not in chosen:
            reason = "not chosen in this call, and no earlier one has done it with these inputs"
            result = StageResult(name=stage.name, state=StageState.LEFT_OUT, reason=reason)
        if result is None:
            earlier = {name: results[name] for name in stage.after if name in results}
            result = _run(stage, settings, folder, inputs, earlier, audience, clock)
        marks[stage.name] = folder.name if result.state is StageState.DONE else None
        results[stage.name] = result
        audience.ends(stage, result)
    return list(results.values())


def _run(
    stage: Stage,
    settings: StudySettings,
    folder: Path,
    inputs: Mapping[str, Any],
    earlier: Mapping[str, StageResult],
    audience: Audience,
    clock: Callable[[], float],
) -> StageResult:
    """Do one stage in its folder and return what became of it."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / INPUTS_FILE, inputs)
    for name in (FAILURE_FILE, OBSTACLE_FILE):
        (folder / name).unlink(missing_ok=True)
    before, start = _spent(folder), clock()

    def follow(words: str, share: float) -> None:
        audience.follow(stage, words, share)

    room = StageRoom(settings=settings, folder=folder, earlier=earlier, follow=follow, clock=clock)
    state, reason, outcome = StageState.DONE, "", None
    try:
        outcome = stage.run(room)
    except StageImpossibleError as error:
        state, reason = StageState.IMPOSSIBLE, str(error)
        (folder / OBSTACLE_FILE).write_text(f"{reason}\n", encoding="utf-8")
    except Exception as error:  # noqa: BLE001  whatever one stage dies of, the others go on
        state, reason = StageState.FAILED, f"{type(error).__name__}: {error}".splitlines()[0]
        (folder / FAILURE_FILE).write_text(traceback.format_exc(), encoding="utf-8")
    finally:
        seconds = before + clock() - start
        write_json(folder / SPENT_FILE, {"seconds": seconds})
    if outcome is not None:
        write_result(folder, outcome, seconds=seconds)
    return StageResult(
        name=stage.name,
        state=state,
        folder=folder,
        outcome=outcome,
        reason=reason,
        seconds=seconds,
    )


def _spent(folder: Path) -> float:
    path = folder / SPENT_FILE
    if not path.is_file():
        return 0.0
    return float(json.loads(path.read_text(encoding="utf-8"))["seconds"])


def _why(place: Path, inputs: Mapping[str, Any], mark: str) -> str:
    """Return why a stage has no result for its inputs."""
    if (place / mark / FAILURE_FILE).is_file():
        return "failed before, will be tried again"
    if (place / mark / OBSTACLE_FILE).is_file():
        return "was not possible before, will be tried again"
    if (place / mark / INPUTS_FILE).is_file():
        return "begun, will go on"
    others = sorted(place.glob(f"*/{INPUTS_FILE}"), key=lambda path: path.stat().st_mtime)
    if not others:
        return "never done"
    before = json.loads(others[-1].read_text(encoding="utf-8"))
    return f"changed: {difference(before, inputs)}"
