"""Associations to one peer that stay open for a while after results, for the next ones."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TypeVar

from dicom_node.association.idle_association import IdleAssociation
from dicom_node.association.peers import Peer
from dicom_node.association.storage_scu import (
    OutgoingFile,
    SendOutcome,
    StorageLine,
    storage_line,
)
from dicom_node.errors import AssociationRejectedError, PeerError, stack_of

LOGGER = logging.getLogger(__name__)

#: Result of A-ASSOCIATE-RJ (PS3.8, table 9-21): rejected for now, as by a peer without room.
_TRANSIENT = 2

_Given = TypeVar("_Given")


class _Kept:
    """An association, used by one thread or by nobody."""

    def __init__(self, line: StorageLine, end: Callable[[], None]) -> None:
        self.line = line
        self._end = end
        self._idle: IdleAssociation | None = None
        self.until = 0.0

    def rest(self, until: float) -> None:
        """Let it rest until then."""
        self._idle, self.until = IdleAssociation(self.line.association), until

    @property
    def stands(self) -> bool:
        """Whether the peer has left it open; of one that rests."""
        return self._idle is not None and self._idle.stands

    def wake(self) -> None:
        """Use it again."""
        if self._idle is not None:
            self._idle.end()
            self._idle = None

    def end(self) -> None:
        """Release it if it is still there."""
        self.wake()
        self._end()


class KeptAssociations:
    """Sends files to one peer; an association that served is kept open for a time.

    Files travel over one that is kept if it was negotiated for all that they need and nothing of
    that was refused. There are never more associations than threads that send: who needs one that
    was negotiated otherwise ends a kept one first. What fails on a kept association before the
    first answer is sent again at once over a new one: the peer may have dropped it in silence, and
    an object that it has already is the same object, with the same UID.

    Parameters
    ----------
    peer
        Who is called.
    keep_s
        For so long an association is kept; 0: none is.
    timer
        Returns seconds on a clock that never goes back.
    """

    def __init__(
        self, peer: Peer, *, keep_s: float, timer: Callable[[], float] = time.monotonic
    ) -> None:
        self._peer = peer
        self._keep_s = keep_s
        self._timer = timer
        self._idle: list[_Kept] = []
        self._lock = threading.Lock()

    def send(
        self,
        files: Sequence[OutgoingFile],
        *,
        on_outcome: Callable[[SendOutcome], None],
        on_progress: Callable[[], None],
    ) -> None:
        """Send files in order and tell the fate of each at once.

        Parameters
        ----------
        files
            What is sent.
        on_outcome
            Called as soon as the fate of a file is known.
        on_progress
            Called before files are sent again over another association.

        Raises
        ------
        PeerError
            If there is no association, or it breaks. Files without outcome were not acknowledged.
        """
        if not files:
            return
        kept = self._take(files)
        if kept is not None:
            is_told = False

            def tell(outcome: SendOutcome) -> None:
                nonlocal is_told
                is_told = True
                on_outcome(outcome)

            try:
                self._send(kept, files, tell)
            except PeerError as error:
                if is_told:
                    raise
                LOGGER.info(
                    "The association that was kept is of no use, another follows: %s", error
                )
                on_progress()
            else:
                return
        fresh = self.with_room(lambda: self._opened(files))
        self._send(fresh, files, on_outcome)

    def rest(self) -> None:
        """End what was kept for its time, and what the peer has ended; when nothing is due."""
        self._drop(self._timer())

    def close(self) -> bool:
        """End all that is kept; return whether there was any."""
        with self._lock:
            over, self._idle = self._idle, []
        self._end(over)
        return bool(over)

    def with_room(self, call: Callable[[], _Given]) -> _Given:
        """Return what a call of the peer gives.

        If the peer has no room for another association, those that are kept give way, and it is
        called again.
        """
        try:
            return call()
        except AssociationRejectedError as error:
            if error.result != _TRANSIENT or not self.close():
                raise
        return call()

    def _take(self, files: Sequence[OutgoingFile]) -> _Kept | None:
        """Return a kept association for files; None, and one less is kept, if none fits."""
        self._drop(float("-inf"))
        with self._lock:
            if not self._idle:
                return None
            fitting = [one for one in self._idle if one.line.fits(files)]
            found = (fitting or self._idle)[-1]
            self._idle.remove(found)
        if fitting:
            found.wake()
            return found
        self._end([found])
        return None

    def _drop(self, until: float) -> None:
        """End what is kept no longer than until then, and what the peer has ended."""
        with self._lock:
            over = [one for one in self._idle if one.until <= until or not one.stands]
            self._idle = [one for one in self._idle if one not in over]
        self._end(over)

    def _opened(self, files: Sequence[OutgoingFile]) -> _Kept:
        ways = ExitStack()
        line = ways.enter_context(storage_line(self._peer, files, timer=self._timer))
        return _Kept(line, ways.close)

    def _send(
        self, kept: _Kept, files: Sequence[OutgoingFile], on_outcome: Callable[[SendOutcome], None]
    ) -> None:
        is_whole = False
        try:
            for file in files:
                on_outcome(kept.line.send(file))
            is_whole = (
                self._keep_s > 0 and kept.line.association.is_established and kept.line.fits(files)
            )
        finally:
            if is_whole:
                kept.rest(self._timer() + self._keep_s)
                with self._lock:
                    self._idle.append(kept)
            else:
                kept.end()

    def _end(self, over: Sequence[_Kept]) -> None:
        for one in over:
            try:
                one.end()
            except (OSError, RuntimeError) as error:  # nothing travels over it any more
                LOGGER.warning(
                    "An association to %s did not end well: %s", self._peer.name, stack_of(error)
                )
