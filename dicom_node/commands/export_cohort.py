"""``ichnode export-cohort``: who was followed, for training, and nobody to be read there."""

import hashlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from dicom_node.bootstrap.audit import note_export
from dicom_node.bootstrap.layout import DataLayout
from dicom_node.bootstrap.ledgers import ledger_for_reading
from dicom_node.bootstrap.roles import utc_now
from dicom_node.commands.screen import say, show_table
from dicom_node.commands.site import settings_of
from dicom_node.errors import ExportError
from dicom_node.export.cohort import ExportOptions, ExportReport, OnPatient, export_cohort
from dicom_node.export.exclusion import WORDS, Exclusion
from dicom_node.export.key import ExportKey, open_key
from dicom_node.jobs.followed import FollowedLedger
from dicom_node.operator_error import ExitCode, OperatorError


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the operator asks for; see `dicom_node.export.cohort.ExportOptions`."""

    output: Path
    key_file: Path | None
    since: datetime | None
    with_secondary: bool
    with_characteristics: bool
    dry_run: bool


def run(wishes: Wishes, *, config: Path | None) -> int:
    """Export and say what came of it; exit code 1 if nobody is in the export."""
    _, settings = settings_of(config)
    layout = DataLayout(root=settings.node.data_dir)
    key_file = wishes.key_file or layout.export_key(_name_of(wishes.output))
    _refuse_places(wishes.output, key_file, layout)
    with ledger_for_reading(settings) as ledger:
        pairs = FollowedLedger(ledger.database).pairs()
    options = ExportOptions(
        output=wishes.output,
        spool=layout.spool,
        outbox=layout.outbox,
        since=wishes.since,
        with_secondary=wishes.with_secondary,
        with_characteristics=wishes.with_characteristics,
        dry_run=wishes.dry_run,
    )
    try:
        key = _key(key_file, dry_run=wishes.dry_run)
        with _bar() as on_patient:
            report = export_cohort(pairs, key, options, on_patient=on_patient)
    except ExportError as error:
        raise OperatorError(str(error)) from error
    if report.new and not wishes.dry_run:
        note_export(settings, wishes.output, report.new, utc_now())
    _tell(report, wishes, key_file)
    return ExitCode.OK if report.patients else ExitCode.FAILED


def _name_of(output: Path) -> str:
    """Return what a folder's own key is called: the same for every call."""
    return hashlib.sha256(str(output.absolute()).encode()).hexdigest()[:16]


def _key(path: Path, *, dry_run: bool) -> ExportKey:
    if dry_run and not path.exists():
        return ExportKey(secret=b"nothing is written with it")
    return open_key(path)


def _refuse_places(output: Path, key_file: Path, layout: DataLayout) -> None:
    """Keep key and export apart, and both out of the way of patients' data."""
    place = output.absolute()
    if place in key_file.absolute().parents:
        raise OperatorError(
            f"the key {key_file} would leave the site with the export; keep it elsewhere",
            exit_code=ExitCode.USAGE,
        )
    if layout.root.absolute() in (place, *place.parents):
        raise OperatorError(
            f"{output} lies in the node's data directory; choose a folder outside",
            exit_code=ExitCode.USAGE,
        )


def _tell(report: ExportReport, wishes: Wishes, key_file: Path) -> None:
    """Print the flow from comparisons to the export, and what to do next."""
    rows = [("comparisons in the ledger", str(report.found))]
    rows += [
        (f"  {WORDS[reason]}", f"-{report.excluded[reason]}")
        for reason in Exclusion
        if report.excluded.get(reason)
    ]
    kept = "would be exported" if wishes.dry_run else "in the export"
    rows.append((f"comparisons {kept}", str(report.pairs)))
    rows.append((f"patients {kept}", str(report.patients)))
    rows.append(("  of the comparisons, hematomas that expanded", str(report.expansions)))
    show_table(("", "count"), rows)
    if wishes.dry_run or not report.patients:
        return
    say(f"{report.new} patients are new in {wishes.output}")
    say(f"key: {key_file} (keep it here; with it the export can be continued, and re-identified)")
    say("faces can be recognised in whole heads: keep the export under lock; RESEARCH USE ONLY")
    say(
        f"next: ichtrain cohort import {wishes.output} --clinical {wishes.output}/clinical.csv "
        "--need-follow-up --output COHORT"
    )


@contextmanager
def _bar() -> Iterator[OnPatient]:
    """Show a progress bar on a terminal."""
    if not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("Exporting patients", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
