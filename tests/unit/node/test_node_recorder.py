"""Rows in batches: in order, none lost, none too late for whoever asks."""

import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from node_builders import received, sender, small_series

from dicom_node.errors import LedgerUnavailableError
from dicom_node.intake.recorder import Recorder, Stream

NOW = datetime(2026, 1, 5, 8, 30, tzinfo=UTC)
PATIENCE_S = 60


class Rows:
    """Keeps batches; may refuse, and may be made to wait."""

    def __init__(self):
        self.batches = []
        self.closed = []
        self.refuses = False
        self.may_wait = True
        self.has_written = threading.Event()

    def add_all(self, batch):
        if self.refuses:
            raise LedgerUnavailableError("refused")
        self.batches.append([one.path for one in batch])
        self.has_written.set()
        streams = {
            Stream(one.instance.request.sender.association_id, one.instance.series_instance_uid)
            for one in batch
        }
        return frozenset(streams if self.may_wait else ())

    def close_association(self, caller, at):
        del at
        self.closed.append((caller.association_id, len(self.paths)))

    @property
    def paths(self):
        return [path for batch in self.batches for path in batch]


@pytest.fixture
def rows():
    return Rows()


@pytest.fixture
def recorder(rows):
    """Return a recorder that never gets to its work by itself."""
    recorder = Recorder(rows, pause_s=PATIENCE_S)
    recorder._thread.is_alive = lambda: True
    return recorder


SERIES = [received(ds) for ds in small_series(6)]


def add(recorder, *numbers):
    for number in numbers:
        recorder.add(SERIES[number], Path(str(number)))


def paths(*numbers):
    return [Path(str(number)) for number in numbers]


def test_the_first_image_is_recorded_before_success(rows, recorder):
    """Series and association have their rows when the first sender is answered."""
    add(recorder, 0)
    assert rows.batches == [paths(0)]


def test_the_next_ones_wait_for_each_other(rows, recorder):
    """They are recorded in one transaction, in their order."""
    add(recorder, 0, 1, 2, 3)
    assert rows.batches == [paths(0)]
    recorder.settle()
    assert rows.batches == [paths(0), paths(1, 2, 3)]


def test_the_end_of_an_association_finds_all_rows(rows, recorder):
    """Assembly looks at the series then."""
    add(recorder, 0, 1, 2)
    recorder.close_association(sender(), NOW)
    assert rows.closed == [("association-1", 3)]


def test_an_association_that_has_ended_begins_anew(rows, recorder):
    """The first image after that is recorded at once."""
    add(recorder, 0)
    recorder.close_association(sender(), NOW)
    add(recorder, 1)
    assert rows.batches == [paths(0), paths(1)]


def test_a_series_that_was_purged_is_recorded_image_by_image(rows, recorder):
    """A file of an earlier receipt may be about to go: only a row keeps it."""
    rows.may_wait = False
    add(recorder, 0, 1)
    assert rows.batches == [paths(0), paths(1)]


def test_without_its_thread_everything_is_recorded_at_once(rows):
    """Commands and tests need no second thread."""
    add(Recorder(rows), 0, 1)
    assert rows.batches == [paths(0), paths(1)]


def test_no_more_than_a_few_wait(rows, recorder):
    """Then senders wait for the ledger."""
    add(recorder, *[0] * 513)
    assert len(rows.paths) == 1
    add(recorder, 1)
    assert len(rows.paths) == 514


def test_a_ledger_that_refuses_loses_nothing(rows, recorder):
    """What was answered with Success is kept, the next sender hears of the fault."""
    add(recorder, 0, 1, 2)
    rows.refuses = True
    with pytest.raises(LedgerUnavailableError):
        recorder.settle()
    with pytest.raises(LedgerUnavailableError):
        add(recorder, 3)
    rows.refuses = False
    add(recorder, 4)
    assert rows.paths == paths(0, 1, 2, 4)


def test_the_thread_records_by_itself(rows):
    """Soon after the image came, without anybody asking."""
    recorder = Recorder(rows, pause_s=0.001)
    recorder.start()
    try:
        add(recorder, 0)
        rows.has_written.clear()
        add(recorder, 1)
        assert rows.has_written.wait(PATIENCE_S)
    finally:
        recorder.stop()
    assert rows.paths == paths(0, 1)


def test_stopping_records_what_waits(rows):
    """And what comes later is recorded at once."""
    recorder = Recorder(rows, pause_s=0.001)
    recorder.start()
    add(recorder, 0, 1, 2)
    recorder.stop()
    assert rows.paths == paths(0, 1, 2)
    add(recorder, 3)
    assert rows.batches[-1] == paths(3)


def test_many_associations_record_through_one_ledger(rows):
    """Eight senders at once: every image has one row, each sender's in its order."""
    recorder = Recorder(rows, pause_s=0.001)
    recorder.start()

    def send(number):
        name = f"association-{number}"
        for place, ds in enumerate(small_series(40)):
            recorder.add(received(ds, association_id=name), Path(f"{number}/{place:02}"))
        recorder.close_association(sender(name), NOW)

    threads = [threading.Thread(target=send, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    recorder.stop()
    for number in range(8):
        mine = [path for path in rows.paths if path.parent == Path(str(number))]
        assert mine == [Path(f"{number}/{place:02}") for place in range(40)]
    assert len(rows.closed) == 8
