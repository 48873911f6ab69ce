"""The workers of a host share its cores; who says otherwise in the environment is heeded."""

import pytest
from node_builders import opened_ledger

from dicom_node.bootstrap.cores import VARIABLE, SharedCores, shared_cores
from dicom_node.errors import LedgerUnavailableError
from dicom_node.jobs.process_identity import ProcessIdentity


class FakeThreads:
    """The threads of networks on a host of eight cores."""

    def __init__(self, number=8):
        self.here, self.calls = number, []

    def number(self):
        return self.here

    def use(self, number):
        self.calls.append(number)


def after(counts, threads):
    """Let a worker look as often as there are counts of workers, ten seconds apart."""
    seconds = iter(range(0, 1000, 10))
    left = iter(counts)

    def workers():
        found = next(left)
        if found is None:
            raise LedgerUnavailableError("locked")
        return found

    share = SharedCores(workers, threads, timer=lambda: next(seconds))
    for _ in counts:
        share()
        next(seconds)
    return threads.calls


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ((1, 1), []),
        ((2, 2, 2), [4]),
        ((1, 3, 1), [2, 8]),
        ((99,), [1]),
        ((0,), []),
        ((2, None, 2), [4]),
    ],
    ids=["alone", "two", "two come and go", "more than cores", "not noted yet", "ledger busy"],
)
def test_each_worker_takes_its_part(counts, expected):
    """Eight cores: 8 alone, 4 of two, 2 of three, never less than one; said once."""
    assert after(counts, FakeThreads()) == expected


def test_nothing_is_done_while_no_network_is_loaded():
    """Models of a test, or models that could not be loaded: there are no threads to share."""
    assert after((2, 2), FakeThreads(number=0)) == []


def test_workers_of_this_host_are_counted(tmp_path, clock):
    """Not those of other hosts, not those that ended, not the office."""
    with opened_ledger(tmp_path / "ledger.sqlite") as ledger:
        for number, (name, host) in enumerate(
            [("worker-0", "a"), ("worker-1", "a"), ("worker-0@b", "b"), ("office", "a")]
        ):
            one = ProcessIdentity(name=name, host=host, pid=number, token=str(number))
            ledger.presence.enter(one, clock())
        assert ledger.presence.workers_on("a") == 2

        gone = ProcessIdentity(name="worker-1", host="a", pid=1, token=str(1))
        ledger.presence.leave(gone, clock())

        assert ledger.presence.workers_on("a") == 1


def test_who_sets_the_variable_has_decided(tmp_path, monkeypatch):
    """OMP_NUM_THREADS is what torch itself reads; nobody is counted then."""
    monkeypatch.setenv(VARIABLE, "3")
    with opened_ledger(tmp_path / "ledger.sqlite") as ledger:
        assert not isinstance(shared_cores(ledger), SharedCores)
    monkeypatch.delenv(VARIABLE)
    with opened_ledger(tmp_path / "ledger.sqlite") as ledger:
        assert isinstance(shared_cores(ledger), SharedCores)
