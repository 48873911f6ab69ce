"""pynetdicom's upper layer provider, made to wait for events and to let storage pass by.

The library looks for work every millisecond, in two threads per association. Here both sleep until
there is some. Its state machine, timers, negotiation and every service but storage stay its own.
"""

import os
import queue
import select
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from pynetdicom.dul import DULServiceProvider

from dicom_node.association.checkpoint import Checkpoint, is_past, put_in_place
from dicom_node.association.guarded_socket import GuardedSocket
from dicom_node.association.refusals import RefusalKind
from dicom_node.association.stream_reader import BrokenMessageError, StreamReader

if TYPE_CHECKING:
    from socket import socket

    from pynetdicom.association import Association
    from pynetdicom.pdu_primitives import (
        A_ABORT,
        A_ASSOCIATE,
        A_P_ABORT,
        A_RELEASE,
        _PDUPrimitiveType,
    )

#: States of the upper layer (PS3.8, section 9.2.1): somebody asks for an association; ready for
#: transfer; waiting for the close.
_ASKED, _TRANSFER, _CLOSING = "Sta3", "Sta6", "Sta13"

#: pynetdicom's event for "unrecognised or invalid PDU": it answers with A-ABORT; and for
#: "transport connection closed".
_INVALID, _CLOSED = "Evt19", "Evt17"

#: The longest sleep: timers are looked at afterwards.
_SLEEP_MS = 100.0

#: The same while a message waits to be taken up, which nobody announces.
_SHORT_SLEEP_MS = 2.0

#: How often the thread of an association that is told of nothing looks at its timers.
_LOOK_S = 0.25


class _Bell:
    """Something to wait for together with a socket."""

    def __init__(self) -> None:
        self._descriptor = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._lock = threading.Lock()
        self._is_open = True

    def fileno(self) -> int:
        return self._descriptor

    def ring(self) -> None:
        with self._lock:
            if self._is_open:
                os.eventfd_write(self._descriptor, 1)

    def hush(self) -> None:
        os.eventfd_read(self._descriptor)

    def close(self) -> None:
        with self._lock:
            if self._is_open:
                self._is_open = False
                os.close(self._descriptor)


class _AnnouncingQueue(queue.Queue[Any]):
    """A queue that tells somebody of what is put in."""

    def __init__(self, announce: Callable[[], None]) -> None:
        super().__init__()
        self._announce = announce

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:  # noqa: ANN401, FBT001, FBT002 - queue's
        super().put(item, block, timeout)
        self._announce()


