"""What a peer answers to the node: bounded in size, garbage contained.

pynetdicom reads a PDU of up to 4 GiB in one go, collects a message without limit, and its thread
dies of a PDU that it cannot turn into a primitive; the node would wait for its time-out.
"""

import logging
import time
from typing import TYPE_CHECKING

from pynetdicom.dimse_primitives import C_GET, C_STORE
from pynetdicom.pdu_primitives import A_P_ABORT

from dicom_node.association.receive_limits import MeasuredDataSet
from dicom_node.errors import stack_of

if TYPE_CHECKING:
    import socket

    from pynetdicom.association import Association
    from pynetdicom.dimse import _QueueItem
    from pynetdicom.dimse_primitives import DimsePrimitiveType
    from pynetdicom.pdu_primitives import P_DATA
    from pynetdicom.transport import AssociationSocket

LOGGER = logging.getLogger(__name__)

#: Longer PDUs than any that the node asks for (PS3.8, annex D.1), with room for peers that do not
#: listen.
_LONGEST_PDU = 16 * 2**20

#: Longer than any answer to a query or a report; images that come by C-GET have their own limits.
_LONGEST_ANSWER = 64 * 2**20

#: For associations without a time-out of their own.
_PATIENCE_S = 60.0

_SHORTEST_WAIT_S = 0.001
_PIECE = 65536

#: No association (PS3.8, table 9-1).
_IDLE = "Sta1"


def guard_answers(association: "Association") -> None:
    """Put a guard in front of everything that comes over an association the node opens.

    It is given up, as if the peer had hung up, where an answer is too long or makes no sense, or
    where the peer stops in the middle of a PDU, its own or ours, for the network time-out.
    """
    _bound_transport(association)
    _bound_messages(association)
    _match_answers(association)
    _contain(association)


def _bound_transport(association: "Association") -> None:
    plug = association.dul.socket
    if plug is None:
        return
    patience = association.network_timeout or _PATIENCE_S
    send = plug.send

    def receive(count: int) -> bytearray:
        """Return so many bytes, fewer if the connection ended."""
        if count > _LONGEST_PDU:
            LOGGER.warning(
                "A peer announced a PDU of %s bytes; the association is given up", count
            )
            raise ConnectionAbortedError("The PDU is too long")
        link, found = _link(plug), bytearray()
        deadline = time.monotonic() + patience
        while len(found) < count:
            # A time-out of zero would not wait, and not be one either.
            link.settimeout(max(deadline - time.monotonic(), _SHORTEST_WAIT_S))
            piece = link.recv(min(count - len(found), _PIECE))
            if not piece:
                break
            found += piece
        return found

    def send_in_time(stream: bytes) -> None:
        _link(plug).settimeout(patience)
        send(stream)

    # Assigned to the instances: pynetdicom has no place for a guard of its own.
    plug.recv = receive  # type: ignore[method-assign, assignment]
    plug.send = send_in_time  # type: ignore[method-assign, assignment]


def _link(plug: "AssociationSocket") -> "socket.socket":
    if plug.socket is None:
        raise ConnectionError("The connection is closed")
    return plug.socket


def _bound_messages(association: "Association") -> None:
    dimse = association.dimse
    assemble = dimse.receive_primitive

    def assemble_bounded(primitive: "P_DATA") -> None:
        message = dimse.message
        if message is not None and not isinstance(message.data_set, MeasuredDataSet):
            held = message.encoded_command_set.tell()
            held += 0 if message.data_set is None else message.data_set.tell()
            if held > _LONGEST_ANSWER:
                raise ValueError(f"An answer is longer than {_LONGEST_ANSWER} bytes")
        assemble(primitive)

    dimse.receive_primitive = assemble_bounded  # type: ignore[method-assign]


def _match_answers(association: "Association") -> None:
    """Take an answer to something else than what was asked for no answer at all.

    The library looks for its elements, and raises that they are not there.
    """
    dimse = association.dimse
    send, get = dimse.send_msg, dimse.get_msg
    asked: list[type] = []

    def send_noted(primitive: "DimsePrimitiveType", context_id: int) -> None:
        if primitive.MessageIDBeingRespondedTo is None:
            asked[:] = [type(primitive)]
        send(primitive, context_id)

    def get_matching(block: bool = False) -> "_QueueItem":  # noqa: FBT001, FBT002 - as it is there
        answer = get(block)
        message = answer[1]
        if message is None or not block or not asked:
            return answer
        is_image = asked[0] is C_GET and isinstance(message, C_STORE)
        if isinstance(message, asked[0]) or is_image:
            return answer
        LOGGER.info("A peer answered something else than it was asked")
        _end(association)
        return None, None

    dimse.send_msg = send_noted  # type: ignore[method-assign]
    dimse.get_msg = get_matching  # type: ignore[method-assign]


def _end(association: "Association") -> None:
    """End an association whose machine has stopped, and wake who waits for an answer."""
    dul = association.dul
    if dul.socket is not None:
        dul.socket.close()
    dul.state_machine.current_state = _IDLE  # else its end would be waited for, for ever
    dul.to_user_queue.put(A_P_ABORT())
    association.dimse.msg_queue.put((None, None))
    dul.kill_dul()


def _contain(association: "Association") -> None:
    dul = association.dul
    act = dul.state_machine.do_action

    def act_or_end(event: str) -> None:
        try:
            act(event)
        except Exception as error:  # noqa: BLE001 - whatever garbage does, the node lives on
            LOGGER.info("An answer that cannot be understood: %s", stack_of(error))
            _end(association)

    dul.state_machine.do_action = act_or_end  # type: ignore[method-assign]
