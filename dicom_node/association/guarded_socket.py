"""The transport of one incoming association: no PDU too long, none that takes for ever.

pynetdicom reads a PDU of up to 4 GiB in one go and waits for its bytes without limit; two threads
would hang on every caller that stops in the middle.
"""

import contextlib
import select
import socket as transport
import ssl
import time
from collections.abc import Callable
from socket import socket
from typing import TYPE_CHECKING, NoReturn

from pynetdicom.pdu_primitives import A_P_ABORT
from pynetdicom.transport import AssociationSocket

from dicom_node.association.pdu_format import ASSOCIATE_RQ, P_DATA, PDU_HEAD
from dicom_node.association.receive_limits import ReceiveLimits
from dicom_node.association.refusals import RefusalKind

if TYPE_CHECKING:
    from pynetdicom.association import Association

_LAST_TYPE = 0x07

#: 128 contexts with 20 transfer syntaxes each need 90 kB.
_LONGEST_REQUEST = 256 * 1024

#: A-ASSOCIATE-RJ, A-RELEASE and A-ABORT have four bytes, an A-ASSOCIATE-AC is no business here.
_LONGEST_OTHER = 4096

#: Some senders count the header of the PDU in, some do not.
_HEADER_SLACK = PDU_HEAD.size

#: A-ABORT by the service provider: invalid PDU parameter value (PS3.8, section 9.3.8).
_ABORT = bytes([0x07, 0, 0, 0, 0, 4, 0, 0, 0x02, 0x06])

#: First bytes of a TLS handshake (RFC 8446, section 5.1).
_TLS_HANDSHAKE = b"\x16\x03"

_SHORTEST_WAIT_S = 0.001

#: Linux acknowledges the next segments at once instead of after up to 40 ms; elsewhere there is no
#: such switch. It falls back by itself and is set anew before each wait.
_QUICK_ACKNOWLEDGEMENT = getattr(transport, "TCP_QUICKACK", None)

#: What waits to be served: the next message is read when the last one has been taken up, since
#: asynchronous operations are not negotiated.
_MOST_WAITING = 1

#: Told of every violation: what it was, and details in the node's words.
OnViolation = Callable[[RefusalKind, str], None]


