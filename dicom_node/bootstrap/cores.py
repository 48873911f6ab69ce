"""How many threads the networks of a worker use: the workers of a host share its cores.

Two workers that each take every core wait for each other at every layer: on two cores each of
their analyses took three times as long, so that both together made less than one (docs/scale).
"""

import logging
import os
import socket
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from dicom_node.errors import LedgerError

if TYPE_CHECKING:
    from dicom_node.jobs.ledger import Ledger

LOGGER = logging.getLogger(__name__)

#: Who sets this has decided for himself.
VARIABLE: Final = "OMP_NUM_THREADS"

#: Workers come and go seldom.
_LOOK_EVERY_S: Final = 5.0


class SharedCores:
    """Gives this worker its part of the cores; called before it looks for work.

    Parameters
    ----------
    workers
        Returns how many workers live on this host, this one among them. May raise LedgerError.
    threads
        Returns how many threads the networks use; called with a number, they use so many.
    timer
        Seconds that only rise.
    """

    def __init__(
        self,
        workers: Callable[[], int],
        threads: "Threads",
        *,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._workers = workers
        self._threads = threads
        self._timer = timer
        self._cores = 0
        self._used = 0
        self._look_at = float("-inf")

    def __call__(self) -> None:
        """Look from time to time who else is here, and take as many threads as are left."""
        if self._timer() < self._look_at:
            return
        self._look_at = self._timer() + _LOOK_EVERY_S
        self._cores = self._cores or self._threads.number()
        try:
            workers = self._workers()
        except LedgerError as error:
            LOGGER.warning("It is not known how many workers share the cores: %s", error)
            return
        wanted = max(1, self._cores // max(1, workers))
        if self._cores and wanted != (self._used or self._cores):
            self._threads.use(wanted)
            LOGGER.info("%s workers on this host: %s of %s threads", workers, wanted, self._cores)
        self._used = wanted


class Threads:
    """Those of the networks' library, if it is loaded; nothing is loaded for its sake."""

    def number(self) -> int:
        """Return how many there are; 0 while the library is not loaded."""
        torch = sys.modules.get("torch")
        return 0 if torch is None else int(torch.get_num_threads())

    def use(self, number: int) -> None:
        """Use so many in the thread that calls."""
        sys.modules["torch"].set_num_threads(number)


def shared_cores(ledger: "Ledger") -> Callable[[], None]:
    """Return what keeps a worker to its part; nothing of the kind where the site has set it."""
    if VARIABLE in os.environ:
        return lambda: None
    return SharedCores(partial(ledger.presence.workers_on, socket.gethostname()), Threads())
