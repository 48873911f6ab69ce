"""Which alarms stood when they were last looked at, so that each is logged once."""

import json
from collections.abc import Iterable

from dicom_node.jobs.database import Database
from dicom_node.jobs.tables import MetaRow

_KEY = "watch_alarms"


class AlarmMemory:
    """Remembers alarms by name over restarts. Raises LedgerUnavailableError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def standing(self) -> frozenset[str]:
        """Return the names that were last kept."""
        with self._database.read() as session:
            row = session.get(MetaRow, _KEY)
            return frozenset() if row is None else frozenset(json.loads(row.value))

    def exchange(self, standing: Iterable[str]) -> frozenset[str]:
        """Keep the names of the alarms that stand and return those that stood before."""
        names = json.dumps(sorted(standing))
        with self._database.write() as session:
            row = session.get(MetaRow, _KEY)
            if row is None:
                session.add(MetaRow(key=_KEY, value=names))
                return frozenset()
            before = frozenset(json.loads(row.value))
            row.value = names
            return before
