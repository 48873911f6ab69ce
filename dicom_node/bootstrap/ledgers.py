"""The ledger for a command: opened only if there is one."""

import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from dicom_node.bootstrap.layout import DataLayout
from dicom_node.errors import LedgerError
from dicom_node.jobs.ledger import Ledger, open_ledger
from dicom_node.jobs.process_identity import ProcessIdentity
from dicom_node.operator_error import OperatorError
from dicom_node.settings.schema import Settings


@contextmanager
def ledger_for_reading(settings: Settings) -> Iterator[Ledger]:
    """Open the ledger of the node for a command.

    Raises
    ------
    OperatorError
        If there is none yet, or it cannot be read.
    """
    layout = DataLayout(root=settings.node.data_dir)
    if not layout.ledger.is_file():
        raise OperatorError(f"no node has worked in {layout.root} yet; start one: ichnode serve")
    identity = ProcessIdentity(
        name="command", host=socket.gethostname(), pid=os.getpid(), token=secrets.token_hex(8)
    )
    try:
        ledger = open_ledger(layout.ledger, process=identity)
    except LedgerError as error:
        raise OperatorError(f"cannot open {layout.ledger}: {error}") from error
    try:
        yield ledger
    finally:
        ledger.close()
