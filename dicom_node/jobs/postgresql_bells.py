"""Bells between the processes of several hosts: LISTEN and NOTIFY of PostgreSQL."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any, Final

from sqlalchemy.exc import SQLAlchemyError

from dicom_node.errors import LedgerUnavailableError
from dicom_node.jobs.database_engine import DatabaseEngine
from dicom_node.jobs.procrastinate_dispatch import CHANNEL
from dicom_node.jobs.wake import Topic

LOGGER = logging.getLogger(__name__)

#: How long a listener waits before it looks whether it shall end.
_LOOK_S: Final = 0.5

#: How long it waits after the server went away.
_AWAY_S: Final = 5.0


class PostgresqlBells:
    """Rings by NOTIFY, hears by LISTEN on a connection of its own.

    Jobs ring by themselves: their tickets do, in the transaction that makes them.

    Parameters
    ----------
    engine
        Database of the ledger.
    """

    def __init__(self, engine: DatabaseEngine) -> None:
        self._engine = engine

    def ring(self, topic: Topic) -> None:
        """Wake whoever listens for a topic, on every host. Never raises."""
        import psycopg

        with (
            suppress(SQLAlchemyError, LedgerUnavailableError, psycopg.Error),
            closing(self._engine.writing.raw_connection()) as connection,
        ):
            connection.cursor().execute(f"NOTIFY {_channel(topic)}")
            connection.commit()

    @contextmanager
    def listen(self, topic: Topic, on_ring: Callable[[], None]) -> Iterator[None]:
        """Have `on_ring` called in a thread with every ring while the context is open."""
        over = threading.Event()
        channels = [_channel(topic), *([CHANNEL] if topic is Topic.JOBS else [])]
        thread = threading.Thread(
            target=self._hear, args=(channels, on_ring, over), name=f"bell-{topic}", daemon=True
        )
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _hear(
        self, channels: list[str], on_ring: Callable[[], None], over: threading.Event
    ) -> None:
        import psycopg

        while not over.is_set():
            try:
                with self._connection() as connection:
                    for channel in channels:
                        connection.execute(f"LISTEN {channel}")
                    on_ring()  # for whatever was missed while nobody listened
                    while not over.is_set():
                        if list(connection.notifies(timeout=_LOOK_S, stop_after=1)):
                            on_ring()
            except (SQLAlchemyError, LedgerUnavailableError, psycopg.Error) as error:
                LOGGER.warning("Nothing is heard of %s: %s", channels[0], type(error).__name__)
                over.wait(_AWAY_S)

    @contextmanager
    def _connection(self) -> Iterator[Any]:
        """Open a connection outside of the pool, without transactions."""
        proxy = self._engine.writing.raw_connection()
        connection: Any = proxy.driver_connection
        proxy.detach()
        with closing(proxy):
            connection.autocommit = True
            yield connection


def _channel(topic: Topic) -> str:
    return f"ichnode_{topic.value}"
