"""Storage requests read straight from the network, with the library beside for all else.

Reads whole PDUs. A C-STORE or C-ECHO whose command set stands in one piece in one PDU is answered
here; every other PDU, request and fault is left to the library, which finds it where it was.
PS3.8, section 9.3.5 and annex E.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from dicom_node.association.pdu_format import COMMAND_PART, LAST_PART, P_DATA, PDU_HEAD, PDV_HEAD
from dicom_node.association.presentation import VERIFICATION
from dicom_node.association.receive_limits import (
    LONGEST_COMMAND_SET,
    ByteBudget,
    MeasuredDataSet,
    ReceiveLimits,
)
from dicom_node.association.refusals import RefusalKind
from dicom_node.association.stream_command import Request, RequestKind, answer, read_request

#: Success (PS3.7, annex C).
_SUCCESS = 0x0000


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """An accepted presentation context."""

    sop_class_uid: str
    transfer_syntax_uid: str


#: Stores an object: request, transfer syntax, data set; returns the status of the answer.
Store = Callable[[Request, str, MeasuredDataSet], int]


class BrokenMessageError(Exception):
    """A message went on in a way that the standard does not know."""

    def __init__(self, kind: RefusalKind, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail


@dataclass(slots=True)
class _Message:
    """A message whose data set is on its way."""

    context_id: int
    request: Request
    data_set: MeasuredDataSet
    begun: float


class StreamReader:
    """Takes the PDUs of one association that belong to storage.

    Parameters
    ----------
    contexts
        The accepted presentation contexts by their ID.
    store
        Stores an object.
    send
        Sends bytes to the caller.
    limits
        How much and how slowly may be sent.
    budget
        Memory of all associations.
    longest_answer
        Longest P-DATA-TF that the caller takes; 0 for no limit.
    timer
        Returns seconds on a clock that never goes back.
    """

    def __init__(
        self,
        *,
        contexts: dict[int, Context],
        store: Store,
        send: Callable[[bytes], None],
        limits: ReceiveLimits,
        budget: ByteBudget,
        longest_answer: int,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._contexts = contexts
        self._store = store
        self._send = send
        self._limits = limits
        self._budget = budget
        self._longest_answer = longest_answer
        self._timer = timer
        self._message: _Message | None = None

    @property
    def is_between(self) -> bool:
        """Whether no message is on its way here."""
        return self._message is None

    def take(self, pdu: memoryview) -> bool:
        """Take a PDU, and answer the request that it completes; False leaves it to the library.

        Parameters
        ----------
        pdu
            The whole PDU with its header.

        Raises
        ------
        BrokenMessageError
            If a message that was begun here cannot be gone on with.
        """
        if pdu[0] != P_DATA:
            self.drop()
            return False
        if self._message is None:
            return self._begin(pdu)
        for context_id, control, data in self._values(pdu):
            self._add(context_id, control, data)
        return True

    def drop(self) -> None:
        """Forget the message that is on its way."""
        message, self._message = self._message, None
        if message is not None:
            message.data_set.close()

    def _begin(self, pdu: memoryview) -> bool:
        """Take the first PDU of a message if its request is one of these."""
        values = self._values(pdu)
        try:
            context_id, control, command = next(values)
        except (BrokenMessageError, StopIteration):
            return False  # the library says what is wrong with it
        context = self._contexts.get(context_id)
        if context is None or control != COMMAND_PART | LAST_PART:
            return False
        request = None if len(command) > LONGEST_COMMAND_SET else read_request(bytes(command))
        if request is None or request.sop_class_uid != context.sop_class_uid:
            return False
        is_echo = request.kind is RequestKind.C_ECHO
        if is_echo is not (context.sop_class_uid == VERIFICATION):
            return False
        if is_echo:
            self._answer(context_id, request, _SUCCESS)
        else:
            limits = self._limits
            self._message = _Message(
                context_id,
                request,
                MeasuredDataSet(max_bytes=limits.max_object_bytes, budget=self._budget),
                self._timer(),
            )
        for more_id, control, data in values:
            self._add(more_id, control, data)
        return True

    def _add(self, context_id: int, control: int, data: memoryview) -> None:
        """Add a piece of the data set; store it if it was the last."""
        message = self._message
        if message is None:
            raise BrokenMessageError(RefusalKind.MALFORMED, "a fragment behind the last one")
        if context_id != message.context_id:
            raise BrokenMessageError(
                RefusalKind.MALFORMED,
                f"a fragment of context {context_id} amid a message of {message.context_id}",
            )
        if control & COMMAND_PART:
            raise BrokenMessageError(RefusalKind.MALFORMED, "a command set amid a data set")
        if self._timer() - message.begun > self._limits.message_s:
            raise BrokenMessageError(
                RefusalKind.TOO_SLOW, f"a message took longer than {self._limits.message_s:g} s"
            )
        message.data_set.write(data)
        if control & LAST_PART:
            self._message = None
            with message.data_set as data_set:
                syntax = self._contexts[context_id].transfer_syntax_uid
                status = self._store(message.request, syntax, data_set)
            self._answer(context_id, message.request, status)

    def _answer(self, context_id: int, request: Request, status: int) -> None:
        self._send(
            answer(request, status, context_id=context_id, longest_pdu=self._longest_answer)
        )

    @staticmethod
    def _values(pdu: memoryview) -> Iterator[tuple[int, int, memoryview]]:
        """Yield context, control header and data of each presentation data value of a PDU."""
        offset, end = PDU_HEAD.size, len(pdu)
        while offset < end:
            if offset + PDV_HEAD.size > end:
                raise BrokenMessageError(
                    RefusalKind.MALFORMED,
                    f"{end - offset} bytes, the head of a fragment has {PDV_HEAD.size}",
                )
            length, context_id, control = PDV_HEAD.unpack_from(pdu, offset)
            start, offset = offset + PDV_HEAD.size, offset + 4 + length
            if offset < start or offset > end:
                raise BrokenMessageError(
                    RefusalKind.MALFORMED,
                    f"a fragment says {length} bytes, 2 to {end - start + 2} can be in its PDU",
                )
            yield context_id, control, pdu[start:offset]
