"""A clock that stands still and an empty ledger, for every test of the node's parts."""

import pytest
from node_builders import Clock, opened_ledger


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def ledger(tmp_path):
    with opened_ledger(tmp_path / "ledger.sqlite") as ledger:
        yield ledger
