"""Storage requests written straight to the network, with the library beside for all else.

The library reads a file into elements, encodes them anew, and copies each piece several times.
Here the bytes of the file travel as they lie. An answer that is the one that is waited for is read
here; every other PDU and every fault is left to the library, which finds it where it was.
"""

import os
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from pynetdicom.dimse_primitives import C_STORE

from dicom_node.association.file_format import LONGEST_META, split_file
from dicom_node.association.pdu_format import COMMAND_PART, LAST_PART, P_DATA, PDU_HEAD, PDV_HEAD
from dicom_node.association.stream_command import status_of_answer, store_command

if TYPE_CHECKING:
    from pynetdicom.association import Association

    from dicom_node.association.checkpoint import Checkpoint

_HEADS = PDU_HEAD.size + PDV_HEAD.size

#: Fragments are as long as the peer allows, and no longer than this.
_LONGEST_FRAGMENT = 131072

#: The smallest that is taken at its word; less is no PDU.
_LEAST_FRAGMENT = 128

#: So much is read from the file and written to the network at a time, in so many fragments, which
#: is as many as Linux reads by one call (IOV_MAX).
_PORTION = 2**20
_MOST_FRAGMENTS = 1024

#: Longer PDUs are no answer to C-STORE.
_LONGEST_ANSWER = 65536

_LARGEST_ID = 65535
_SHORTEST_WAIT_S = 0.001

#: How often it is looked whether a thread that is waited for has ended.
_LOOK_S = 0.05


class ShortFileError(OSError):
    """A file became shorter while it was sent; the association was given up."""


@dataclass(slots=True)
class _Rest:
    """What is still to be sent of an open file."""

    descriptor: int
    offset: int
    left: int


