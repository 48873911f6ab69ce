"""What the pages for administrators ask for."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from dicom_node.association.peer_trial import Told, TrialStep
from dicom_node.configuration.desk import ConfigurationDesk, ConfigurationFile
from dicom_node.configuration.edits import Edit
from dicom_node.configuration.history import Change
from dicom_node.errors import NodeError
from dicom_node.intake.selection_explained import Verdict
from dicom_node.settings.file import SettingsError
from dicom_node.settings.schema import Settings


class NoSettingsFileError(NodeError):
    """The node runs without a settings file, so that nothing can be changed in one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleRow:
    """A rule of routing as the settings have it; without points where it gives none."""

    attribute: str
    pattern: str
    points: int | None = None


class Card(Protocol):
    """The node as another DICOM application has to know it."""

    @property
    def text(self) -> str:
        """Lines to copy."""

    def as_dict(self) -> dict[str, Any]:
        """Return the card for JSON."""


class Trials(Protocol):
    """Tries what settings say."""

    def card(self, settings: Settings) -> Card:
        """Return what to enter at the other side."""

    def peer(self, settings: Settings, name: str, *, told: Told) -> Sequence[TrialStep]:
        """Return what came of trying a peer, each step told at once. Raises UnknownEntryError."""

    def rules(self, settings: Settings) -> Mapping[str, Sequence[RuleRow]]:
        """Return the rules in force by their lists."""

    def study(self, settings: Settings, study_uid: str) -> Sequence[Verdict]:
        """Return what the rules say of a received study. Raises UnknownEntryError, LedgerError."""

    def header(self, settings: Settings, beginning: bytes) -> Verdict:
        """Return what the rules say of the beginning of a DICOM file. Raises IntakeError."""


class Following(Protocol):
    """How far the settings in force follow their file."""

    @property
    def faults(self) -> tuple[str, ...]:
        """What is wrong with the file, so that older settings are in force."""

    @property
    def waiting(self) -> tuple[str, ...]:
        """Keys that were changed and take effect after a restart."""


class Unfollowed:
    """No file is followed."""

    faults: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()


class SettingsDesk:
    """The settings file as the pages read and change it.

    Parameters
    ----------
    desk
        Of the file; None if the node runs without one.
    in_force
        Returns the settings that the node works by.
    following
        Knows how far the settings in force follow the file.
    clock
        Returns the present as an aware time.
    """

    def __init__(
        self,
        desk: ConfigurationDesk | None,
        *,
        in_force: Callable[[], Settings],
        following: Following,
        clock: Callable[[], datetime],
    ) -> None:
        self._desk = desk
        self.in_force = in_force
        self.following = following
        self._clock = clock

    @property
    def is_there(self) -> bool:
        """Whether there is a file."""
        return self._desk is not None

    @property
    def desk(self) -> ConfigurationDesk:
        """The desk. Raises NoSettingsFileError."""
        if self._desk is None:
            raise NoSettingsFileError(
                "the node runs without a settings file; write one with ichnode init"
            )
        return self._desk

    def read(self) -> ConfigurationFile:
        """Return the file as it is now. Raises NoSettingsFileError, SettingsError."""
        return self.desk.read()

    def settings(self) -> Settings:
        """Return what the file says, or what is in force if it cannot be used."""
        try:
            return self.read().settings or self.in_force()
        except (NoSettingsFileError, SettingsError):
            return self.in_force()

    def change(
        self, edits: Sequence[Edit], *, who: str, why: str, digest: str | None = None
    ) -> Change:
        """Make edits; see `ConfigurationDesk.change`."""
        return self.desk.change(edits, who=who, why=why, expected_digest=digest, now=self._clock())

    def roll_back(self, change_id: int, *, who: str, why: str) -> Change:
        """Make the file again what it was; see `ConfigurationDesk.roll_back`."""
        return self.desk.roll_back(change_id, who=who, why=why, now=self._clock())
