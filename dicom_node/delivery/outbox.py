"""Encoded results, durable until they are delivered."""

import hashlib
import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from dicom_node.errors import OutboxError
from dicom_node.intake.disk import PART_SUFFIX, Disk, DurableFiles
from dicom_node.jobs.task import ResultObject, StoredObject

LOGGER = logging.getLogger(__name__)

#: Files younger than this may belong to a worker that has not written its rows yet.
_ORPHAN_AGE = timedelta(days=1)

_NAME_LENGTH = 32
_VERSION_LENGTH = 16


class Outbox:
    """Files below one folder, ``<series>/<instance>-<content>.dcm``, named by digests.

    The `ResultStore` of the worker. A second attempt at the same analysis writes other files if
    its bytes differ, so that it can never change what the ledger already points to.

    Parameters
    ----------
    root
        The folder; made if absent.
    disk
        The file system.
    """

    def __init__(self, root: Path, *, disk: Disk | None = None) -> None:
        self._root = root
        self._files = DurableFiles(disk or Disk())
        root.mkdir(parents=True, exist_ok=True)

    def store(self, objects: Sequence[ResultObject]) -> tuple[StoredObject, ...]:
        """Write every object durably and return where.

        Raises
        ------
        OutboxError
            If the disk refuses.
        """
        return tuple(self._store(one) for one in objects)

    def path(self, relative: Path) -> Path:
        """Return the place of a file of the outbox."""
        return self._root / relative

    def sweep(self, known: frozenset[Path], now: datetime) -> int:
        """Delete old files that belong to no result; return how many.

        A worker that died between its files and its rows leaves some behind.
        """
        oldest = (now - _ORPHAN_AGE).timestamp()
        orphans = [
            path
            for path in self._root.glob("*/*")
            if path.suffix in {".dcm", PART_SUFFIX}
            and path.relative_to(self._root) not in known
            and path.stat().st_mtime < oldest
        ]
        for path in orphans:
            path.unlink(missing_ok=True)
        return len(orphans)

    def _store(self, one: ResultObject) -> StoredObject:
        content = hashlib.sha256(one.encoded).hexdigest()
        name = f"{_digest(one.sop_instance_uid)}-{content[:_VERSION_LENGTH]}.dcm"
        relative = Path(_digest(one.series_instance_uid)) / name
        try:
            self._files.write(self._root / relative, [one.encoded])
        except OSError as error:
            raise OutboxError(f"The outbox cannot write: {error.strerror}") from error
        return StoredObject(
            kind=one.kind,
            sop_class_uid=one.sop_class_uid,
            sop_instance_uid=one.sop_instance_uid,
            series_instance_uid=one.series_instance_uid,
            transfer_syntax_uid=one.transfer_syntax_uid,
            path=relative,
            size_bytes=len(one.encoded),
            content_digest=content,
        )


def _digest(uid: str) -> str:
    return hashlib.sha256(uid.encode()).hexdigest()[:_NAME_LENGTH]
