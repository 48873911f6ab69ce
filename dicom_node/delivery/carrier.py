"""The ways to a destination: what a courier needs of each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from dicom_node.association.peers import Peer
from dicom_node.association.storage_scu import OutgoingFile, SendOutcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Manners:
    """How a site wants a destination to be served.

    Attributes
    ----------
    commitment : bool
        Whether it shall commit itself to what it accepted.
    associations : int
        How many result sets go there side by side.
    pause_s : float
        Rest between two result sets.
    report_first : bool
        Whether the report goes before captures and segmentation.

    Raises
    ------
    ValueError
        If there is no association or the pause is negative.
    """

    commitment: bool = False
    associations: int = 1
    pause_s: float = 0.0
    report_first: bool = False

    def __post_init__(self) -> None:
        if self.associations < 1 or self.pause_s < 0:
            raise ValueError("associations must be positive and pause_s not negative")


class Carrier(Protocol):
    """The way to one destination."""

    @property
    def manners(self) -> Manners:
        """How it is served."""

    def send(
        self,
        files: Sequence[OutgoingFile],
        *,
        on_outcome: Callable[[SendOutcome], None],
        on_progress: Callable[[], None],
    ) -> None:
        """Send files in order and tell the fate of each; raise PeerError.

        `on_progress` is called where time passes without a fate: with every file by whoever tells
        the fates at the end, and before files are sent once more.
        """

    def probe(self) -> None:
        """Return if it can be reached; raise PeerError if not."""

    def rest(self) -> None:
        """Give up what was kept open for long enough; called while nothing is due."""

    def close(self) -> None:
        """Give up all that is kept open; nothing is to be sent any more."""


class Store(Protocol):
    """Whatever sends files to a peer; `dicom_node.association.kept_associations`."""

    def send(
        self,
        files: Sequence[OutgoingFile],
        *,
        on_outcome: Callable[[SendOutcome], None],
        on_progress: Callable[[], None],
    ) -> None:
        """Send files in order and tell the fate of each at once; raise PeerError.

        `on_progress` is called before they are sent once more over another association.
        """

    def rest(self) -> None:
        """End associations that were kept for their time."""

    def close(self) -> object:
        """End all associations that are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DimseCarrier:
    """The way to a peer that is spoken to by C-STORE.

    Attributes
    ----------
    peer : Peer
        Who is called.
    manners : Manners
        How it is served.
    store : Store
        Sends files to it.
    echo : callable
        Returns if the peer takes part, or raises PeerError;
        `dicom_node.association.verification.probe`.
    """

    peer: Peer
    manners: Manners
    store: Store
    echo: Callable[[Peer], None]

    def send(
        self,
        files: Sequence[OutgoingFile],
        *,
        on_outcome: Callable[[SendOutcome], None],
        on_progress: Callable[[], None],
    ) -> None:
        """Send files in order and tell the fate of each at once; raise PeerError."""
        self.store.send(files, on_outcome=on_outcome, on_progress=on_progress)

    def probe(self) -> None:
        """Return if the peer takes part; raise PeerError if not."""
        self.echo(self.peer)

    def rest(self) -> None:
        """End associations that were kept for their time."""
        self.store.rest()

    def close(self) -> None:
        """End all associations that are kept."""
        self.store.close()
