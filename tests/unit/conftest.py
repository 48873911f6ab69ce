"""What most tests of the node begin with: a clock that only they turn, and an empty ledger."""

import pytest
from node_builders import Clock, opened_ledger


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def ledger(tmp_path):
    with opened_ledger(tmp_path / "ledger.sqlite") as ledger:
        yield ledger
