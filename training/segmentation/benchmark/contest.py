"""The benchmark's run: train whom there is to train, examine everybody, lose nothing."""

import dataclasses
import json
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from training.segmentation.benchmark.contestant import Contestant
from training.segmentation.benchmark.doubt import Doubt, measure_doubt, tells_doubt
from training.segmentation.benchmark.examination import Examiner, count_parameters
from training.segmentation.benchmark.scan_row import ScanRow
from training.segmentation.benchmark.training_port import TrainOne
from training.segmentation.run_result import RunProgress, RunResult

TRAINING_FILE = "training.json"
FAILURE_FILE = "failure.txt"


class Audience(Protocol):
    """Told how the benchmark goes on."""

    def begins(self, contestant: Contestant) -> None:
        """Hear that a contestant's turn has come."""

    def trains(self, contestant: Contestant, progress: RunProgress) -> None:
        """Hear how far a training is."""

    def examined(self, contestant: Contestant, scans: int, of: int) -> None:
        """Hear how many scans are done."""

    def ends(self, contestant: Contestant, failure: str | None) -> None:
        """Hear that a contestant is through, or why not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A contestant with everything that was measured.

    Attributes
    ----------
    contestant : Contestant
        Who.
    rows : tuple of ScanRow
        One per held-out scan.
    parameters : int
        Numbers that the network has learnt.
    training : RunResult or None
        What the training cost; None for a bundle that stood already.
    doubt : Doubt or None
        Calibration, where the network has an uncertainty of its own.
    """

    contestant: Contestant
    rows: tuple[ScanRow, ...]
    parameters: int
    training: RunResult | None
    doubt: Doubt | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """A contestant that could not be trained or examined.

    Attributes
    ----------
    contestant : Contestant
        Who.
    reason : str
        The error in one line; its trace is in ``failure.txt`` of the contestant's folder.
    """

    contestant: Contestant
    reason: str


def run_contest(
    contestants: Sequence[Contestant],
    train: TrainOne,
    examiner: Examiner,
    *,
    output: Path,
    audience: Audience,
) -> tuple[list[Finished], list[Failed]]:
    """Return what became of each contestant.

    One that fails is told and the next one begins. What stands in the output folder of an
    earlier run is used: finished trainings, begun trainings, examined scans.
    """
    finished: list[Finished] = []
    failed: list[Failed] = []
    for contestant in contestants:
        audience.begins(contestant)
        folder = output / contestant.name
        folder.mkdir(parents=True, exist_ok=True)
        try:
            finished.append(_turn(contestant, train, examiner, folder, audience))
        except Exception as error:  # noqa: BLE001  whatever an architecture dies of, others go on
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            (folder / FAILURE_FILE).write_text(traceback.format_exc(), encoding="utf-8")
            failed.append(Failed(contestant=contestant, reason=reason))
            audience.ends(contestant, reason)
            continue
        (folder / FAILURE_FILE).unlink(missing_ok=True)
        audience.ends(contestant, None)
    return finished, failed


def _turn(
    contestant: Contestant, train: TrainOne, examiner: Examiner, folder: Path, audience: Audience
) -> Finished:
    training = None
    if contestant.bundle is None:
        training = _trained(contestant, train, folder, audience)
    bundle = contestant.bundle or (training.bundle if training else None)
    assert bundle is not None  # noqa: S101  one of both is there
    rows = examiner.examine(
        contestant.name,
        bundle,
        folder,
        on_scan=lambda done: audience.examined(contestant, done, len(examiner.scans)),
    )
    doubt = None
    if tells_doubt(bundle):
        doubt = measure_doubt(bundle, examiner.scans, folder=folder, device=examiner.device)
    return Finished(
        contestant=contestant,
        rows=tuple(rows),
        parameters=count_parameters(bundle),
        training=training,
        doubt=doubt,
    )


def _trained(
    contestant: Contestant, train: TrainOne, folder: Path, audience: Audience
) -> RunResult:
    """Return the finished training of an earlier run, or train."""
    record = folder / TRAINING_FILE
    if record.exists():
        return read_run_result(record)
    result = train(
        contestant.name,
        folder / "training",
        on_progress=lambda progress: audience.trains(contestant, progress),
    )
    write_run_result(record, result)
    return result


def write_run_result(path: Path, result: RunResult) -> None:
    """Write what a training cost, whole or not at all; folders are named from the file's own."""
    content = dataclasses.asdict(result)
    for name in ("folder", "bundle"):
        content[name] = str(content[name].relative_to(path.parent))
    partial = path.with_name(path.name + ".part")
    partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    partial.replace(path)


def read_run_result(path: Path) -> RunResult:
    """Return what `write_run_result` wrote."""
    content = json.loads(path.read_text(encoding="utf-8"))
    for name in ("folder", "bundle"):
        content[name] = path.parent / content[name]
    return RunResult(**content)
