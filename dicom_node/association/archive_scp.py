"""A small archive that keeps what it is sent: the PACS of the demonstration and of the tests.

It answers C-ECHO and C-STORE for whatever the node accepts or proposes, and nothing else. It is no
part of the node; a hospital has its own.
"""

import logging
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from pynetdicom import AE, evt
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.events import Event
from pynetdicom.transport import ThreadedAssociationServer

from dicom_node.association.presentation import ACCEPTED, PROPOSED

LOGGER = logging.getLogger(__name__)

_SUCCESS = 0x0000

#: Larger than any receiver's default, so that captures travel in few pieces.
_MAX_PDU_BYTES = 131072


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchivedObject:
    """One object that the archive was sent.

    Attributes
    ----------
    sop_class_uid, sop_instance_uid : str
        As in the C-STORE request.
    path : Path
        The Part 10 file; an object that is sent again replaces it.
    """

    sop_class_uid: str
    sop_instance_uid: str
    path: Path


class ArchiveScp:
    """Takes every object that is offered and writes it to a folder.

    Parameters
    ----------
    folder : Path
        Where the objects go; made if it does not exist.
    ae_title, host, port
        How the archive is called. Port 0 takes a free one, see `port`.
    on_stored : Callable
        Called in a thread of the association after an object has been written.
    """

    def __init__(
        self,
        folder: Path,
        *,
        ae_title: str,
        host: str,
        port: int,
        on_stored: Callable[[ArchivedObject], None] = lambda _: None,
    ) -> None:
        self._folder = folder
        self._ae_title = ae_title
        self._address = (host, port)
        self._on_stored = on_stored
        self._server: ThreadedAssociationServer | None = None
        self._writing = threading.Lock()

    @property
    def port(self) -> int:
        """The port that is listened on; only after `start`."""
        if self._server is None:
            raise RuntimeError("The archive has no port before it is started")
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Listen until `stop` is called.

        Raises
        ------
        OSError
            If the port is taken.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        entity = AE(ae_title=self._ae_title)
        entity.maximum_pdu_size = _MAX_PDU_BYTES
        for context in (*ACCEPTED, *PROPOSED):
            entity.add_supported_context(context.sop_class_uid, list(context.transfer_syntaxes))
        self._server = entity.start_server(
            self._address, block=False, evt_handlers=[(evt.EVT_C_STORE, self._store)]
        )

    def stop(self) -> None:
        """Close the port and every association."""
        if self._server is not None:
            self._server.shutdown()
            self._server = None

    def _store(self, event: Event) -> int:
        request = cast("C_STORE", event.request)
        instance_uid = str(request.AffectedSOPInstanceUID)
        stored = ArchivedObject(
            sop_class_uid=str(request.AffectedSOPClassUID),
            sop_instance_uid=instance_uid,
            path=self._folder / f"{instance_uid}.dcm",
        )
        part = stored.path.with_suffix(".part")
        with self._writing:
            part.write_bytes(event.encoded_dataset())
            os.replace(part, stored.path)  # noqa: PTH105  atomic, also over an older copy
        self._on_stored(stored)
        return _SUCCESS
