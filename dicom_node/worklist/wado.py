"""Fetches images by WADO-RS into the node's custody (PS3.18, section 10.4)."""

import logging
import threading
import uuid
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from urllib.parse import quote, urlsplit

from dicom_node.association.file_format import split_file
from dicom_node.association.presentation import ACCEPTED
from dicom_node.association.query import RemoteSeries
from dicom_node.association.retrieve import Retrieval
from dicom_node.association.store_answer import StoreStatus, handle_store
from dicom_node.association.store_request import Intake, Sender, StoreRequest
from dicom_node.errors import PeerError
from dicom_node.web_service import WebService, answering, refusal
from dicom_node.worklist.multipart import BrokenMultipartError, boundary_of, parts

LOGGER = logging.getLogger(__name__)

_ACCEPT: Final = 'multipart/related; type="application/dicom"; transfer-syntax=*'

_CT: Final = frozenset({"1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2.1"})

_LONGEST_TITLE: Final = 16
_FOUND: Final = frozenset({200, 206})
_NOT_THERE: Final = frozenset({404, 410})

#: The node cannot take images now: the rest would fare no better, and all is asked for again.
_NOT_NOW: Final = frozenset(
    {StoreStatus.OUT_OF_RESOURCES, StoreStatus.CANNOT_STORE, StoreStatus.CANNOT_RECORD}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WadoSource:
    """Fetches from one DICOMweb server; a `dicom_node.jobs.prior_seeker.Fetch`.

    Images are taken into custody like those of C-STORE. What is no CT, or is encoded in a way that
    the listener would not accept, is left out.

    Attributes
    ----------
    service : WebService
        The server.
    called_ae_title : str
        The node's.
    intake : Intake
        Takes custody.
    clock : callable
        Returns the present as an aware time.
    longest : int
        Longer objects are refused, in bytes.
    new_id : callable
        Makes an id for what one answer brings.
    """

    service: WebService
    called_ae_title: str
    intake: Intake
    clock: Callable[[], datetime]
    longest: int
    new_id: Callable[[], str] = field(default=lambda: uuid.uuid4().hex)

    def __call__(
        self, series: Sequence[RemoteSeries], *, stop: threading.Event
    ) -> tuple[Retrieval, ...]:
        """Return what became of each series; one without a series UID stands for its study.

        Raises
        ------
        PeerError
            If the server takes no part, the answer breaks off, or the node cannot store images
            now.
        """
        return tuple(self._fetch(one, stop) for one in series)

    def _fetch(self, one: RemoteSeries, stop: threading.Event) -> Retrieval:
        path = f"/studies/{quote(one.study_instance_uid)}"
        if one.series_instance_uid:
            path += f"/series/{quote(one.series_instance_uid)}"
        with answering(self.service, "GET", path, headers={"Accept": _ACCEPT}) as answer:
            if answer.status in _NOT_THERE:
                return _retrieval(one, message=f"{self.service.name} has no such images")
            if answer.status not in _FOUND:
                raise refusal(self.service, answer.status)
            kind = answer.headers.get("Content-Type", "")
            return self._take_all(one, kind, answer.read, stop)

    def _take_all(
        self, one: RemoteSeries, kind: str, read: Callable[[int], bytes], stop: threading.Event
    ) -> Retrieval:
        sender = Sender(
            association_id=self.new_id(),
            calling_ae_title=self.service.name[:_LONGEST_TITLE],
            called_ae_title=self.called_ae_title,
            address=urlsplit(self.service.url).hostname or "",
            opened_at=self.clock(),
        )
        completed = failed = 0
        try:
            found = parts(read, boundary_of(kind), longest=self.longest)
            with closing(found):
                for part in found:
                    if stop.is_set():
                        raise PeerError("broken off, for the node was stopped")
                    status = self._take(part, sender)
                    if status in _NOT_NOW:
                        raise PeerError(
                            f"broken off, for the node itself refused an image with 0x{status:04X}"
                        )
                    completed += status is StoreStatus.SUCCESS
                    failed += status is not None and status is not StoreStatus.SUCCESS
        except BrokenMultipartError as error:
            raise PeerError(
                f"{self.service.name} sent images that cannot be read: {error}"
            ) from None
        finally:
            self.intake.association_closed(sender, self.clock())
        return _retrieval(one, completed=completed, failed=failed)

    def _take(self, part: bytes, sender: Sender) -> StoreStatus | None:
        """Return what the listener would have answered; None for what it would not be sent."""
        try:
            meta, offset = split_file(part)
        except ValueError:
            LOGGER.warning("%s sent a part that is no DICOM file", self.service.name)
            return StoreStatus.CANNOT_UNDERSTAND
        if meta.sop_class_uid not in _CT:
            return None
        if not _is_accepted(meta.sop_class_uid, meta.transfer_syntax_uid):
            LOGGER.warning(
                "%s sent an image in an encoding that the node does not read", sender.address
            )
            return StoreStatus.CANNOT_UNDERSTAND
        request = StoreRequest(
            sender=sender,
            sop_class_uid=meta.sop_class_uid,
            sop_instance_uid=meta.sop_instance_uid,
            transfer_syntax_uid=meta.transfer_syntax_uid,
            data_set=part[offset:],
            received_at=self.clock(),
        )
        return handle_store(request, self.intake)


def _is_accepted(sop_class_uid: str, transfer_syntax_uid: str) -> bool:
    return any(
        str(one.sop_class_uid) == sop_class_uid
        and transfer_syntax_uid in {str(syntax) for syntax in one.transfer_syntaxes}
        for one in ACCEPTED
    )


def _retrieval(
    one: RemoteSeries, *, completed: int = 0, failed: int = 0, message: str = ""
) -> Retrieval:
    return Retrieval(series=one, completed=completed, failed=failed, status=0, message=message)
