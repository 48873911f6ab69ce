"""Files without rows, and rows without files: looked for once a day while the node works."""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, Protocol

from dicom_node.intake.inspection import HeldFile, orphans
from dicom_node.intake.spool import Spool

LOGGER = logging.getLogger(__name__)

#: Under which key the last scan is kept in the ledger.
LAST_SCAN: Final = "custody_scan"

#: The row of a younger file may be about to be written; a younger folder may be in use.
_LEFT_ALONE = timedelta(hours=1)


class Known(Protocol):
    """What the ledger knows of the spool."""

    def known_paths(self) -> frozenset[Path]:
        """Return the files that are recorded. Raises LedgerError."""

    def condemn_again(self, paths: Iterable[Path]) -> frozenset[Path]:
        """Have files deleted that were purged before; return which. Raises LedgerError."""


class Held(Protocol):
    """What must be there."""

    def images(self) -> tuple[HeldFile, ...]:
        """Return every instance in custody. Raises LedgerError."""

    def results(self) -> tuple[HeldFile, ...]:
        """Return every result object. Raises LedgerError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanReport:
    """What a scan found.

    Attributes
    ----------
    at : str
        When, ISO 8601.
    images, results : int
        That the ledger knows.
    missing_images, missing_results : int
        Whose files are gone.
    orphans : int
        Files in the spool that have no row; ``ichnode verify --repair`` deals with them.
    leftovers : int
        Files of what had been purged; they are deleted.
    """

    at: str
    images: int
    results: int
    missing_images: int
    missing_results: int
    orphans: int
    leftovers: int

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self)

    @property
    def found(self) -> dict[str, int]:
        """Numbers for the metrics, by what they count."""
        return {
            "missing_images": self.missing_images,
            "missing_results": self.missing_results,
            "orphans": self.orphans,
            "leftovers": self.leftovers,
        }

    @property
    def words(self) -> tuple[str, ...]:
        """What an operator must know of it."""
        found = []
        if self.missing_images or self.missing_results:
            found.append(
                f"{self.missing_images} images and {self.missing_results} results are gone from "
                "the disk: ichnode verify"
            )
        if self.orphans:
            found.append(f"{self.orphans} images have no row: ichnode verify --repair")
        return tuple(found)


def scan_of(document: Mapping[str, Any] | None) -> ScanReport | None:
    """Return the last scan, None if there was none."""
    return None if document is None else ScanReport(**document)


class CustodyScan:
    """Compares names only; ``ichnode verify`` reads every byte.

    Parameters
    ----------
    known, held
        The ledger.
    spool
        The images.
    outbox
        Folder of the results.
    clock
        Returns the present as an aware time.
    """

    def __init__(
        self,
        *,
        known: Known,
        held: Held,
        spool: Spool,
        outbox: Path,
        clock: Callable[[], datetime],
    ) -> None:
        self._known = known
        self._held = held
        self._spool = spool
        self._outbox = outbox
        self._clock = clock

    def scan(self) -> ScanReport:
        """Look at every name once. Raises LedgerError."""
        now = self._clock()
        images, results = self._held.images(), self._held.results()
        # Rows before files: what is purged meanwhile is asked for a second time.
        gone_images = _missing(self._spool.root, images)
        gone_results = _missing(self._outbox, results)
        if gone_images or gone_results:
            gone_images &= {file.path for file in self._held.images()}
            gone_results &= {file.path for file in self._held.results()}
        # Files before rows: what is received meanwhile has a row by now.
        present = frozenset(self._spool.files())
        loose = orphans(
            self._spool.root, present, self._known.known_paths(), now=now, settled=_LEFT_ALONE
        )
        leftovers = self._known.condemn_again(loose)
        self._drop_empty_folders(now)
        report = ScanReport(
            at=now.isoformat(),
            images=len(images),
            results=len(results),
            missing_images=len(gone_images),
            missing_results=len(gone_results),
            orphans=len(loose) - len(leftovers),
            leftovers=len(leftovers),
        )
        for line in report.words:
            LOGGER.error("Custody: %s", line)
        return report

    def _drop_empty_folders(self, now: datetime) -> None:
        """Remove what purged series leave; a folder that is not empty cannot be removed."""
        oldest = (now - _LEFT_ALONE).timestamp()
        for root in (self._spool.root, self._outbox):
            for folder in root.glob("*/"):
                try:
                    if folder.stat().st_mtime < oldest:
                        folder.rmdir()
                except OSError:
                    continue


def _missing(root: Path, files: Iterable[HeldFile]) -> set[Path]:
    return {file.path for file in files if not (root / file.path).is_file()}
