"""What a sender is told about an object: the status of the C-STORE response."""

import logging
from enum import IntEnum

from dicom_node.association.refusals import REFUSAL_WORDS, RefusalKind
from dicom_node.association.store_request import Intake, Sender, StoreRequest
from dicom_node.errors import (
    CustodyRecordError,
    InstanceMismatchError,
    IntakeError,
    SpoolFullError,
    SpoolWriteError,
    UnreadableInstanceError,
    stack_of,
)

LOGGER = logging.getLogger(__name__)


class StoreStatus(IntEnum):
    """What the node answers to C-STORE (PS3.4, section B.2.3)."""

    SUCCESS = 0x0000
    OUT_OF_RESOURCES = 0xA700  #: the disk is low
    CANNOT_STORE = 0xA701  #: the disk refused
    CANNOT_RECORD = 0xA702  #: the ledger refused
    TOO_LARGE = 0xA703  #: the data set is longer than the limit
    TOO_MUCH = 0xA704  #: too much is being received at the same time; later there is room
    DATA_SET_MISMATCH = 0xA900  #: the data set is not what the request announced
    CANNOT_UNDERSTAND = 0xC000  #: the data set cannot be read
    UNFORESEEN = 0xC001  #: a fault of the node; its log says which


STATUS_OF_ERROR: dict[type[IntakeError], StoreStatus] = {
    SpoolFullError: StoreStatus.OUT_OF_RESOURCES,
    SpoolWriteError: StoreStatus.CANNOT_STORE,
    CustodyRecordError: StoreStatus.CANNOT_RECORD,
    UnreadableInstanceError: StoreStatus.CANNOT_UNDERSTAND,
    InstanceMismatchError: StoreStatus.DATA_SET_MISMATCH,
}

#: What is refused before it is an instance, and what the sender is told.
STATUS_OF_REFUSAL: dict[RefusalKind, StoreStatus] = {
    RefusalKind.OBJECT_TOO_LARGE: StoreStatus.TOO_LARGE,
    RefusalKind.OUT_OF_MEMORY: StoreStatus.TOO_MUCH,
}


def handle_store(request: StoreRequest, intake: Intake) -> StoreStatus:
    """Take custody of one instance and return the answer to the C-STORE request.

    Success tells the sender it may delete its copy, so it is returned only once `intake` has
    made the instance durable. No pixel is decoded here.
    """
    try:
        intake.accept(request)
    except IntakeError as error:
        status = STATUS_OF_ERROR[type(error)]
        LOGGER.warning(
            "C-STORE of %s from %s refused with 0x%04X: %s",
            request.sop_instance_uid,
            request.sender.calling_ae_title,
            status,
            error,
        )
        return status
    except Exception as error:  # noqa: BLE001 - first of three: the sender must hear a failure
        LOGGER.error(  # noqa: TRY400 - the message of an outside library may quote the data set
            "C-STORE of %s failed: %s", request.sop_instance_uid, stack_of(error)
        )
        return StoreStatus.UNFORESEEN
    return StoreStatus.SUCCESS


def handle_refused(sop_instance_uid: str, sender: Sender, kind: RefusalKind) -> StoreStatus:
    """Return the answer to a request whose data set was too much and has not been kept."""
    status = STATUS_OF_REFUSAL[kind]
    LOGGER.warning(
        "C-STORE of %s from %s refused with 0x%04X: %s",
        sop_instance_uid,
        sender.calling_ae_title,
        status,
        REFUSAL_WORDS[kind],
    )
    return status
