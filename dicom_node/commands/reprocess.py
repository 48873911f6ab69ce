"""``ichnode reprocess``: begin, watch, pause, stop and report re-reads of archives."""

import csv
import json
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date
from io import StringIO
from pathlib import Path
from typing import Any, Final, TextIO

from rich.progress import BarColumn, Progress, TextColumn

from dicom_node.bootstrap.audit import note_intervention
from dicom_node.bootstrap.ledgers import ledger_for_reading
from dicom_node.bootstrap.parts import destination_names
from dicom_node.bootstrap.reprocess import reprocess_ledger
from dicom_node.bootstrap.roles import utc_now
from dicom_node.commands.configuration_desk import operator
from dicom_node.commands.screen import console, say, show_table
from dicom_node.commands.site import peer_named, settings_of
from dicom_node.errors import LedgerError
from dicom_node.jobs.reprocess_ledger import ReprocessLedger
from dicom_node.jobs.reprocess_state import (
    UNDER_WAY,
    ReprocessRequest,
    RunState,
    RunStatus,
    StudyEntry,
    StudyState,
)
from dicom_node.operator_error import ExitCode, OperatorError
from dicom_node.reprocessing.progress import Progress as Share
from dicom_node.reprocessing.progress import progress_of
from dicom_node.settings.schema import PriorsBy, Settings

_LOOK_S: Final = 1.0
_MINUTE_S: Final = 60.0
_HOUR_S: Final = 3600.0

_UID_CHARACTERS: Final = frozenset("0123456789.")
_LONGEST_UID: Final = 64

