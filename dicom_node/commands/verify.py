"""``ichnode verify``: reads everything in custody again and compares it with the ledger."""

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from dicom_node.bootstrap.layout import DataLayout
from dicom_node.bootstrap.ledgers import ledger_for_reading
from dicom_node.bootstrap.retention import note_scan, purger_of
from dicom_node.bootstrap.roles import utc_now
from dicom_node.commands.screen import say, show_table
from dicom_node.commands.site import settings_of
from dicom_node.delivery.custody_scan import ScanReport
from dicom_node.errors import LedgerDamagedError
from dicom_node.intake.custody import Custody
from dicom_node.intake.inspection import Damage, Damaged, HeldFile, OnBytes, damaged_files, orphans
from dicom_node.intake.spool import Spool
from dicom_node.jobs.holdings import Holdings
from dicom_node.jobs.ledger import Ledger
from dicom_node.operator_error import ExitCode, OperatorError
from dicom_node.settings.schema import Settings

_RESTORE = "Stop the node and restore the data directory from a backup; see the operation manual."

#: Damaged files that are listed; the counts are of all.
_LISTED = 20


def run(*, repair: bool, config: Path | None) -> int:
    """Compare, say what is wrong, and record files without a row if `repair`."""
    _, settings = settings_of(config)
    layout = DataLayout(root=settings.node.data_dir)
    with ExitStack() as opened:
        try:
            ledger = opened.enter_context(ledger_for_reading(settings))
        except OperatorError as error:
            if isinstance(error.__cause__, LedgerDamagedError):
                raise OperatorError(f"{error.__cause__.words}\n{_RESTORE}") from error
            raise
        _refuse_broken(ledger)
        holdings = Holdings(ledger.database)
        images, results = holdings.images(), holdings.results()
        with _bar(images + results) as on_bytes:
            lost = damaged_files(layout.spool, images, on_bytes=on_bytes)
            spoilt = damaged_files(layout.outbox, results, on_bytes=on_bytes)
        lost = _still_held(lost, holdings.images())
        spoilt = _still_held(spoilt, holdings.results())
        loose, purged, adopted = _loose(ledger, settings, repair=repair)
        note_scan(
            ledger,
            ScanReport(
                at=utc_now().isoformat(),
                images=len(images),
                results=len(results),
                missing_images=_missing(lost),
                missing_results=_missing(spoilt),
                orphans=0 if repair else len(loose),
                leftovers=purged,
            ),
        )
    _tell(images, lost, title="images")
    _tell(results, spoilt, title="results")
    if lost:
        say(
            "Send the series of these images again: what comes with the same bytes heals the file."
        )
    _tell_loose(loose, adopted, is_repaired=repair)
    is_whole = not lost and not spoilt and (repair or not loose)
    return ExitCode.OK if is_whole else ExitCode.FAILED


def _refuse_broken(ledger: Ledger) -> None:
    place = ledger.database.engine.place
    try:
        faults = Holdings(ledger.database).faults()
    except LedgerDamagedError as error:
        raise OperatorError(f"{error.words}\n{_RESTORE}") from error
    if faults:
        lines = "\n".join(f"  {fault}" for fault in faults)
        raise OperatorError(f"{place} is damaged:\n{lines}\n{_RESTORE}")


def _still_held(damaged: Sequence[Damaged], held: Sequence[HeldFile]) -> tuple[Damaged, ...]:
    """Return what is damaged and was not purged while all was read."""
    paths = {file.path for file in held} if damaged else frozenset()
    return tuple(one for one in damaged if one.file.path in paths)


def _missing(damaged: Sequence[Damaged]) -> int:
    return sum(one.damage is Damage.MISSING for one in damaged)


def _loose(ledger: Ledger, settings: Settings, *, repair: bool) -> tuple[Sequence[Path], int, int]:
    """Return the images without a row, and how many were deleted and recorded if `repair`."""
    spool = Spool(DataLayout(root=settings.node.data_dir).spool)
    known = ledger.arrivals.known_paths()
    loose = orphans(spool.root, spool.files(), known, now=utc_now())
    if not repair:
        return loose, 0, 0
    purged = ledger.arrivals.condemn_again(loose)
    purger_of(settings, ledger, clock=utc_now).finish()
    loose = tuple(path for path in loose if path not in purged)
    custody = Custody(spool=spool, register=ledger.arrivals, patient_salt=ledger.patient_salt)
    return loose, len(purged), custody.adopt(loose, utc_now())


def _tell(files: Sequence[HeldFile], damaged: Sequence[Damaged], *, title: str) -> None:
    counts = Counter(one.damage for one in damaged)
    words = ", ".join(f"{number} {damage}" for damage, number in sorted(counts.items()))
    say(
        f"{title}: {len(files)} in the ledger, {len(files) - len(damaged)} intact"
        + (f", {words}" if words else "")
    )
    if damaged:
        rows = [(one.damage, one.file.series_uid, str(one.file.path)) for one in damaged]
        show_table(("damage", "series", "file"), rows[:_LISTED])


def _tell_loose(loose: Sequence[Path], adopted: int, *, is_repaired: bool) -> None:
    if not loose:
        return
    if not is_repaired:
        say(f"images without a row: {len(loose)}; record them: ichnode verify --repair")
        return
    aside = len(loose) - adopted
    say(f"images without a row: {adopted} recorded, {aside} put aside, which are no images")


@contextmanager
def _bar(files: Sequence[HeldFile]) -> Iterator[OnBytes]:
    """Show a progress bar on a terminal."""
    if not sys.stderr.isatty():
        yield lambda _read: None
        return
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("Reading", total=sum(file.size_bytes for file in files))
        yield lambda read: progress.advance(task, read)
