"""The ledger for a command: opened only if there is one."""

import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dicom_node.bootstrap.layout import DataLayout
from dicom_node.errors import LedgerError
from dicom_node.jobs.database import engine_of
from dicom_node.jobs.ledger import Ledger, open_ledger
from dicom_node.jobs.ledger_place import LedgerPlace, PostgresqlPlace
from dicom_node.jobs.process_identity import ProcessIdentity
from dicom_node.operator_error import OperatorError
from dicom_node.settings.schema import Settings
from dicom_node.settings.values import SQLITE


def place_of(settings: Settings) -> LedgerPlace:
    """Return where the ledger of a site is."""
    node = settings.node
    if node.ledger == SQLITE:
        return DataLayout(root=node.data_dir).ledger
    secret = Path(node.ledger_secret_file) if node.ledger_secret_file else None
    return PostgresqlPlace(url=node.ledger, secret_file=secret)


def has_ledger(settings: Settings) -> bool:
    """Return whether a node has worked here. Raises OperatorError if that cannot be told."""
    try:
        return engine_of(place_of(settings)).exists()
    except LedgerError as error:
        raise OperatorError(str(error)) from error


def no_ledger(settings: Settings) -> OperatorError:
    """Return the words for a command that needs a ledger where there is none."""
    where = settings.node.data_dir if settings.node.ledger == SQLITE else place_of(settings)
    return OperatorError(f"no node has worked in {where} yet; start one: ichnode serve")


@contextmanager
def ledger_for_reading(settings: Settings) -> Iterator[Ledger]:
    """Open the ledger of the node for a command.

    Raises
    ------
    OperatorError
        If there is none yet, or it cannot be read.
    """
    if not has_ledger(settings):
        raise no_ledger(settings)
    place = place_of(settings)
    identity = ProcessIdentity(
        name="command", host=socket.gethostname(), pid=os.getpid(), token=secrets.token_hex(8)
    )
    try:
        ledger = open_ledger(place, process=identity)
    except LedgerError as error:
        raise OperatorError(f"cannot open {place}: {error}") from error
    try:
        yield ledger
    finally:
        ledger.close()