class GuardedSocket(AssociationSocket):
    """A socket that keeps a caller to the limits.

    Parameters
    ----------
    association
        Whose transport it is.
    plug
        The connected socket.
    limits
        How much and how slowly may be sent.
    on_violation
        Told when the connection is given up.
    timer
        Returns seconds on a clock that never goes back.
    """

    def __init__(
        self,
        association: "Association",
        plug: socket,
        *,
        limits: ReceiveLimits,
        on_violation: OnViolation,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(association, client_socket=plug)
        # The waits are here: a socket with a time-out asks the system before each read whether
        # there is anything.
        plug.setblocking(False)
        self._limits = limits
        self._on_violation = on_violation
        self._timer = timer
        self._ahead = bytearray()
        self._start = self._end = 0
        self._deadline = timer() + limits.request_s
        self._is_first = True
        self._in_body = False
        self._is_over = False

    @property
    def ready(self) -> bool:
        """Whether a PDU may be read now and has begun to arrive."""
        if not self.may_read:
            return False
        if self._start < self._end:
            return True
        return super().ready and self.has_data

    @property
    def has_data(self) -> bool:
        """Whether what has arrived is data of the caller: TLS has messages of its own."""
        return not isinstance(self.socket, ssl.SSLSocket) or self.read_ahead()

    @property
    def may_read(self) -> bool:
        """Whether the last message was taken up; else the caller's TCP window closes, it waits."""
        return not self._is_over and self.assoc.dimse.msg_queue.qsize() < _MOST_WAITING

    @property
    def has_ahead(self) -> bool:
        """Whether bytes were read from the network that nobody has asked for yet."""
        if self._start < self._end:
            return True
        plug = self.socket
        # Of a TLS record that ends one PDU and holds the next the rest is here, unseen by a poll.
        return isinstance(plug, ssl.SSLSocket) and plug.pending() > 0

    def recv(self, nr_bytes: int) -> bytearray:
        """Return the header or the body of a PDU, whichever comes next.

        Raises
        ------
        OSError
            If the PDU is too long or not complete in time, or the connection broke.
        """
        if self._in_body:
            self._in_body = False
            body = self._read(nr_bytes)
            self._is_first = False
            return body
        self._begin_pdu()
        header = self._read(nr_bytes)
        if len(header) < PDU_HEAD.size:
            self._wake_the_waiting()
        else:
            self._check(*PDU_HEAD.unpack(header), start=bytes(header))
            self._in_body = True
        return header

    def whole_pdu(self) -> memoryview:
        """Return the next PDU with its header; `recv` returns the same until `take_pdu`.

        The bytes stand in a buffer that the next PDU is read into. Empty if the connection
        ended before the PDU did.

        Raises
        ------
        OSError
            As `recv` does.
        """
        self._begin_pdu()
        if not self._fill(PDU_HEAD.size):
            return memoryview(b"")
        header = bytes(self._ahead[self._start : self._start + PDU_HEAD.size])
        kind, reserved, length = PDU_HEAD.unpack(header)
        self._check(kind, reserved, length, start=header)
        if not self._fill(PDU_HEAD.size + length):
            return memoryview(b"")
        return memoryview(self._ahead)[self._start : self._start + PDU_HEAD.size + length]

    def take_pdu(self) -> None:
        """Go on to the PDU behind the one that `whole_pdu` returned."""
        _, _, length = PDU_HEAD.unpack_from(self._ahead, self._start)
        self._start += PDU_HEAD.size + length
        self._is_first = False

    def send(self, bytestream: bytes) -> None:
        """Send a PDU; a caller that takes nothing is given up after the time for a PDU."""
        plug, sent = self.socket, 0
        if plug is None:
            return
        with contextlib.suppress(OSError):  # super() meets the same fault and reports it
            sent = plug.send(bytestream)
        if sent == len(bytestream):
            return
        with contextlib.suppress(OSError):
            plug.settimeout(self._limits.pdu_s)
        super().send(bytestream[sent:])
        with contextlib.suppress(OSError):
            plug.setblocking(False)

    def acknowledge(self) -> None:
        """Tell the caller at once what has arrived.

        Many senders write a message in two pieces and hold the second back until the first is
        acknowledged (Nagle's algorithm).
        """
        if self.socket is not None and _QUICK_ACKNOWLEDGEMENT is not None:
            with contextlib.suppress(OSError):
                self.socket.setsockopt(transport.IPPROTO_TCP, _QUICK_ACKNOWLEDGEMENT, 1)

    def read_ahead(self) -> bool:
        """Read what has arrived without waiting; returns whether there is something to take.

        A connection that broke is something: whoever takes it meets the fault and reports it.
        """
        plug = self.socket
        if self._start < self._end or plug is None:
            return True
        self._make_room(PDU_HEAD.size)
        try:
            with memoryview(self._ahead) as view:
                self._end += plug.recv_into(view[self._end :])
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False
        except OSError:
            return True
        return True

    def close(self) -> None:
        """Close the connection; a caller that never asked for an association is told of."""
        waits = self._is_first and not self._is_over
        if self.socket is not None and waits and self._timer() >= self._deadline:
            self._on_violation(
                RefusalKind.TOO_SLOW,
                f"no association request within {self._limits.request_s:g} s",
            )
        self._wake_the_waiting()
        plug = self.socket
        super().close()
        if plug is not None:
            plug.close()  # pynetdicom leaves it to the collector if the caller has gone first

    def _begin_pdu(self) -> None:
        if not self._is_first:
            self._deadline = self._timer() + self._limits.pdu_s

    def _check(self, kind: int, _reserved: int, length: int, *, start: bytes) -> None:
        if self._is_first and start.startswith(_TLS_HANDSHAKE):
            self._give_up(RefusalKind.TLS_ON_PLAIN_PORT, "")
        if self._is_first and kind != ASSOCIATE_RQ:
            self._give_up(RefusalKind.NOT_DICOM, "the first PDU is no association request")
        if not 1 <= kind <= _LAST_TYPE:
            self._give_up(RefusalKind.NOT_DICOM, f"PDU type {kind:02X}H")
        longest = _LONGEST_OTHER
        if kind == ASSOCIATE_RQ:
            longest = _LONGEST_REQUEST
        elif kind == P_DATA:
            longest = self._limits.max_pdu + _HEADER_SLACK
        if length > longest:
            self._give_up(RefusalKind.PDU_TOO_LONG, f"{length} bytes, at most {longest} are taken")

    def _fill(self, count: int) -> bool:
        """Read ahead until so many bytes are there; returns whether they are."""
        if self._end - self._start >= count:
            return True
        self._make_room(count)
        with memoryview(self._ahead) as view:
            while self._end - self._start < count:
                if self._timer() > self._deadline:
                    self._too_slow()
                got = self._receive_into(view[self._end :])
                if got == 0:
                    self._wake_the_waiting()
                    return False
                self._end += got
        return True

    def _make_room(self, count: int) -> None:
        """Have a buffer that holds so many bytes from where the next PDU begins."""
        held = self._end - self._start
        longest = max(count, self._limits.max_pdu + _HEADER_SLACK + PDU_HEAD.size)
        if len(self._ahead) < longest:
            larger = bytearray(longest)
            larger[:held] = self._ahead[self._start : self._end]
            self._ahead = larger
        elif held and self._start + count <= len(self._ahead):
            return
        elif held:
            self._ahead[:held] = self._ahead[self._start : self._end]
        self._start, self._end = 0, held

    def _read(self, count: int) -> bytearray:
        """Return so many bytes, fewer if the connection ended."""
        buffer = bytearray(count)
        view = memoryview(buffer)
        filled = min(count, self._end - self._start)
        view[:filled] = memoryview(self._ahead)[self._start : self._start + filled]
        self._start += filled
        while filled < count:
            if self._timer() > self._deadline:
                self._too_slow()
            got = self._receive_into(view[filled:])
            if got == 0:
                self._wake_the_waiting()
                return bytearray(view[:filled])
            filled += got
        return buffer

    def _receive_into(self, view: memoryview) -> int:
        plug = self.socket
        if plug is None:
            raise ConnectionError("The connection is closed")
        while True:
            try:
                return plug.recv_into(view)
            except (BlockingIOError, ssl.SSLWantReadError):
                self._wait(plug, select.POLLIN)
            except ssl.SSLWantWriteError:
                self._wait(plug, select.POLLOUT)
            except OSError:
                self._wake_the_waiting()
                raise

    def _wait(self, plug: socket, what: int) -> None:
        """Wait until the caller has sent something, or takes something; until the deadline."""
        self.acknowledge()
        sleeper = select.poll()
        try:
            sleeper.register(plug, what)
        except ValueError:
            raise ConnectionError("The connection is closed") from None
        left_s = max(self._deadline - self._timer(), _SHORTEST_WAIT_S)
        if not sleeper.poll(left_s * 1e3):
            self._too_slow()

    def _too_slow(self) -> NoReturn:
        what = "the association request" if self._is_first else "a PDU"
        limit = self._limits.request_s if self._is_first else self._limits.pdu_s
        self._give_up(RefusalKind.TOO_SLOW, f"{what} took longer than {limit:g} s")

    def abandon(self, kind: RefusalKind, detail: str) -> None:
        """End the connection for a reason that was found elsewhere."""
        self._part(kind, detail)
        self.close()

    def _give_up(self, kind: RefusalKind, detail: str) -> NoReturn:
        self._part(kind, detail)
        self._wake_the_waiting()
        raise ConnectionAbortedError(f"The caller broke a limit: {kind}")

    def _part(self, kind: RefusalKind, detail: str) -> None:
        """Say why, and send A-ABORT if that is possible."""
        self._is_over = True
        self._on_violation(kind, detail)
        plug = self.socket
        if plug is not None and kind is not RefusalKind.TLS_ON_PLAIN_PORT:
            with contextlib.suppress(OSError):
                plug.settimeout(1.0)
                plug.send(_ABORT)

    def _wake_the_waiting(self) -> None:
        """End an association that still waits for its request, instead of at its time-out."""
        if self.assoc.requestor.primitive is None:
            self.assoc.dul.to_user_queue.put(A_P_ABORT())