class _PatientCheckpoint(Checkpoint):
    """Where the thread of an association waits: until it may go on *and* has something to do."""

    def __init__(self, thread: threading.Thread) -> None:
        self._work = threading.Event()
        super().__init__(thread)

    def announce(self) -> None:
        """Let the thread make its next round."""
        self._work.set()

    def set(self) -> None:
        """Let the thread go on."""
        super().set()
        self._work.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the thread may go on and has something to do, or shall look at its timers."""
        self.end_round()
        self._work.wait(_LOOK_S)
        self._work.clear()
        return super().wait(timeout)


class StreamProvider(DULServiceProvider):
    """The upper layer of one incoming association.

    Parameters
    ----------
    association
        Whose upper layer it is; it has not begun.
    open_reader
        Makes the reader of storage requests once the association is established.
    on_violation
        Told when the association is given up.
    """

    def __init__(
        self,
        association: "Association",
        *,
        open_reader: Callable[[GuardedSocket], StreamReader],
        on_violation: Callable[[RefusalKind, str], None],
    ) -> None:
        self._bell = _Bell()
        self._sleepers: dict[int, select.poll] = {}
        self._is_told_to_stop = False
        self._may_rest: Callable[[], bool] | None = None
        super().__init__(association)
        self._open_reader = open_reader
        self._on_violation = on_violation
        self._reader: StreamReader | None = None
        self._run_loop_delay = 0.0  # the wait is in `_is_transport_event`
        checkpoint = _PatientCheckpoint(association)
        put_in_place(checkpoint, association)
        self.event_queue = _AnnouncingQueue(self._bell.ring)
        self.to_provider_queue = _AnnouncingQueue(self._bell.ring)
        self.to_user_queue = _AnnouncingQueue(checkpoint.announce)
        association.dimse.msg_queue = _AnnouncingQueue(checkpoint.announce)

    @property
    def _kill_thread(self) -> bool:
        return self._is_told_to_stop or (self._may_rest is not None and self._may_rest())

    @_kill_thread.setter
    def _kill_thread(self, is_told: bool) -> None:
        self._is_told_to_stop = is_told
        self._bell.ring()

    def start(self) -> None:
        """Begin, without a thread as yet: see `receive_pdu`."""
        self.assoc._dul_ready.set()  # noqa: SLF001 - as the thread does it that begins later

    def receive_pdu(
        self,
        wait: bool = False,  # noqa: FBT001, FBT002 - as it is there
        timeout: float | None = None,
    ) -> "A_ASSOCIATE | A_RELEASE | A_ABORT | A_P_ABORT | None":
        """Return what the upper layer has for the association, None if there is nothing.

        The association's own thread does the work until it has let the caller in: the request is
        read and answered without a change of threads. Everything else that may come of a
        connection is left to a thread of the upper layer, which begins then.
        """
        if wait and self._is_without_thread:
            limit = None if timeout is None else time.monotonic() + timeout
            self._work_until(lambda: not self.to_user_queue.empty() or is_past(limit))
            if self.state_machine.current_state != _ASKED:
                super().start()
            wait = False
        return super().receive_pdu(wait, timeout)

    def send_pdu(self, primitive: "_PDUPrimitiveType") -> None:
        """Have a primitive sent."""
        super().send_pdu(primitive)
        if self._is_without_thread:
            self._work_until(lambda: self.to_provider_queue.empty() and self.event_queue.empty())
            super().start()

    @property
    def _is_without_thread(self) -> bool:
        """Whether the thread of the association asks, and works here itself."""
        return self.ident is None and threading.current_thread() is self.assoc

    def _work_until(self, may_rest: Callable[[], bool]) -> None:
        """Do the work of the upper layer in the thread that calls."""
        self._may_rest = may_rest
        try:
            super().run_reactor()
        finally:
            self._may_rest = None

    def run_reactor(self) -> None:
        """Run until the association has ended."""
        try:
            super().run_reactor()
        finally:
            if self._reader is not None:
                self._reader.drop()
            self._bell.close()
            cast("_PatientCheckpoint", self.assoc._reactor_checkpoint).announce()  # noqa: SLF001 - as above

    def _is_transport_event(self) -> bool:
        """Wait for something to happen; return whether it came from the network."""
        plug = self.socket
        if self.state_machine.current_state == _CLOSING or not isinstance(plug, GuardedSocket):
            return super()._is_transport_event()
        came = False
        # Storage is served here until something else comes: a round of the library costs more
        # than an answer.
        while self._rest(plug):
            if self.state_machine.current_state != _TRANSFER or not self._pass_by(plug):
                self._read_pdu_data()
                return True
            self._idle_timer.restart()
            came = True
        return came

    def _rest(self, plug: GuardedSocket) -> bool:
        """Sleep until the network or somebody here has something; return whether to read."""
        if not self.event_queue.empty():
            return False
        may_read = plug.may_read
        if may_read and plug.has_ahead:
            return True
        if self._reader is not None and not self._reader.is_between:
            if may_read and plug.read_ahead():
                return True
            plug.acknowledge()
        try:
            connection = plug.socket if may_read else None
            sleeper = self._sleeper_for(connection)
            ready = sleeper.poll(_SLEEP_MS if may_read else _SHORT_SLEEP_MS)
        except (OSError, ValueError):  # closed meanwhile
            return True
        if any(descriptor == self._bell.fileno() for descriptor, _ in ready):
            self._bell.hush()
            return False
        return bool(ready) and plug.has_data

    def _sleeper_for(self, connection: "socket | None") -> "select.poll":
        """Return what waits for the bell, and for a connection if there is one."""
        descriptor = -1 if connection is None else connection.fileno()
        if connection is not None and descriptor < 0:
            raise ValueError("The connection is closed")
        if descriptor not in self._sleepers:
            sleeper = select.poll()
            sleeper.register(self._bell, select.POLLIN)
            if descriptor >= 0:
                sleeper.register(descriptor, select.POLLIN)
            self._sleepers[descriptor] = sleeper
        return self._sleepers[descriptor]

    def _pass_by(self, plug: GuardedSocket) -> bool:
        """Read a PDU of a storage request; return whether it was one."""
        if self.assoc.dimse.message is not None:
            return False
        if self._reader is None:
            self._reader = self._open_reader(plug)
        try:
            with plug.whole_pdu() as pdu:
                if not pdu or not self._reader.take(pdu):
                    return False
        except BrokenMessageError as error:
            self._reader.drop()
            self._on_violation(error.kind, error.detail)
            self.event_queue.put(_INVALID)
        except OSError:
            self.event_queue.put(_CLOSED)
            return True
        plug.take_pdu()
        return True
