"""Small JSON documents that must outlive a restart: one a key, in the ledger's facts."""

import json
from typing import Any

from dicom_node.jobs.database import Database
from dicom_node.jobs.tables import MetaRow


class Documents:
    """Keeps documents by key. Raises LedgerUnavailableError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def read(self, key: str) -> Any | None:  # noqa: ANN401 - JSON
        """Return a document, None if there is none."""
        with self._database.read() as session:
            row = session.get(MetaRow, key)
            return None if row is None else json.loads(row.value)

    def write(self, key: str, document: Any) -> None:  # noqa: ANN401 - JSON
        """Keep a document in the place of the one before it."""
        text = json.dumps(document)
        with self._database.write() as session:
            session.merge(MetaRow(key=key, value=text))
