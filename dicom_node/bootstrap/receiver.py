"""The receiver's listeners, which follow the settings while associations go on."""

import logging
import threading
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from dicom_node.association.refusals import Refusals
from dicom_node.association.storage_scp import StorageScp
from dicom_node.bootstrap import parts
from dicom_node.bootstrap.deliverers import commitment_scp
from dicom_node.errors import TlsFileError
from dicom_node.settings.schema import Settings

if TYPE_CHECKING:
    from dicom_node.association.store_request import Intake
    from dicom_node.jobs.ledger import Ledger

LOGGER = logging.getLogger(__name__)

#: Open associations may go on for so long after the ports were opened anew.
_DRAIN_S = 60.0


class LiveListeners:
    """Listens as the settings say, and as they say later.

    Another list of callers is in force with the next association. Whatever else is different
    needs other listeners: the old ones close their ports, and their associations end in peace.

    Parameters
    ----------
    settings
        At the beginning.
    ledger
        For storage commitment.
    intake
        Takes custody of the instances.
    clock
        Returns the present as an aware time.
    settle
        Records what has been received, for whoever asks what is in custody.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        ledger: "Ledger",
        intake: "Intake",
        clock: Callable[[], datetime],
        settle: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._ledger = ledger
        self._intake = intake
        self._clock = clock
        self._settle = settle
        self.refusals = Refusals(clock)
        self._scp = self._provider(settings)
        self._draining: list[threading.Thread] = []

    @property
    def ports(self) -> dict[str, int]:
        """Every TCP port that is listened on; see `StorageScp.ports`."""
        return self._scp.ports

    def start(self) -> None:
        """Open the ports. Raises OSError, TlsFileError."""
        self._scp.start()

    def use(self, settings: Settings) -> None:
        """Listen as other settings say; if that cannot be, go on as before and say why."""
        before, self._settings = self._settings, settings
        if _needs_ports(before) == _needs_ports(settings):
            self._scp.admit(parts.scp_settings(settings).admission)
            return
        fresh = self._provider(settings)
        old = self._scp
        old.close()
        drain = threading.Thread(target=old.stop, kwargs={"grace_s": _DRAIN_S}, daemon=True)
        drain.start()
        self._draining = [one for one in self._draining if one.is_alive()] + [drain]
        self._scp = fresh
        try:
            fresh.start()
        except (OSError, TlsFileError) as error:
            LOGGER.error(  # noqa: TRY400 - the message says it all
                "The node cannot listen as the settings say, and goes on as before: %s", error
            )
            self._settings = before
            self._scp = self._provider(before)
            self._scp.start()

    def stop(self) -> None:
        """Close the ports; associations may end within seconds, then they are aborted."""
        self._scp.stop()

    def _provider(self, settings: Settings) -> StorageScp:
        return StorageScp(
            settings=parts.scp_settings(settings),
            intake=self._intake,
            clock=self._clock,
            commitment=commitment_scp(settings, self._ledger, self._clock, settle=self._settle),
            refusals=self.refusals,
        )


def _needs_ports(settings: Settings) -> object:
    """Return what cannot be changed for a listener that is open."""
    node = settings.node.model_copy(
        update={"callers": (), "max_associations_per_caller": 1, "free_space_floor_mb": 0}
    )
    committing = [peer for peer in settings.destinations if peer.commitment]
    return node, settings.tls, committing, settings.delivery if committing else None
