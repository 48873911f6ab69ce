"""The ledger behind the stream of images: the first of a series at once, the others in batches.

A transaction for each image costs more processor time than all the rest of its receipt. What makes
an image safe is its file, which is complete and synced before the sender hears Success; a start
records files without a row (`Custody.recover`). So the row may follow a moment later, as long as
nobody asks for it: whoever does, calls `settle` first, and so does the end of an association.
"""

import logging
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, Protocol

from dicom_node.association.store_request import Sender
from dicom_node.errors import LedgerError, describe_error
from dicom_node.intake.instance import ReceivedInstance
from dicom_node.lasting_thread import LastingThread

LOGGER = logging.getLogger(__name__)

#: How long a row may wait for others, and how many may wait.
PAUSE_S = 0.2
_MOST = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """An instance whose file is on the disk.

    Attributes
    ----------
    instance : ReceivedInstance
        Without the bytes of its data set.
    path : Path
        Its file, relative to the spool.
    size_bytes : int
        Length of its data set.
    """

    instance: ReceivedInstance
    path: Path
    size_bytes: int


def stored_of(instance: ReceivedInstance, path: Path) -> Stored:
    """Return what rows need of an instance, which may wait in memory."""
    request = replace(instance.request, data_set=b"")
    return Stored(
        instance=replace(instance, request=request),
        path=path,
        size_bytes=len(instance.request.data_set),
    )


class Stream(NamedTuple):
    """The images of one series that come over one association."""

    association_id: str
    series_uid: str


class Rows(Protocol):
    """Whatever keeps rows."""

    def add_all(self, batch: Sequence[Stored]) -> frozenset[Stream]:
        """Record instances in one transaction.

        Returns the streams of which the next instances may be recorded later. Raises LedgerError.
        """

    def close_association(self, sender: Sender, at: datetime) -> None:
        """Record that an association ended. Raises LedgerError."""

    def known_paths(self) -> frozenset[Path]:
        """Return the files that are recorded. Raises LedgerError."""

    def condemned_paths(self) -> frozenset[Path]:
        """Return those of them that are being purged. Raises LedgerError."""

    def condemn_again(self, paths: Iterable[Path]) -> frozenset[Path]:
        """Have files deleted that were purged before; return which. Raises LedgerError."""


class Recorder:
    """Records instances in the ledger; the `Register` of custody.

    Safe to use from several threads.

    Parameters
    ----------
    rows
        The ledger.
    pause_s
        How long a row may wait for others.
    """

    def __init__(self, rows: Rows, *, pause_s: float = PAUSE_S) -> None:
        self._rows = rows
        self._pause_s = pause_s
        self._waiting: list[Stored] = []
        self._may_wait: frozenset[Stream] = frozenset()
        self._lock = threading.Lock()
        self._recording = threading.Lock()
        self._has_work = threading.Event()
        self._is_over = threading.Event()
        self._thread = LastingThread(target=self._run, name="recorder")

    def start(self) -> None:
        """Begin to record in the background; until then everything is recorded at once."""
        self._thread.start()

    def stop(self) -> None:
        """Record what waits, and from now on everything at once. Raises LedgerError."""
        self._is_over.set()
        self._has_work.set()
        if self._thread.is_alive():
            self._thread.join()
        self.settle()

    def add(self, instance: ReceivedInstance, path: Path) -> None:
        """Record an instance now, or soon if that is enough. Raises LedgerError."""
        stored = stored_of(instance, path)
        if not self._add_later(stored):
            self._record([stored])

    def settle(self) -> None:
        """Record what waits, before anybody asks for it. Raises LedgerError."""
        self._record([])

    def close_association(self, sender: Sender, at: datetime) -> None:
        """Record what came over an association, and that it ended. Raises LedgerError."""
        self.settle()
        with self._lock:
            self._may_wait = frozenset(
                one for one in self._may_wait if one.association_id != sender.association_id
            )
        self._rows.close_association(sender, at)

    def known_paths(self) -> frozenset[Path]:
        """Return the files that are recorded. Raises LedgerError."""
        return self._rows.known_paths()

    def condemned_paths(self) -> frozenset[Path]:
        """Return those of them that are being purged. Raises LedgerError."""
        return self._rows.condemned_paths()

    def condemn_again(self, paths: Iterable[Path]) -> frozenset[Path]:
        """Have files deleted that were purged before; return which. Raises LedgerError."""
        return self._rows.condemn_again(paths)

    def _add_later(self, stored: Stored) -> bool:
        request = stored.instance.request
        stream = Stream(request.sender.association_id, stored.instance.series_instance_uid)
        if not self._thread.is_alive():
            return False
        with self._lock:
            if stream not in self._may_wait or len(self._waiting) >= _MOST:
                return False
            self._waiting.append(stored)
        self._has_work.set()
        return True

    def _record(self, more: Sequence[Stored]) -> None:
        """Record what waits, and more, in the order in which it came."""
        with self._recording:
            with self._lock:
                waiting, self._waiting = self._waiting, []
            batch = [*waiting, *more]
            if not batch:
                return
            try:
                may_wait = self._rows.add_all(batch)
            except LedgerError:
                with self._lock:
                    # Senders were told Success of these; of `more` they hear now.
                    self._waiting = waiting + self._waiting
                    self._may_wait = frozenset()
                raise
            seen = {
                Stream(
                    one.instance.request.sender.association_id, one.instance.series_instance_uid
                )
                for one in batch
            }
            with self._lock:
                self._may_wait = (self._may_wait - seen) | may_wait

    def _run(self) -> None:
        """Record what waits, again and again."""
        pause = threading.Event()
        while not self._is_over.is_set():
            self._has_work.wait()
            self._has_work.clear()
            pause.wait(self._pause_s)
            try:
                self.settle()
            except LedgerError as error:
                LOGGER.error(  # noqa: TRY400 - the message says it all
                    "Instances are stored but not recorded yet: %s", describe_error(error)
                )
                self._has_work.set()