class StreamSender:
    """Stores files over an association that the node has opened.

    Parameters
    ----------
    association
        Established.
    answer_s
        Patience for each answer.
    portion_s
        Patience for a portion of a file to be taken.
    timer
        Returns seconds on a clock that never goes back.
    """

    def __init__(
        self,
        association: "Association",
        *,
        answer_s: float,
        portion_s: float,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._association = association
        self._answer_s = answer_s
        self._portion_s = portion_s
        self._timer = timer
        self._reading = threading.Lock()
        self._is_shared = threading.Event()
        self._given_back = bytearray()
        self._message_id = 0
        longest = association.acceptor.maximum_length or _LONGEST_FRAGMENT
        room = min(max(longest, _LEAST_FRAGMENT), _LONGEST_FRAGMENT) - PDV_HEAD.size
        self._room = room - room % 2  # fragments have an even length (PS3.8, section E.1)
        fragments = min(_PORTION // (self._room + _HEADS), _MOST_FRAGMENTS)
        self._portion = bytearray(fragments * (self._room + _HEADS))
        self._share()

    def context_of(self, sop_class_uid: str, transfer_syntax_uid: str) -> int | None:
        """Return the presentation context for objects of a class in an encoding, None if none."""
        for context in self._association.accepted_contexts:
            pair = (str(context.abstract_syntax), str(context.transfer_syntax[0]))
            if pair == (sop_class_uid, transfer_syntax_uid) and context.as_scu:
                return context.context_id
        return None

    def store(
        self, path: Path, context_id: int, *, sop_class_uid: str, sop_instance_uid: str
    ) -> int | None:
        """Send a file and return the status of the answer; None if there is none.

        Then the association is over, or must be given up.

        Parameters
        ----------
        path
            A DICOM file in the transfer syntax of the context.
        context_id
            An accepted presentation context.
        sop_class_uid, sop_instance_uid
            Of the file.

        Raises
        ------
        OSError
            If the file cannot be read; nothing was sent then, or the association is aborted.
        ValueError
            If it is no DICOM file; nothing was sent then.
        """
        association = self._association
        self._message_id = self._message_id % _LARGEST_ID + 1
        command = store_command(
            self._message_id, sop_class_uid=sop_class_uid, sop_instance_uid=sop_instance_uid
        )
        checkpoint = cast("Checkpoint", association._reactor_checkpoint)  # noqa: SLF001 - the library has no other way
        with path.open("rb", buffering=0) as file:
            _, offset = split_file(file.read(LONGEST_META))
            rest = _Rest(file.fileno(), offset, file.seek(0, os.SEEK_END) - offset)
            # Messages of the peer wait meanwhile, as they do while the library sends.
            checkpoint.clear()
            try:
                return self._exchange(command, context_id, rest)
            except ShortFileError:
                association.abort()
                raise
            finally:
                checkpoint.set_quietly()

    def close(self) -> None:
        """Give back the memory; nothing is stored any more.

        The library's objects refer to each other and to this one, in a circle that is found late.
        """
        self._portion = bytearray()

    def _exchange(self, command: bytes, context_id: int, rest: _Rest) -> int | None:
        deadline = self._timer() + self._answer_s
        # The library's thread may still be in the middle of its own way of looking.
        while not self._is_shared.wait(_LOOK_S):
            if not self._association.dul.is_alive():
                return None
        with self._reading:
            link = self._link()
            if link is None:
                return None
            try:
                self._write(link, command, context_id, rest)
            except ShortFileError:
                raise
            except OSError:
                status = None  # what the peer has said before tells why
            else:
                deadline = self._timer() + self._answer_s
                status = self._answer(link, context_id, deadline)
                self._association.dul._idle_timer.restart()  # noqa: SLF001 - as the library does
        if status is not None:
            return status
        if self._timer() >= deadline:
            return None
        found_id, message = self._association.dimse.get_msg(block=True)
        if not isinstance(message, C_STORE) or found_id != context_id:
            return None
        is_answer = message.MessageIDBeingRespondedTo == self._message_id
        return message.Status if is_answer else None

    def _write(self, link: socket.socket, command: bytes, context_id: int, rest: _Rest) -> None:
        """Write the request; raises OSError if the peer does not take it, or the file ends."""
        link.settimeout(self._portion_s)
        head = PDU_HEAD.pack(P_DATA, 0, PDV_HEAD.size + len(command))
        head += PDV_HEAD.pack(len(command) + 2, context_id, COMMAND_PART | LAST_PART)
        link.sendall(head + command)
        with memoryview(self._portion) as portion:
            while rest.left:
                link.sendall(portion[: self._fill(portion, context_id, rest)])

    def _fill(self, portion: memoryview, context_id: int, rest: _Rest) -> int:
        """Fill the portion with fragments of the file by one call; return how long it became."""
        filled, places = 0, []
        while rest.left and filled < len(portion):
            count = min(rest.left, self._room)
            rest.left -= count
            last = 0 if rest.left else LAST_PART
            PDU_HEAD.pack_into(portion, filled, P_DATA, 0, PDV_HEAD.size + count)
            PDV_HEAD.pack_into(portion, filled + PDU_HEAD.size, count + 2, context_id, last)
            filled += _HEADS
            places.append(portion[filled : filled + count])
            filled += count
        read = os.preadv(rest.descriptor, places, rest.offset)
        rest.offset += read
        if read != filled - _HEADS * len(places):
            raise ShortFileError("A file became shorter while it was sent")
        return filled

    def _answer(self, link: socket.socket, context_id: int, deadline: float) -> int | None:
        """Return the status of the answer; None, and all bytes given back, if it is another."""
        found, status = bytearray(), None
        if self._read(link, found, PDU_HEAD.size, deadline):
            kind, _, length = PDU_HEAD.unpack(found)
            may_be_it = kind == P_DATA and length <= _LONGEST_ANSWER
            if may_be_it and self._read(link, found, PDU_HEAD.size + length, deadline):
                status = status_of_answer(
                    bytes(found[PDU_HEAD.size :]),
                    context_id=context_id,
                    message_id=self._message_id,
                )
        if status is None:
            self._given_back += found
        return status

    def _read(self, link: socket.socket, found: bytearray, count: int, deadline: float) -> bool:
        """Read until so many bytes are there; returns whether they are."""
        while len(found) < count:
            link.settimeout(max(deadline - self._timer(), _SHORTEST_WAIT_S))
            try:
                piece = link.recv(count - len(found))
            except OSError:
                return False  # the library meets the same fault, or the peer is too slow
            if not piece:
                return False
            found += piece
        return True

    def _link(self) -> socket.socket | None:
        plug = self._association.dul.socket
        return None if plug is None else plug.socket

    def _share(self) -> None:
        """Have the library read from the network only while nobody else does."""
        dul = self._association.dul
        plug = dul.socket
        if plug is None:
            return
        look, receive = dul._is_transport_event, plug.recv  # noqa: SLF001 - the library has no place for this

        def look_unless_held() -> bool:
            self._is_shared.set()
            if not self._reading.acquire(blocking=False):
                return False
            try:
                if not self._given_back:
                    return look()
                dul._read_pdu_data()  # noqa: SLF001 - as above
                return True
            finally:
                self._reading.release()

        def receive_given_back(count: int) -> bytearray:
            first = self._given_back[:count]
            del self._given_back[:count]
            return first if len(first) == count else first + receive(count - len(first))

        dul._is_transport_event = look_unless_held  # type: ignore[method-assign]  # noqa: SLF001 - as above
        plug.recv = receive_given_back  # type: ignore[method-assign, assignment]
