"""Fixtures that any test may use."""

import gc
import os
from pathlib import Path

import pytest
from closed_sockets import close_sockets
from postgresql_cluster import PLACES

_POSTGRESQL = "postgresql"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the tests of the ledger run on either database."""
    parser.addoption(
        "--ledger",
        choices=("sqlite", _POSTGRESQL),
        default="sqlite",
        help="database under the ledgers that tests open",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Say to whoever opens ledgers which database it is; see to the sockets of the library."""
    close_sockets()
    PLACES.on_postgresql = config.getoption("--ledger") == _POSTGRESQL


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Look for nothing to let go of among modules and tests; that was a third of the time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what looks into the file of SQLite where there is none."""
    if PLACES.on_postgresql and item.get_closest_marker("sqlite"):
        pytest.skip("looks into the file of an SQLite ledger")


@pytest.fixture(scope="module", autouse=True)
def collected():
    """Collect what the tests of a file left open while the file can still be blamed for it.

    What is left alive is not looked at again, so that this takes milliseconds.
    """
    yield
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of reference data; the test is skipped where it is absent."""
    beside_checkout = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("ICHNODE_DATA", beside_checkout))
    if not folder.is_dir():
        pytest.skip("reference data not found: set ICHNODE_DATA to the folder that holds it")
    return folder