_COLUMNS: Final = (
    "study_uid",
    "state",
    "reason",
    "series_uid",
    "outcome",
    "model",
    "images",
    "attempts",
    "began_at",
    "finished_at",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the command line says."""

    peer: str
    folder: Path | None
    since: str
    until: str
    modality: str
    studies: Path | None
    by: str
    deliver: str
    unless_model: str
    pace: float
    hours: str
    waiting: int
    workers: int

    def request(self, settings: Settings) -> ReprocessRequest:
        """Return what is asked for. Raises OperatorError."""
        self._check_source(settings)
        names = tuple(name.strip() for name in self.deliver.split(",") if name.strip())
        known = destination_names(settings)
        for name in names:
            if name not in known:
                raise _wrong(f"no destination is called {name!r}; there are: {', '.join(known)}")
        try:
            from_hour, _, to_hour = self.hours.partition("-")
            return ReprocessRequest(
                peer=self.peer,
                by=PriorsBy(self.by).value,
                first_day=date.fromisoformat(self.since) if self.since else None,
                last_day=date.fromisoformat(self.until) if self.until else None,
                modality=self.modality,
                folder=str(self.folder.resolve()) if self.folder else "",
                deliver_to=names,
                unless_model=self.unless_model.lower(),
                per_minute=self.pace,
                from_hour=int(from_hour),
                to_hour=int(to_hour),
                most_waiting=self.waiting,
                most_analysing=self.workers,
            )
        except ValueError as error:
            raise _wrong(str(error)) from error

    def listed(self) -> tuple[str, ...]:
        """Return the studies of the list; none without one. Raises OperatorError."""
        if self.studies is None:
            return ()
        try:
            lines = self.studies.read_text(encoding="ascii").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise _wrong(f"{self.studies} is no list of UIDs that can be read") from error
        uids = dict.fromkeys(line.strip() for line in lines if line.strip())
        for number, uid in enumerate(uids, start=1):
            if len(uid) > _LONGEST_UID or not _UID_CHARACTERS.issuperset(uid):
                raise _wrong(f"entry {number} of {self.studies} is no Study Instance UID")
        if not uids:
            raise _wrong(f"{self.studies} names no study")
        return tuple(uids)

    def _check_source(self, settings: Settings) -> None:
        if bool(self.peer) is bool(self.folder):
            raise _wrong("studies come --from a peer or from a --folder")
        if self.folder is not None:
            if self.since or self.until or self.studies:
                raise _wrong("days and lists are for peers; a folder is read wholly")
            if not self.folder.is_dir():
                raise _wrong(f"{self.folder} is no folder")
            return
        peer_named(settings, self.peer)
        by_days = bool(self.since or self.until)
        if by_days is bool(self.studies):
            raise _wrong("name days (--since, --until) or a list (--studies)")


def run_start(asked: Asked, *, watch: bool, config: Path | None) -> int:
    """Note a run; the office finds it."""
    _, settings = settings_of(config)
    request, studies = asked.request(settings), asked.listed()
    with _runs(settings) as runs:
        now = utc_now()
        run_id = runs.begin(request, studies=studies, by=operator(), now=now)
        note_intervention(settings, f"began re-read {run_id}: {_words(request)}", now)
        say(f"run {run_id} began: {_words(request)}")
        if not watch:
            say(f"how far it is: ichnode reprocess show {run_id}")
            return ExitCode.OK
        return _watch(runs, run_id)


def run_list(*, as_json: bool, config: Path | None) -> int:
    """Show all runs."""
    _, settings = settings_of(config)
    with _runs(settings) as runs:
        found = runs.runs(utc_now())
    if as_json:
        _write_json([_facts(one) for one in found])
        return ExitCode.OK
    rows = []
    for one in found:
        share = progress_of(one, utc_now())
        began = one.created_at.astimezone().isoformat(sep=" ", timespec="seconds")
        rows.append((str(one.run_id), one.state.value, _count(share), began, one.created_by))
    show_table(("run", "state", "studies", "began", "by"), rows)
    return ExitCode.OK


def run_show(run: int, *, watch: bool, as_json: bool, config: Path | None) -> int:
    """Show one run."""
    _, settings = settings_of(config)
    with _runs(settings) as runs:
        run_id = _known(runs, run)
        if watch and not as_json:
            return _watch(runs, run_id)
        status = runs.run(run_id, utc_now())
    if as_json:
        _write_json(_facts(status))
        return ExitCode.OK
    _tell(status)
    return ExitCode.OK


def run_move(run: int, to: str, *, config: Path | None) -> int:
    """Pause, resume or stop a run."""
    _, settings = settings_of(config)
    with _runs(settings) as runs:
        now = utc_now()
        runs.move(run, RunState(to), now)
    note_intervention(settings, f"re-read {run} is {to}", now)
    say(f"run {run} is {to}")
    return ExitCode.OK


def run_report(run: int, *, output: Path | None, config: Path | None) -> int:
    """Write what became of every study."""
    _, settings = settings_of(config)
    with _runs(settings) as runs:
        run_id = _known(runs, run)
        if output is None:
            _write_csv(runs.studies.entries(run_id), sys.stdout)
            return ExitCode.OK
        if output.suffix not in {".csv", ".json"}:
            raise _wrong("the report is a .csv or a .json file")
        if output.suffix == ".json":
            studies = [_row(one) for one in runs.studies.entries(run_id)]
            facts = {"run": _facts(runs.run(run_id, utc_now())), "studies": studies}
            output.write_text(json.dumps(facts, indent=2, default=str) + "\n", encoding="utf-8")
        else:
            with output.open("w", encoding="utf-8", newline="") as file:
                _write_csv(runs.studies.entries(run_id), file)
    say(f"{output} written")
    return ExitCode.OK


def _wrong(words: str) -> OperatorError:
    return OperatorError(words, exit_code=ExitCode.USAGE)


@contextmanager
def _runs(settings: Settings) -> Iterator[ReprocessLedger]:
    """Open the runs of the node; what the ledger refuses is told in its own words."""
    with ledger_for_reading(settings) as ledger:
        try:
            yield reprocess_ledger(ledger)
        except LedgerError as error:
            raise OperatorError(str(error)) from error


def _known(runs: ReprocessLedger, run: int) -> int:
    if run:
        return run
    latest = runs.runs(utc_now())
    if not latest:
        raise OperatorError("there is no run yet; begin one: ichnode reprocess start")
    return latest[0].run_id


def _watch(runs: ReprocessLedger, run_id: int) -> int:
    """Show how far a run is until nothing more happens; Ctrl-C leaves it alone."""
    pause = threading.Event()
    columns = (
        TextColumn("run {task.fields[run]}"),
        BarColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=console(), disable=not console().is_terminal) as bar:
        task = bar.add_task("", total=None, run=run_id)
        while True:
            status = runs.run(run_id, utc_now())
            share = progress_of(status, utc_now())
            bar.update(
                task,
                total=share.total,
                completed=share.ended,
                description=_line(status, share),
            )
            if status.state not in UNDER_WAY:
                break
            pause.wait(_LOOK_S)
    _tell(status)
    return ExitCode.OK if status.state is RunState.FINISHED else ExitCode.FAILED


def _tell(status: RunStatus) -> None:
    share = progress_of(status, utc_now())
    say(f"run {status.run_id}, {_words(status.request)}", style="bold")
    say(_line(status, share))
    for state in StudyState:
        if status.studies.get(state):
            say(f"  {state.value.replace('_', ' '):<14}{status.studies[state]:>10}")


def _line(status: RunStatus, share: Share) -> str:
    words = [status.state.value, f"{_count(share)} studies"]
    if share.per_minute is not None:
        words.append(f"{share.per_minute:.3g} a minute")
    if share.remaining_s is not None and status.state in UNDER_WAY:
        words.append(f"{_span(share.remaining_s)} left")
    if status.note:
        words.append(f"waits: {status.note}")
    return ", ".join(words)


def _count(share: Share) -> str:
    if share.total is None:
        return f"{share.ended} of ?"
    return f"{share.ended} of {'about ' if share.is_estimate else ''}{share.total}"


def _span(seconds: float) -> str:
    if seconds < _HOUR_S:
        return f"{seconds / _MINUTE_S:.0f} min"
    hours = seconds / _HOUR_S
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.1f} days"  # noqa: PLR2004 - two days


def _words(request: ReprocessRequest) -> str:
    """Return what is re-read, in words."""
    if request.folder:
        what = "a folder"
    elif request.first_day:
        what = f"{request.peer}, {request.first_day} to {request.last_day}"
    else:
        what = f"{request.peer}, a list of studies"
    to = f"sent to {', '.join(request.deliver_to)}" if request.deliver_to else "kept"
    return f"{what}; results are {to}"


def _facts(status: RunStatus) -> dict[str, Any]:
    return {
        "run": status.run_id,
        "state": status.state.value,
        "waits_for": status.note,
        "request": asdict(status.request),
        "created_at": status.created_at,
        "created_by": status.created_by,
        "finished_at": status.finished_at,
        "listed": status.is_listed,
        "units": status.units,
        "units_done": status.units_done,
        "studies": {state.value: status.studies.get(state, 0) for state in StudyState},
        "progress": progress_of(status, utc_now()).as_dict(),
    }


def _row(entry: StudyEntry) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in _COLUMNS}


def _write_csv(entries: Iterable[StudyEntry], file: TextIO) -> None:
    text = StringIO()
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    for entry in entries:
        row = _row(entry)
        times = {name: row[name].isoformat() for name in ("began_at", "finished_at") if row[name]}
        writer.writerow({**row, "state": entry.state.value, **times})
        file.write(text.getvalue())
        text.seek(0)
        text.truncate()


def _write_json(facts: object) -> None:
    sys.stdout.write(json.dumps(facts, indent=2, default=str) + "\n")
