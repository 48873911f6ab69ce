"""The one place where a settings file is read for a change, changed, and put back.

Page and command line go through here: edits are checked as a whole before anything is written, a
file that somebody else changed meanwhile is not overwritten, and every version is kept.
"""

import hashlib
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from dicom_node.configuration.edits import Edit
from dicom_node.configuration.history import OUTSIDE, Change, ConfigurationHistory, unified
from dicom_node.configuration.toml_text import EditError, edited
from dicom_node.configuration.written import write_durably
from dicom_node.errors import NodeError
from dicom_node.lockfile import LockHeldError, hold_lock
from dicom_node.settings.contradictions import SettingsFault
from dicom_node.settings.file import DATA_DIR_VARIABLE, SettingsError, parse_settings
from dicom_node.settings.schema import DEFAULT_DATA_DIR, Settings

#: A change takes milliseconds; another process may be at it.
_LOCK_PATIENCE_S = 10.0

#: Folder of the history below the data directory.
HISTORY_FOLDER = "configuration"


class StaleConfigurationError(NodeError):
    """The file was changed by somebody else since it was read."""


class NothingToChangeError(NodeError):
    """The edits leave the file as it is."""


class UnknownChangeError(NodeError):
    """The history knows no such change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigurationFile:
    """A settings file as it was read.

    Attributes
    ----------
    path : Path
        Where it lies.
    text : str
        What it says.
    digest : str
        SHA-256 of the text, hexadecimal: given back with a change, it shows that nobody else
        changed the file meanwhile.
    document : mapping
        The text as plain values; empty if it is no TOML.
    settings : Settings or None
        Checked values; None if there are faults.
    faults : tuple of SettingsFault
        Everything that is wrong with it.
    """

    path: Path
    text: str
    digest: str
    document: Mapping[str, Any]
    settings: Settings | None
    faults: tuple[SettingsFault, ...]


class ConfigurationDesk:
    """Reads, changes and remembers one settings file.

    Parameters
    ----------
    path
        The settings file; a link is followed.
    environment
        Process environment; ``ICHNODE_DATA_DIR`` replaces ``node.data_dir``.
    history_dir
        Folder of the history; by default ``configuration`` in the data directory.
    """

    def __init__(
        self, path: Path, *, environment: Mapping[str, str], history_dir: Path | None = None
    ) -> None:
        self.path = path
        self._environment = environment
        self._history_dir = history_dir

    def read(self) -> ConfigurationFile:
        """Return the file as it is now, with whatever is wrong with it.

        Raises
        ------
        SettingsError
            If it cannot be read at all.
        """
        return self._parsed(self._text())

    def check(self, edits: Sequence[Edit]) -> tuple[SettingsFault, ...]:
        """Return every fault that the file would have after these edits; nothing is written.

        Raises
        ------
        SettingsError
            If the file cannot be read at all.
        """
        try:
            return self._parsed(edited(self._text(), edits)).faults
        except EditError as error:
            return (error.fault,)

    def rehearse(self, edits: Sequence[Edit]) -> ConfigurationFile:
        """Return the file as it would be after these edits; nothing is written.

        Raises
        ------
        SettingsError
            If the file cannot be read at all, or an edit does not fit it.
        """
        try:
            return self._parsed(edited(self._text(), edits))
        except EditError as error:
            raise SettingsError(str(self.path), (error.fault,)) from error

    def preview(self, edits: Sequence[Edit]) -> str:
        """Return what these edits would change, as unified text; nothing is written.

        Raises
        ------
        SettingsError
            If the file cannot be read, an edit does not fit it or the result has faults.
        """
        old = self._text()
        return unified(old, self._checked(old, edits))

    def change(
        self,
        edits: Sequence[Edit],
        *,
        who: str,
        why: str = "",
        expected_digest: str | None = None,
        now: datetime,
    ) -> Change:
        """Make edits, all of them or none, and keep the new version in the history.

        Parameters
        ----------
        edits
            Made one after the other.
        who, why
            For the history.
        expected_digest
            Of the file on which the edits were decided; None takes it as it is.
        now
            When.

        Raises
        ------
        SettingsError
            Naming every fault that the file would have, or why it cannot be written.
        StaleConfigurationError
            If the file is another one than expected.
        NothingToChangeError
            If the file says all that already.
        """
        with self._writing(now) as (history, found):
            if expected_digest not in {None, found.digest}:
                raise StaleConfigurationError(
                    f"{self.path} was changed by somebody else meanwhile; look at it again"
                )
            return self._put(history, found, self._checked(found.text, edits), who, why, now)

    def roll_back(self, change_id: int, *, who: str, why: str = "", now: datetime) -> Change:
        """Make the file again what it was after a change; a new version, nothing is forgotten.

        Raises
        ------
        UnknownChangeError
            If there was no such change.
        SettingsError
            If that version is not valid (any more), or the file cannot be written.
        NothingToChangeError
            If the file is that version.
        """
        with self._writing(now) as (history, found):
            text = self._version(history, change_id)
            version = self._parsed(text)
            if version.faults:
                raise SettingsError(f"{self.path} as of change {change_id}", version.faults)
            words = why or f"as after change {change_id}"
            return self._put(history, found, text, who, words, now)

    def observe(self, now: datetime) -> Change | None:
        """Keep the file's present version if the history lacks it; return that change, if any.

        This is how a change by an editor is noticed.

        Raises
        ------
        SettingsError
            If the file cannot be read, or the history not written.
        """
        before = self.history()
        with self._writing(now) as (history, _):
            last = history.changes()[-1]
        return last if last not in before else None

    def history(self) -> tuple[Change, ...]:
        """Return every known version, oldest first.

        Raises
        ------
        SettingsError
            If the history cannot be read.
        """
        with self._told():
            return self._history().changes()

    def show(self, change_id: int) -> Change:
        """Return one change. Raises UnknownChangeError, SettingsError."""
        for change in self.history():
            if change.change_id == change_id:
                return change
        raise UnknownChangeError(f"the history of {self.path} knows no change {change_id}")

    def text_of(self, change_id: int) -> str:
        """Return the whole file as it was after a change. Raises UnknownChangeError."""
        return self._version(self._history(), change_id)

    def last_without_faults(self) -> ConfigurationFile | None:
        """Return the newest version in the history that can be used, None if there is none.

        Raises
        ------
        SettingsError
            If the history cannot be read.
        """
        for change in reversed(self.history()):
            found = self._parsed(self.text_of(change.change_id))
            if found.settings is not None:
                return found
        return None

    def diff(self, change_id: int) -> str:
        """Return what has changed since a change, as unified text; see `text_of`."""
        return unified(self.text_of(change_id), self._text())

    @contextmanager
    def _writing(self, now: datetime) -> Iterator[tuple[ConfigurationHistory, ConfigurationFile]]:
        """Be the only writer; a version from outside is kept before anything else is done."""
        history = self._history()
        with self._told():
            history.prepare()
            with hold_lock(history.lock, wait_s=_LOCK_PATIENCE_S):
                found = self.read()
                known = history.changes()
                if not known or known[-1].digest != found.digest:
                    history.add(
                        found.text,
                        digest=found.digest,
                        who=OUTSIDE,
                        why="changed by an editor" if known else "as it was found",
                        now=now,
                    )
                yield history, found

    def _put(
        self,
        history: ConfigurationHistory,
        found: ConfigurationFile,
        text: str,
        who: str,
        why: str,
        now: datetime,
    ) -> Change:
        if text == found.text:
            raise NothingToChangeError(f"{self.path} says that already")
        # History first: a crash in between leaves a version too many, never one without a name.
        change = history.add(text, digest=_digest(text), who=who, why=why, now=now)
        write_durably(self.path, text)
        return change

    def _checked(self, text: str, edits: Sequence[Edit]) -> str:
        """Return the text after edits. Raises SettingsError with every fault of it."""
        try:
            fresh = edited(text, edits)
        except EditError as error:
            raise SettingsError(str(self.path), (error.fault,)) from error
        faults = self._parsed(fresh).faults
        if faults:
            raise SettingsError(str(self.path), faults)
        return fresh

    def _version(self, history: ConfigurationHistory, change_id: int) -> str:
        try:
            return history.text_of(change_id)
        except OSError as error:
            raise UnknownChangeError(
                f"the history of {self.path} knows no change {change_id}"
            ) from error

    def _text(self) -> str:
        try:
            return self.path.read_bytes().decode("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            fault = SettingsFault(
                key="file", found=str(error), expected="a file that can be read, in UTF-8"
            )
            raise SettingsError(str(self.path), (fault,)) from error

    def _parsed(self, text: str) -> ConfigurationFile:
        document: Mapping[str, Any] = {}
        settings = None
        faults: tuple[SettingsFault, ...] = ()
        try:
            document = tomllib.loads(text)
            settings = parse_settings(
                document, source=str(self.path), environment=self._environment
            )
        except tomllib.TOMLDecodeError as error:
            faults = (SettingsFault(key="file", found=str(error), expected="readable TOML"),)
        except SettingsError as error:
            faults = error.faults
        return ConfigurationFile(
            path=self.path,
            text=text,
            digest=_digest(text),
            document=document,
            settings=settings,
            faults=faults,
        )

    def _history(self) -> ConfigurationHistory:
        return ConfigurationHistory(self._history_dir or self._data_dir() / HISTORY_FOLDER)

    def _data_dir(self) -> Path:
        """Return the data directory, as far as a file with faults can say it."""
        named = self._environment.get(DATA_DIR_VARIABLE)
        if not named:
            node = self.read().document.get("node")
            named = node.get("data_dir") if isinstance(node, dict) else None
        return Path(named if isinstance(named, str) else DEFAULT_DATA_DIR).expanduser().absolute()

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Say what file or folder refuses as a fault of the settings."""
        try:
            yield
        except (OSError, LockHeldError) as error:
            fault = SettingsFault(
                key="file", found=str(error), expected="a file and a history that can be changed"
            )
            raise SettingsError(str(self.path), (fault,)) from error


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
