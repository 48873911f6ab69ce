"""The ledger for a command: opened only if there is one."""

import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from dicom_node.bootstrap.layout import DataLayout
from dicom_node.errors import LedgerError
from dicom_node.jobs.database import engine_of, version_in
from dicom_node.jobs.ledger import Ledger, open_ledger
from dicom_node.jobs.ledger_place import LedgerPlace, PostgresqlPlace
from dicom_node.jobs.process_identity import ProcessIdentity
from dicom_node.jobs.tables import SCHEMA_VERSION
from dicom_node.operator_error import OperatorError
from dicom_node.settings.schema import Settings
from dicom_node.settings.values import SQLITE

if TYPE_CHECKING:
    from dicom_node.jobs.database_engine import DatabaseEngine


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
        ledger = open_beside_a_node(place, process=identity)
    except LedgerError as error:
        raise OperatorError(f"cannot open {place}: {error}") from error
    try:
        yield ledger
    finally:
        ledger.close()


def open_beside_a_node(place: LedgerPlace, *, process: ProcessIdentity) -> Ledger:
    """Open a ledger that processes of a node may be working with, for a command.

    A command of a newer ichnode must not bring the tables up under a node that still runs.

    Raises
    ------
    OperatorError
        If it would.
    LedgerError
        If the ledger cannot be opened.
    """
    engine = engine_of(place)
    try:
        if engine.is_upgraded_unasked and engine.exists():
            _refuse_to_upgrade_a_living_one(engine)
    finally:
        engine.writing.dispose()
    return open_ledger(place, process=process)


def _refuse_to_upgrade_a_living_one(engine: "DatabaseEngine") -> None:
    try:
        found = version_in(engine)
    except LedgerError:
        return  # whoever opens it says what is wrong
    if found >= SCHEMA_VERSION:
        return
    from dicom_node.bootstrap.roles import utc_now
    from dicom_node.bootstrap.signs_of_life import SEEN_WITHIN_S
    from dicom_node.jobs.upgrade import at_work

    living = at_work(engine, since=utc_now() - timedelta(seconds=SEEN_WITHIN_S))
    if living:
        raise OperatorError(
            f"the ledger {engine.place} has schema version {found}, this ichnode would bring it "
            f"up to {SCHEMA_VERSION}, and an earlier one works with it: {', '.join(living)}; stop "
            "that node first"
        )
