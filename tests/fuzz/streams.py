"""The reader of storage requests, against pynetdicom's reading of the same PDUs."""

import io
import struct
from collections.abc import Iterator

from fuzz.campaign import Target
from fuzz.wire import C_ECHO, C_STORE, EXPLICIT, VERIFICATION, command, fragment
from pydicom.uid import CTImageStorage
from pynetdicom.dimse_messages import C_ECHO_RQ, C_STORE_RQ, DIMSEMessage
from pynetdicom.pdu import P_DATA_TF

from dicom_node.association.receive_limits import ByteBudget, MeasuredDataSet, ReceiveLimits
from dicom_node.association.stream_command import Request
from dicom_node.association.stream_reader import BrokenMessageError, Context, StreamReader

_CONTEXTS = {
    1: Context(sop_class_uid=str(CTImageStorage), transfer_syntax_uid=EXPLICIT),
    3: Context(sop_class_uid=VERIFICATION, transfer_syntax_uid=EXPLICIT),
}


def targets() -> list[Target]:
    """Return the target."""
    store = fragment(1, 3, command(C_STORE, str(CTImageStorage), has_data=True, uid="1.2.3.4"))
    echo = fragment(3, 3, command(C_ECHO, VERIFICATION, has_data=False))
    pieces = fragment(1, 0, b"\x08\x00\x05\x00CS\x02\x00AB") + fragment(1, 2, b"the rest")
    return [
        Target(
            name="stream",
            seeds=[store + pieces, echo + store + pieces, store + fragment(1, 2, b"x" * 300)],
            check=_check,
            watched=[
                "dicom_node/association/stream_reader.py",
                "dicom_node/association/stream_command.py",
            ],
        )
    ]


def _check(data: bytes) -> None:
    """Give PDUs to both; what ours takes the library must understand in the same way."""
    stored: list[tuple[str, str, bytes]] = []
    answered: list[bytes] = []
    budget = ByteBudget(100_000)

    def store(request: Request, _syntax: str, data_set: MeasuredDataSet) -> int:
        stored.append((request.sop_class_uid, request.sop_instance_uid, data_set.getvalue()))
        return 0

    reader = StreamReader(
        contexts=_CONTEXTS,
        store=store,
        send=answered.append,
        limits=ReceiveLimits(),
        budget=budget,
        longest_answer=16384,
        timer=lambda: 0.0,
    )
    message = DIMSEMessage()
    understood: list[tuple[str, str, bytes]] = []
    requests = 0
    try:
        for pdu in _pdus(data):
            if not reader.take(memoryview(pdu)):
                break
            if _understood(message, pdu):
                requests += 1
                if isinstance(message, C_STORE_RQ):
                    understood.append(_facts(message))
                message = DIMSEMessage()
    except BrokenMessageError:
        reader.drop()
        stored, answered = stored[: len(understood)], answered[:requests]
    if stored != understood or len(answered) != requests:
        raise AssertionError(f"{len(answered)} answers, the library read {requests} requests")
    reader.drop()
    if budget.used:
        raise AssertionError(f"{budget.used} bytes were not given back")


def _pdus(data: bytes) -> Iterator[bytes]:
    """Yield the PDUs that are whole, as the socket hands them over."""
    while len(data) >= 6:
        (length,) = struct.unpack_from(">L", data, 2)
        if len(data) < 6 + length:
            return
        yield data[: 6 + length]
        data = data[6 + length :]


def _understood(message: DIMSEMessage, pdu: bytes) -> bool:
    """Return whether the library has a whole message, which is a storage or echo request."""
    found = P_DATA_TF()
    found.decode(pdu)
    is_whole = message.decode_msg(found.to_primitive())
    if is_whole and not isinstance(message, C_STORE_RQ | C_ECHO_RQ):
        raise AssertionError(f"The library read {type(message).__name__}")
    return bool(is_whole)


def _facts(message: DIMSEMessage) -> tuple[str, str, bytes]:
    primitive = message.message_to_primitive()
    if not primitive.is_valid_request or not isinstance(primitive.DataSet, io.BytesIO):
        raise AssertionError("The library takes the request for an invalid one")
    return (
        str(primitive.AffectedSOPClassUID),
        str(primitive.AffectedSOPInstanceUID),
        primitive.DataSet.getvalue(),
    )
