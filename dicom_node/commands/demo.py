"""``ichnode demo``: a simulated patient through the whole line, with a PACS of its own."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydicom.uid import Comprehensive3DSRStorage, SecondaryCaptureImageStorage, SegmentationStorage

from dicom_node.association.archive_scp import ArchivedObject
from dicom_node.bootstrap.layout import DataLayout
from dicom_node.bootstrap.ledgers import ledger_for_reading
from dicom_node.bootstrap.roles import utc_now
from dicom_node.bootstrap.status import LedgerStatus
from dicom_node.commands.demo_patient import how_typical, simulator_options
from dicom_node.commands.demo_stage import (
    NODE_TITLE,
    PACS_TITLE,
    Pacs,
    Stage,
    build_stage,
    end_of,
    running_node,
)
from dicom_node.commands.screen import say, show_table
from dicom_node.dicom_folder import dicom_files
from dicom_node.errors import PeerError
from dicom_node.jobs.state import JobState
from dicom_node.operator_error import ExitCode, OperatorError
from dicom_node.settings.file import load_settings
from dicom_node.status_view import EXPANSION_WORDS, SeriesRow

#: What has to come back, by SOP Class, and its name for the reader.
EXPECTED = {
    str(SecondaryCaptureImageStorage): "captures (SC)",
    str(SegmentationStorage): "segmentation (SEG)",
    str(Comprehensive3DSRStorage): "report (SR)",
}

#: How long the results may take to come back. A quiet machine
#: needs a few seconds.
_RESULT_PATIENCE_S = 300.0

#: How long the ledger may take to note that the last result was accepted.
_LEDGER_PATIENCE_S = 10.0


@dataclass(slots=True, eq=False)
class Story:
    """What happened, step by step."""

    stage: Stage
    steps: list[tuple[str, bool, str]] = field(default_factory=list)
    truth: dict[str, Any] = field(default_factory=dict)
    row: SeriesRow | None = None
    objects: tuple[ArchivedObject, ...] = ()

    @property
    def succeeded(self) -> bool:
        """Whether every step worked."""
        return bool(self.steps) and all(worked for _, worked, _ in self.steps)

    @contextmanager
    def step(self, name: str) -> Iterator[Callable[[str], None]]:
        """Time one step; yields a function that takes what is to be told of it."""
        told: list[str] = []
        started = time.monotonic()
        try:
            yield told.append
        except OperatorError as error:
            self.steps.append((name, False, str(error)))
            raise
        seconds = time.monotonic() - started
        detail = "; ".join([*told, f"{seconds:.1f} s"])
        self.steps.append((name, True, detail))
        say(f"  {name}: {detail}")


def run(*, output: Path, seed: int) -> int:
    """Play the demonstration and print what came of it."""
    story = Story(stage=build_stage(output))
    started = time.monotonic()
    say("ichnode demonstration on a simulated patient. RESEARCH USE ONLY", style="bold")
    try:
        _play(story, seed=seed)
    except OperatorError as error:
        say("")
        show_table(
            ("step", "result", "detail"),
            [(name, "ok" if worked else "FAILED", detail) for name, worked, detail in story.steps],
            title="The demonstration failed",
        )
        say(f"log of the node: {story.stage.log}")
        return error.exit_code
    _tell(story, seconds=time.monotonic() - started)
    return ExitCode.OK


def _play(story: Story, *, seed: int) -> None:
    """Let it happen, step by step; the first step that fails ends it."""
    stage = story.stage
    with story.step("patient simulated") as tell:
        tell(_simulate_patient(story, seed=seed))
    with ExitStack() as running:
        with story.step("PACS started") as tell:
            pacs = running.enter_context(Pacs(stage.pacs))
            tell(f"{PACS_TITLE} on port {pacs.port}")
        with story.step("node started") as tell:
            stage.write_config(pacs_port=pacs.port)
            running.enter_context(running_node(stage))
            tell(f"{NODE_TITLE} on port {stage.node_port}, models loaded")
        with story.step("series sent by C-STORE") as tell:
            tell(f"{_send(story)} images accepted")
        with story.step("results back by C-STORE") as tell:
            tell(_await_results(story, pacs))
        with story.step("ledger complete") as tell:
            tell(_await_ledger(story))


def _simulate_patient(story: Story, *, seed: int) -> str:
    """Have the simulator write a patient as DICOM; returns what is known about it."""
    options = simulator_options(story.stage.patient, seed=seed)
    command = [sys.executable, "-m", "training", *options, "--format", "dicom"]
    done = subprocess.run(  # noqa: S603  the command is this program's own
        command, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise OperatorError(f"the simulator failed: {done.stderr.strip()[-500:]}")
    record = next(iter(sorted(story.stage.patient.rglob("patient.json"))), None)
    if record is None:
        raise OperatorError("the simulator wrote no record of its patient")
    story.truth = json.loads(record.read_text(encoding="utf-8"))
    images = len(dicom_files(story.stage.patient))
    return f"{images} images, hematoma of {story.truth['baseline_ml']:.1f} mL"


def _send(story: Story) -> int:
    """Send the patient's series to the node; returns how many images it took."""
    from dicom_node.association.storage_scu import outgoing_file, send_files

    try:
        files = [outgoing_file(path) for path in dicom_files(story.stage.patient)]
        outcomes = send_files(story.stage.node, files)
    except (PeerError, ValueError) as error:
        raise OperatorError(f"the node did not take the series: {error}") from error
    refused = [outcome for outcome in outcomes if not outcome.accepted]
    if refused:
        raise OperatorError(f"{len(refused)} images refused: {refused[0].message}")
    return len(outcomes)


