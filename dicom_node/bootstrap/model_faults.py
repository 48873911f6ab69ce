"""What is wrong with the models of the settings: workers write it down, health reads it."""

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from dicom_node.errors import LedgerError
from dicom_node.jobs.documents import Documents
from dicom_node.processes import Role

LOGGER = logging.getLogger(__name__)

_KEY = "model_fault_{}"
_WORKER = f"{Role.WORKER}-"


def note_models(documents: Documents, worker: str) -> Callable[[str], None]:
    """Return what writes down what is wrong with the models of a worker; nothing if empty.

    A ledger that does not answer holds up no analysis.
    """

    def note(fault: str) -> None:
        try:
            if fault or documents.read(_KEY.format(worker)):
                documents.write(_KEY.format(worker), fault)
        except LedgerError as error:
            LOGGER.warning("What is wrong with the models was not written down: %s", error)

    return note


def model_faults(
    document: Callable[[str], Any | None], *, processes: Iterable[str], seen: Mapping[str, float]
) -> tuple[str, ...]:
    """Return which workers could not load the models of the settings, and why.

    Parameters
    ----------
    document : Callable
        Reads what was written down under a key.
    processes : Iterable of str
        Names of all processes that ever were.
    seen : Mapping of str to float
        Those that have not ended. If no worker is among them, the last ones ended for a reason.
    """
    workers = sorted({name for name in processes if name.startswith(_WORKER)})
    asked = [name for name in workers if name in seen] or workers
    faults = ((name, document(_KEY.format(name))) for name in asked)
    return tuple(f"{name}: {fault}" for name, fault in faults if fault)
