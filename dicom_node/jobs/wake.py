"""The port by which processes wake one another, so that nobody waits for the next look."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from enum import StrEnum
from typing import Protocol


class Topic(StrEnum):
    """What there is news of. The values are names of pipes and channels."""

    IMAGES = "images"  #: an association has ended that brought images
    JOBS = "jobs"  #: a job waits for a worker
    RESULTS = "results"  #: results wait for their destinations


class Bells(Protocol):
    """Rung when something is in the ledger that somebody waits for.

    A ring is a hint and may be lost or come twice: whoever listens looks into the ledger, and
    does so from time to time without a ring. So it is rung after the transaction has ended.
    """

    def ring(self, topic: Topic) -> None:
        """Wake whoever listens for a topic, in whatever process. Never raises, never waits."""

    def listen(self, topic: Topic, on_ring: Callable[[], None]) -> AbstractContextManager[None]:
        """Have `on_ring` called with every ring while the context is open.

        It is called in another thread and must be quick.
        """


class Silence:
    """Bells that nobody hears."""

    def ring(self, topic: Topic) -> None:
        """Do nothing."""

    def listen(self, topic: Topic, on_ring: Callable[[], None]) -> AbstractContextManager[None]:
        """Hear nothing."""
        del topic, on_ring
        return nullcontext()


SILENCE = Silence()
