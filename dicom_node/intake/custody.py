"""Custody of received instances: bytes first, then the row, then Success."""

import logging
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from dicom_node.association.file_format import split_file
from dicom_node.association.store_request import Sender, StoreRequest
from dicom_node.errors import CustodyRecordError, IntakeError, LedgerError
from dicom_node.intake.instance import ReceivedInstance, receive
from dicom_node.intake.spool import Spool

LOGGER = logging.getLogger(__name__)


class Register(Protocol):
    """Whatever remembers which instances are in custody."""

    def add(self, instance: ReceivedInstance, path: Path) -> None:
        """Record an instance and its file durably. Raises LedgerError."""

    def close_association(self, sender: Sender, at: datetime) -> None:
        """Record that an association ended. Raises LedgerError."""

    def known_paths(self) -> frozenset[Path]:
        """Return the files that are recorded. Raises LedgerError."""

    def condemned_paths(self) -> frozenset[Path]:
        """Return those of them that are being purged. Raises LedgerError."""

    def condemn_again(self, paths: Iterable[Path]) -> frozenset[Path]:
        """Have files deleted that were purged before; return which. Raises LedgerError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """What a start found in the spool.

    Attributes
    ----------
    removed_parts : int
        Files that had been begun; never acknowledged, deleted.
    adopted : int
        Complete files without a row; recorded now.
    quarantined : int
        Files that are no instance; put aside.
    missing : tuple of Path
        Rows whose file is gone: somebody deleted it.
    """

    removed_parts: int
    adopted: int
    quarantined: int
    missing: tuple[Path, ...]


class Custody:
    """The `Intake` of the node.

    Parameters
    ----------
    spool
        Where bytes go.
    register
        Where rows go.
    patient_salt
        Key of the hash by which patients are told apart.
    """

    def __init__(self, *, spool: Spool, register: Register, patient_salt: bytes) -> None:
        self._spool = spool
        self._register = register
        self._salt = patient_salt

    def accept(self, request: StoreRequest) -> None:
        """Make the instance durable: its file is synced, then the register takes it.

        If the row cannot be written the file stays: a repeat of the sender finds it under the
        same name, and the next start adopts it.

        Raises
        ------
        IntakeError
            If any of it fails; the sender keeps its copy.
        """
        instance = receive(request, patient_salt=self._salt)
        path = self._spool.put(instance)
        try:
            self._register.add(instance, path)
        except LedgerError as error:
            raise CustodyRecordError(
                f"The instance is stored but not recorded: {error}"
            ) from error
        # An earlier receipt of the same bytes may have been purged between file and row: its file
        # has this name. Now that there is a row, nobody deletes it any more.
        if not self._spool.has(path):
            self._spool.put(instance)

    def association_closed(self, sender: Sender, at: datetime) -> None:
        """Record that nothing more will come over an association. Raises LedgerError."""
        self._register.close_association(sender, at)

    def recover(self, now: datetime) -> Recovery:
        """Bring spool and register together; call once before the listener starts.

        Raises
        ------
        LedgerError
            If the register does not answer.
        """
        removed = self._spool.settle_parts()
        files = frozenset(self._spool.files())
        known = self._register.known_paths()
        purged = self._register.condemn_again(files - known)
        loose = files - known - purged
        adopted = self.adopt(loose, now)
        quarantined = len(loose) - adopted
        missing = tuple(sorted(known - files - self._register.condemned_paths()))
        for path in missing:
            LOGGER.error("A recorded instance is gone from the spool: %s", path)
        return Recovery(
            removed_parts=removed, adopted=adopted, quarantined=quarantined, missing=missing
        )

    def adopt(self, paths: Collection[Path], now: datetime) -> int:
        """Record complete files without a row; return how many, the others are put aside.

        Raises
        ------
        LedgerError
            If the register does not answer.
        """
        return sum(self._adopt(path, now) for path in sorted(paths))

    def _adopt(self, path: Path, now: datetime) -> bool:
        """Record a file without a row; return whether it is an instance."""
        try:
            instance = receive(
                _request_of_file(self._spool.read(path), now), patient_salt=self._salt
            )
        except (IntakeError, ValueError):
            LOGGER.error("A file in the spool is no instance and was put aside: %s", path)  # noqa: TRY400 - the traceback says no more
            self._spool.quarantine(path)
            return False
        self._register.add(instance, path)
        LOGGER.warning("An instance without a row was adopted: %s", instance.sop_instance_uid)
        return True


def _request_of_file(encoded: bytes, now: datetime) -> StoreRequest:
    meta, offset = split_file(encoded)
    sender = Sender(
        association_id="",
        calling_ae_title=meta.calling_ae_title,
        called_ae_title=meta.called_ae_title,
        address="",
        opened_at=now,
    )
    return StoreRequest(
        sender=sender,
        sop_class_uid=meta.sop_class_uid,
        sop_instance_uid=meta.sop_instance_uid,
        transfer_syntax_uid=meta.transfer_syntax_uid,
        data_set=encoded[offset:],
        received_at=now,
    )
