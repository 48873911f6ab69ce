"""The pages of a node with two studies and three people."""

import shutil

import pytest
from web_builder import prepare, web_node


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    """Return a data directory that is copied for each test."""
    folder = tmp_path_factory.mktemp("prepared")
    prepare(folder)
    return folder


@pytest.fixture
def data_folder(prepared, tmp_path):
    return shutil.copytree(prepared, tmp_path / "data")


@pytest.fixture
def node(data_folder):
    with web_node(data_folder) as node:
        yield node
