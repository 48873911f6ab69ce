"""Deletes what has been condemned: images, results and summaries whose rows say "purged"."""

import logging
import shutil
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from dicom_node.intake.disk import Disk
from dicom_node.jobs.purge_ledger import Cause, PurgeLedger
from dicom_node.jobs.retention import Holding, HoldingKind, Obstacle, RetentionRules

LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Folders:
    """Where each kind of holding lies."""

    spool: Path
    outbox: Path
    summaries: Path

    def of(self, kind: HoldingKind) -> Path:
        """Return the folder of a kind."""
        return {
            HoldingKind.IMAGES: self.spool,
            HoldingKind.RESULTS: self.outbox,
            HoldingKind.SUMMARY: self.summaries,
        }[kind]


@dataclass(frozen=True, slots=True, kw_only=True)
class Purged:
    """What went: holdings, their files and bytes, and holdings that had to stay after all."""

    holdings: int = 0
    files: int = 0
    size_bytes: int = 0
    kept: int = 0


class Purger:
    """Takes holdings out of custody, one after the other.

    Parameters
    ----------
    ledger
        Condemns, and knows what is condemned.
    folders
        Where the files are.
    clock
        Returns the present as an aware time.
    disk
        The file system.
    """

    def __init__(
        self,
        *,
        ledger: PurgeLedger,
        folders: Folders,
        clock: Callable[[], datetime],
        disk: Disk | None = None,
    ) -> None:
        self._ledger = ledger
        self._folders = folders
        self._clock = clock
        self._disk = disk or Disk()

    def free_bytes(self) -> int:
        """Return the room left on the disk of the spool."""
        return self._disk.free_bytes(self._folders.spool)

    def holdings(self, rules: RetentionRules, study_uid: str | None = None) -> tuple[Holding, ...]:
        """Return everything that is held, of one study or of all. Raises LedgerError."""
        return self._ledger.holdings(
            rules, self._clock(), summary_bytes=self._summary_bytes, study_uid=study_uid
        )

    def purge(
        self,
        holdings: Iterable[Holding],
        rules: RetentionRules,
        *,
        cause: Cause,
        by: str = "",
        overriding: Collection[Obstacle] = (),
        on_purged: Callable[[Holding], None] = lambda _: None,
    ) -> Purged:
        """Condemn holdings and delete their files; return what went. Raises LedgerError."""
        done = Purged()
        for holding in holdings:
            is_condemned = self._ledger.condemn(
                holding, rules, self._clock(), cause=cause, by=by, overriding=overriding
            )
            if not is_condemned:
                done = Purged(
                    holdings=done.holdings,
                    files=done.files,
                    size_bytes=done.size_bytes,
                    kept=done.kept + 1,
                )
                continue
            self._erase(holding.kind)
            done = Purged(
                holdings=done.holdings + 1,
                files=done.files + holding.files,
                size_bytes=done.size_bytes + holding.size_bytes,
                kept=done.kept,
            )
            on_purged(holding)
        return done

    def finish(self) -> int:
        """Delete what was condemned and is still there; return how many. Raises LedgerError.

        Whoever was killed between the two steps left it.
        """
        return sum(self._erase(kind) for kind in HoldingKind)

    def _erase(self, kind: HoldingKind) -> int:
        total = 0
        while number := self._ledger.erase(kind, lambda paths: self._remove(kind, paths)):
            total += number
        return total

    def _remove(self, kind: HoldingKind, paths: Sequence[Path]) -> frozenset[Path]:
        """Delete files; return those that are gone for good, even if the power fails now."""
        root, gone = self._folders.of(kind), set()
        for path in paths:
            try:
                if kind is HoldingKind.SUMMARY:
                    _remove_folder(root / path)
                else:
                    (root / path).unlink(missing_ok=True)
                gone.add(path)
            except OSError as error:
                LOGGER.error("A purged file cannot be deleted: %s: %s", path, error.strerror)  # noqa: TRY400 - the traceback says no more
        for folder in sorted({(root / path).parent for path in gone}):
            if folder.is_dir():
                self._disk.sync_folder(folder)
        return frozenset(gone)

    def _summary_bytes(self, job_id: int) -> int:
        folder = self._folders.summaries / str(job_id)
        if not folder.is_dir():
            return 0
        return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) or 1


def _remove_folder(folder: Path) -> None:
    if folder.is_dir():
        shutil.rmtree(folder)
