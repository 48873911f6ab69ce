"""What is done again and again, and what the log says when it cannot be."""

import pytest
from node_builders import wait_for

from dicom_node.errors import LedgerUnavailableError
from dicom_node.jobs.timetable import Tick, Timetable

AWAY = "The ledger postgresql://ichnode@db/ichnode refused: Connection refused"


def failing(error):
    def tick():
        raise error

    return tick


@pytest.mark.parametrize(
    ("error", "told", "kept"),
    [
        (LedgerUnavailableError(AWAY), f"Tick tock waits: {AWAY}", "test_node_timetable.py"),
        (ValueError("DOE^JOHN"), "Tick tock failed: ValueError", "DOE"),
    ],
    ids=["ledger away", "fault of the node"],
)
def test_a_ledger_that_is_away_is_said_in_one_line_a_fault_with_its_place(
    caplog, error, told, kept
):
    """The operator reads why; the message of an outside library, which may quote, is kept out."""
    timetable = Timetable([Tick(name="tock", every_s=0.05, action=failing(error))])
    timetable.start()
    try:
        wait_for(lambda: told in caplog.text)
    finally:
        timetable.stop()

    messages = [record.getMessage() for record in caplog.records]
    assert not [one for one in messages if one.startswith("Tick") and kept in one]
