"""``ichnode backup``: a copy of the ledger while the node works."""

import os
from pathlib import Path

from dicom_node.bootstrap.ledgers import ledger_for_reading
from dicom_node.commands.screen import say
from dicom_node.commands.site import settings_of
from dicom_node.errors import LedgerError
from dicom_node.operator_error import ExitCode, OperatorError

#: For the node's own account only: the ledger holds the key of the patients' hashes.
_PRIVATE = 0o600


def run(file: Path, *, config: Path | None) -> int:
    """Copy the ledger to a file that is not there yet."""
    _, settings = settings_of(config)
    with ledger_for_reading(settings) as ledger:
        try:
            # Made here, empty: so it is nobody else's to read from its first byte.
            os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE))
        except OSError as error:
            raise OperatorError(f"cannot make {file}: {error.strerror}") from error
        try:
            ledger.database.copy_to(file)
        except LedgerError as error:
            file.unlink()
            raise OperatorError(str(error)) from error
    say(f"the ledger was copied to {file}; copy spool, outbox and summaries after it")
    return ExitCode.OK
