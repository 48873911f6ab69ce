"""The data directory: what lies where."""

import errno
import os
from dataclasses import dataclass
from pathlib import Path

#: Patients' images: for the node's own account only.
_PRIVATE = 0o700

PICTURE_NAME = "summary.png"

#: The slice of largest area with its outline, beside it.
KEY_SLICE_NAME = "largest.png"


@dataclass(frozen=True, slots=True, kw_only=True)
class DataLayout:
    """Where the node keeps things below one directory."""

    root: Path

    @property
    def ledger(self) -> Path:
        """SQLite file of the ledger."""
        return self.root / "ledger.sqlite"

    @property
    def spool(self) -> Path:
        """Received instances."""
        return self.root / "spool"

    @property
    def outbox(self) -> Path:
        """Result objects until they are delivered, and after."""
        return self.root / "outbox"

    @property
    def summaries(self) -> Path:
        """One folder per analysis with its record, picture and page."""
        return self.root / "summaries"

    def summary(self, job_id: int) -> Path:
        """Return the folder of the summary of one analysis."""
        return self.summaries / str(job_id)

    def picture(self, job_id: int) -> Path | None:
        """Return the summary picture of one analysis, None if there is none."""
        path = self.summary(job_id) / PICTURE_NAME
        return path if path.is_file() else None

    def export_key(self, name: str) -> Path:
        """Return the key file of an export that was given none."""
        return self.root / "export-keys" / f"{name}.key"

    @property
    def model_history(self) -> Path:
        """Which models were put on trial and promoted, one JSON line each."""
        return self.root / "models-history.jsonl"

    @property
    def audit(self) -> Path:
        """Audit messages that the repository does not have yet."""
        return self.root / "audit"

    @property
    def bells(self) -> Path:
        """Named pipes by which the processes wake one another."""
        return self.root / "bells"

    @property
    def early(self) -> Path:
        """Marks of what workers have begun with before it was asked for."""
        return self.root / "early"

    def lock(self, purpose: str) -> Path:
        """Return the lock file for a purpose."""
        return self.root / f"{purpose}.lock"

    def prepare(self) -> None:
        """Make the folders.

        Raises
        ------
        OSError
            If the data directory cannot be made or written.
        """
        for folder in (self.root, self.spool, self.outbox, self.summaries):
            folder.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
            if not os.access(folder, os.W_OK | os.X_OK):
                words = f"not writable for uid {os.geteuid()}: another owner, or mounted read-only"
                raise PermissionError(errno.EACCES, words, str(folder))
