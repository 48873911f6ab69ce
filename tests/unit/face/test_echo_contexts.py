"""``ichnode echo --contexts``: which results a PACS would take."""

from contextlib import contextmanager

import pytest
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage
from pynetdicom import AE
from typer.testing import CliRunner

from dicom_node.association.presentation import PROPOSED
from dicom_node.cli.app import app
from dicom_node.operator_error import OperatorError


@contextmanager
def pacs(*classes):
    entity = AE(ae_title="PACS")
    for one in classes:
        entity.add_supported_context(one, [ExplicitVRLittleEndian])
    server = entity.start_server(("127.0.0.1", 0), block=False)
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()


def ask(tmp_path, port):
    config = tmp_path / "node.toml"
    config.write_text(
        f'[[peers]]\nname = "pacs"\nae_title = "PACS"\nhost = "127.0.0.1"\nport = {port}\n'
    )
    done = CliRunner().invoke(app, ["echo", "pacs", "--contexts", "--config", str(config)])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def test_a_pacs_without_segmentations_is_named(tmp_path):
    """It takes captures in one encoding only, and nothing else."""
    with pacs(SecondaryCaptureImageStorage) as port:
        done = ask(tmp_path, port)

    name = "Secondary Capture Image Storage"
    assert f"{name} in Explicit VR Little Endian: accepted" in done.stdout
    assert f"{name} in Implicit VR Little Endian: refused: transfer syntax" in done.stdout
    assert (
        "Segmentation Storage in Explicit VR Little Endian: refused: SOP class not supported"
    ) in done.stdout
    assert done.exit_code == 1


def test_a_pacs_that_takes_every_class_is_good(tmp_path):
    """One encoding each is enough."""
    with pacs(*(one.sop_class_uid for one in PROPOSED)) as port:
        done = ask(tmp_path, port)

    assert done.exit_code == 0


def test_a_pacs_that_is_away_is_an_error(tmp_path):
    """In the words of every other call."""
    with pytest.raises(OperatorError, match="No connection to pacs"):
        ask(tmp_path, 1)