def _await_results(story: Story, pacs: Pacs) -> str:
    """Wait until an object of every expected kind is in the PACS; returns how many came."""

    def complete(objects: tuple[ArchivedObject, ...]) -> bool:
        return {stored.sop_class_uid for stored in objects} >= set(EXPECTED)

    came = pacs.wait_for(complete, timeout_s=_RESULT_PATIENCE_S)
    story.objects = pacs.objects
    if not came:
        kinds = {stored.sop_class_uid for stored in story.objects}
        missing = ", ".join(name for uid, name in EXPECTED.items() if uid not in kinds)
        row = _row(story)
        state = f"{row.state} {row.reason} {row.outcome}".strip() if row else "unknown to the node"
        raise OperatorError(
            f"did not come back within {_RESULT_PATIENCE_S:.0f} s: {missing}; "
            f"the series is {state}\n{end_of(story.stage.log)}"
        )
    return f"{len(story.objects)} objects"


def _await_ledger(story: Story) -> str:
    """Wait until the ledger says that everything was accepted; returns what it says."""
    deadline = time.monotonic() + _LEDGER_PATIENCE_S
    row = _row(story)
    while row is None or row.door_to_result_s is None or row.state != JobState.DELIVERED:
        if time.monotonic() > deadline:
            raise OperatorError(f"the job is {row.state if row else 'unknown'}, not delivered")
        time.sleep(0.2)
        row = _row(story)
    story.row = row
    return f"{row.state}, door to result {row.door_to_result_s:.1f} s"


def _row(story: Story) -> SeriesRow | None:
    settings = load_settings(story.stage.config, {})
    with ledger_for_reading(settings) as ledger:
        rows = LedgerStatus(ledger.reports, settings=settings, clock=utc_now).rows()
    return rows[0] if rows else None


def _tell(story: Story, *, seconds: float) -> None:
    """Print opinion against truth, times, and where everything lies."""
    row, truth = story.row, story.truth
    if row is None or row.job_id is None:
        raise OperatorError("the ledger knows no analysis")
    summary = DataLayout(root=story.stage.data).summary(row.job_id)
    record = json.loads((summary / "analysis.json").read_text(encoding="utf-8"))
    say("")
    show_table(
        ("", "simulated truth", "node"),
        [
            ("hematoma volume", f"{truth['baseline_ml']:.1f} mL", f"{row.volume_ml or 0:.1f} mL"),
            (
                "expansion",
                "will expand" if truth["has_expansion"] else "will not expand",
                f"{EXPANSION_WORDS[row.he_label]}, probability {row.he_probability or 0:.2f}",
            ),
            ("quality flags", "", ", ".join(row.flags) or "none"),
        ],
        title="Opinion",
    )
    say(how_typical(truth["seed"]))
    times = [(name, f"{value:.2f} s") for name, value in record["seconds_per_step"].items()]
    times.append(("door to result", f"{row.door_to_result_s or 0:.2f} s"))
    times.append(("whole demonstration", f"{seconds:.1f} s"))
    say("")
    show_table(("step", "time"), times, title="Times")
    say("")
    for stored in story.objects:
        say(f"{EXPECTED.get(stored.sop_class_uid, 'other'):<20} {stored.path}")
    for name in ("summary.png", "summary.html", "analysis.json"):
        say(f"{name:<20} {summary / name}")
    say("")
    say("SEG, SC and SR came back to the PACS.", style="bold green")
