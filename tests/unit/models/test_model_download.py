"""A download leaves a whole file with the right checksum, or nothing and a reason."""

import hashlib
import itertools
import socket

import pytest

from dicom_node import model_download
from dicom_node.model_download import download
from dicom_node.operator_error import OperatorError

CONTENT = bytes(range(256)) * 1024
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def fetch(server, tmp_path):
    """Download a path of the server; the folder of the target is empty but for it."""

    def run(path, *, sha256=DIGEST, on_bytes=lambda came, expected: None):  # noqa: ARG005
        download(server.address + path, tmp_path / "model.pt", sha256=sha256, on_bytes=on_bytes)

    return run


def test_the_right_file_arrives_whole(server, fetch, tmp_path):
    """Byte for byte, and nothing beside it."""
    server.files["/model.pt"] = CONTENT

    fetch("/model.pt")

    assert (tmp_path / "model.pt").read_bytes() == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == ["model.pt"]


def test_progress_rises_to_the_stated_size(server, fetch):
    """A bar can be drawn from it."""
    server.files["/model.pt"] = CONTENT
    told = []

    fetch("/model.pt", on_bytes=lambda *numbers: told.append(numbers))

    assert {expected for _, expected in told} == {len(CONTENT)}
    came = [number for number, _ in told]
    assert came[-1] == len(CONTENT)
    assert all(a < b for a, b in itertools.pairwise(came))


def test_another_file_is_refused_with_both_checksums(server, fetch, tmp_path):
    """One changed bit is another file; nothing of it stays."""
    changed = bytes([CONTENT[0] ^ 1]) + CONTENT[1:]
    server.files["/model.pt"] = changed

    with pytest.raises(OperatorError, match="is not the file it should be") as caught:
        fetch("/model.pt")

    assert hashlib.sha256(changed).hexdigest() in str(caught.value)
    assert DIGEST in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_transfer_that_breaks_off_is_told_and_leaves_nothing(server, fetch, tmp_path):
    """Fewer bytes than the sender announced."""
    server.files["/model.pt"] = CONTENT[:1000]
    server.announced["/model.pt"] = len(CONTENT)

    with pytest.raises(OperatorError, match=f"broke off after 1000 of {len(CONTENT)} bytes"):
        fetch("/model.pt")

    assert not list(tmp_path.iterdir())


def test_a_missing_page_is_told_with_its_number(fetch, tmp_path):
    """404 from the server, not a file that holds an error page."""
    with pytest.raises(OperatorError, match=r"cannot be fetched: 404"):
        fetch("/model.pt")

    assert not list(tmp_path.iterdir())


def test_a_sender_without_end_is_given_up(server, fetch, monkeypatch, tmp_path):
    """More than any network weighs is not read on."""
    monkeypatch.setattr(model_download, "_LARGEST_BYTES", 100_000)
    server.files["/model.pt"] = CONTENT

    with pytest.raises(OperatorError, match="more than 100000 bytes"):
        fetch("/model.pt")

    assert not list(tmp_path.iterdir())


def test_without_a_network_the_way_out_is_told(tmp_path):
    """Nobody listens: fetch the files elsewhere."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    with pytest.raises(OperatorError, match="fetch the files elsewhere"):
        download(
            f"http://127.0.0.1:{port}/model.pt",
            tmp_path / "model.pt",
            sha256=DIGEST,
            on_bytes=lambda came, expected: None,  # noqa: ARG005  nobody watches
        )


def test_only_web_addresses_are_fetched(tmp_path):
    """A file of this machine is no address."""
    secret = tmp_path / "secret"
    secret.write_bytes(CONTENT)

    with pytest.raises(OperatorError, match="only http and https"):
        download(
            secret.as_uri(),
            tmp_path / "model.pt",
            sha256=DIGEST,
            on_bytes=lambda came, expected: None,  # noqa: ARG005  nobody watches
        )
