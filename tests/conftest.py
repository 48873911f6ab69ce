"""Fixtures that any test may use."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of reference data; the test is skipped where it is absent."""
    beside_checkout = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("ICHNODE_DATA", beside_checkout))
    if not folder.is_dir():
        pytest.skip("reference data not found: set ICHNODE_DATA to the folder that holds it")
    return folder
