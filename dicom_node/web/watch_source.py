"""What the page of the watch asks for."""

from collections.abc import Sequence
from typing import Protocol

from dicom_node.watch.watched import Watched


class WatchSource(Protocol):
    """Answers what the watch says; all of it read from the ledger at the time of asking."""

    def look(self) -> Watched:
        """Return the watch at this moment."""

    def standing(self) -> Sequence[str]:
        """Return the sentences of the alarms that were last seen; costs nothing."""
