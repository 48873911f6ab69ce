"""The settings in force in a running process: they follow the file without a restart.

A file with faults changes nothing: what was in force stays in force, and the faults are told.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from dicom_node.configuration.desk import ConfigurationDesk
from dicom_node.configuration.effects import waits_for_restart, with_kept
from dicom_node.lasting_thread import LastingThread
from dicom_node.settings.file import SettingsError
from dicom_node.settings.schema import Settings

LOGGER = logging.getLogger(__name__)

#: How often a process looks whether its file has changed.
LOOK_EVERY_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A time during which the settings stay the same.

    Attributes
    ----------
    settings : Settings
        In force.
    over : threading.Event
        Set once they are others, or the process shall end.
    """

    settings: Settings
    over: threading.Event


class LiveSettings:
    """Follows a settings file until a process ends; use it as a context manager.

    Parameters
    ----------
    settings
        In force at the beginning.
    stop
        Set when the process shall end; ends every turn.
    desk
        Reads the file; None leaves the settings as they are.
    look_every_s
        How often the file is looked at.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        stop: threading.Event,
        desk: ConfigurationDesk | None = None,
        look_every_s: float = LOOK_EVERY_S,
    ) -> None:
        self._settings = settings
        self._stop = stop
        self._desk = desk
        self._look_every_s = look_every_s
        self._lock = threading.Lock()
        self._turn = threading.Event()
        self._seen: tuple[int, ...] = ()
        self._faults: tuple[str, ...] = ()
        self._waiting: tuple[str, ...] = ()
        self._followers: list[Callable[[Settings], None]] = []
        self._thread = LastingThread(target=self._run, name="settings")

    def __enter__(self) -> Self:
        """Begin to look."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop looking; the process ends."""
        self._stop.set()
        self._thread.join()

    @property
    def now(self) -> Settings:
        """The settings in force."""
        return self._settings

    @property
    def faults(self) -> tuple[str, ...]:
        """What is wrong with the file, so that older settings are in force; one sentence each."""
        return self._faults

    @property
    def waiting(self) -> tuple[str, ...]:
        """Keys that were changed and take effect after a restart."""
        return self._waiting

    @property
    def desk(self) -> ConfigurationDesk | None:
        """Where the file is changed."""
        return self._desk

    @contextmanager
    def followed_by(self, *followers: Callable[[Settings], None]) -> Iterator[None]:
        """Call followers with the settings now, and whenever they have become others."""
        with self._lock:
            self._followers += followers
            for use in followers:
                use(self._settings)
        try:
            yield
        finally:
            with self._lock:
                for use in followers:
                    self._followers.remove(use)

    def turn(self) -> Turn:
        """Return the settings now, and what says when they have become others."""
        with self._lock:
            if self._turn.is_set() and not self._stop.is_set():
                self._turn = threading.Event()
            if self._stop.is_set():
                self._turn.set()
            return Turn(settings=self._settings, over=self._turn)

    def hurry(self) -> None:
        """Read the file with the next look even if it seems untouched; for a signal handler."""
        self._seen = ()

    def look(self) -> bool:
        """Look at the file; return whether other settings are in force now."""
        if self._desk is None:
            return False
        seen = self._signature()
        if seen and seen == self._seen:
            return False
        self._seen = seen
        try:
            found = self._desk.read()
        except SettingsError as error:
            self._keep(tuple(str(fault) for fault in error.faults))
            return False
        if found.settings is None:
            self._keep(tuple(str(fault) for fault in found.faults))
            return False
        return self._use(found.settings)

    def _use(self, found: Settings) -> bool:
        if self._faults:
            LOGGER.info("The settings file has no fault any more")
        self._faults = ()
        waiting = waits_for_restart(self._settings, found)
        if waiting != self._waiting and waiting:
            LOGGER.warning("Changed, but in force only after a restart: %s", ", ".join(waiting))
        self._waiting = waiting
        settings = with_kept(self._settings, found)
        if settings == self._settings:
            return False
        with self._lock:
            self._settings = settings
            self._turn.set()
            for use in self._followers:
                use(settings)
        LOGGER.info("The settings have changed; the new ones are in force")
        return True

    def _keep(self, faults: tuple[str, ...]) -> None:
        if faults != self._faults:
            LOGGER.error(
                "The settings file has %s faults; the settings before stay in force: %s",
                len(faults),
                "; ".join(faults),
            )
        self._faults = faults

    def _signature(self) -> tuple[int, ...]:
        """Return what changes when the file does."""
        if self._desk is not None:
            with suppress(OSError):
                found = self._desk.path.stat()
                return (found.st_mtime_ns, found.st_size, found.st_ino)
        return ()

    def _run(self) -> None:
        while not self._stop.wait(self._look_every_s):
            self.look()
        with self._lock:
            self._turn.set()
