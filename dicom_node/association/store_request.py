"""One C-STORE request as it came over the network, and whoever takes custody of it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from dicom_node.association.file_format import FileMeta, encode_file_header


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """The other end of an association.

    Attributes
    ----------
    association_id : str
        Made by the node when the association was established; unique for ever.
    calling_ae_title, called_ae_title : str
        As given in the association request.
    address : str
        IP address of the peer.
    opened_at : datetime
        When the association was established, aware.
    """

    association_id: str
    calling_ae_title: str
    called_ae_title: str
    address: str
    opened_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreRequest:
    """An encoded SOP Instance with what the command set said about it.

    Attributes
    ----------
    sender : Sender
        Association that it came over.
    sop_class_uid, sop_instance_uid : str
        Affected SOP Class and Instance UID of the command set.
    transfer_syntax_uid : str
        Transfer syntax of the presentation context.
    data_set : bytes
        The encoded data set, untouched.
    received_at : datetime
        When it was complete, aware.
    """

    sender: Sender
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    data_set: bytes
    received_at: datetime

    @property
    def file_header(self) -> bytes:
        """What makes a DICOM file of the data set."""
        return encode_file_header(
            FileMeta(
                sop_class_uid=self.sop_class_uid,
                sop_instance_uid=self.sop_instance_uid,
                transfer_syntax_uid=self.transfer_syntax_uid,
                calling_ae_title=self.sender.calling_ae_title,
                called_ae_title=self.sender.called_ae_title,
            )
        )


class Intake(Protocol):
    """Whatever takes custody of received instances."""

    def accept(self, request: StoreRequest) -> None:
        """Make the instance durable, or raise IntakeError."""

    def association_closed(self, sender: Sender, at: datetime) -> None:
        """Note that nothing more will come over this association."""
