"""The settings file of a running node: who follows it, and what the audit trail hears of it."""

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from dicom_node.audit.message import AccessPoint
from dicom_node.audit.people import Person, reconfigured
from dicom_node.bootstrap.audit import audit_trail, node_party
from dicom_node.configuration.desk import ConfigurationDesk
from dicom_node.configuration.history import OUTSIDE
from dicom_node.configuration.live import LiveSettings
from dicom_node.jobs.documents import Documents
from dicom_node.settings.schema import Settings

if TYPE_CHECKING:
    from dicom_node.jobs.ledger import Ledger

#: Key of the ledger's document that says which changes are in the audit trail.
_AUDITED_KEY = "audited_configuration_change"


def live_settings(
    path: Path | None, settings: Settings, *, stop: Event, environment: Mapping[str, str]
) -> LiveSettings:
    """Return the settings of a process that follow their file, if it has one."""
    desk = None if path is None else ConfigurationDesk(path, environment=environment)
    return LiveSettings(settings, stop=stop, desk=desk)


class ConfigurationOffice:
    """What the office does about the settings file again and again.

    Parameters
    ----------
    live
        Knows the file; without one there is nothing to do.
    ledger
        Remembers what was audited.
    clock
        Returns the present as an aware time.
    """

    def __init__(
        self, live: LiveSettings, *, ledger: "Ledger", clock: Callable[[], datetime]
    ) -> None:
        self._live = live
        self._documents = Documents(ledger.database)
        self._clock = clock
        self._seen: object = None

    def tick(self) -> None:
        """Keep what an editor did, and audit who changed what. Raises LedgerError, SettingsError.

        Changes are read from the history, so that none is missed that was made while the office
        was away.
        """
        desk = self._live.desk
        if desk is None or not desk.path.is_file():
            return
        found = desk.path.stat()
        seen = (found.st_mtime_ns, found.st_size, found.st_ino)
        if seen == self._seen:
            return
        desk.observe(self._clock())
        self._audit(desk)
        self._seen = seen

    def _audit(self, desk: ConfigurationDesk) -> None:
        known = self._documents.read(_AUDITED_KEY) or {}
        last = int(known.get("change", 0))
        changes = [change for change in desk.history() if change.change_id > last]
        settings = self._live.now
        trail = audit_trail(settings)
        for change in changes:
            # What an editor did is audited as other settings in force: nobody is named for it.
            if change.who != OUTSIDE:
                trail.write(
                    reconfigured(
                        node_party(settings),
                        Person(
                            user_id=change.who,
                            address=settings.node.host,
                            point=AccessPoint.NAME,
                        ),
                        f"changed: {', '.join(change.tables)}",
                        change.at,
                        change=str(change.change_id),
                    )
                )
            self._documents.write(_AUDITED_KEY, {"change": change.change_id})
