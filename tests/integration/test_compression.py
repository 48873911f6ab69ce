"""Captures compressed for a peer that wants it: other bytes, the same picture and instance."""

import io
from contextlib import contextmanager

import numpy as np
import pytest
from acceptance.orthanc_process import Orthanc
from pydicom import dcmread
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    JPEGLSLossless,
    RLELossless,
    SecondaryCaptureImageStorage,
)
from pynetdicom import AE, evt
from result_cases import SMALL, case_with_everything
from validator_programs import run

from dicom_node.association.peers import Peer
from dicom_node.association.presentation import PROPOSED
from dicom_node.association.storage_scu import outgoing_file, send_files

HOST = "127.0.0.1"

#: Software of others that decodes, not the encoder's own.
DECODERS = {JPEGLSLossless: "gdcm", RLELossless: "pydicom"}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Return captures, segmentation, map and report as files."""
    folder = tmp_path_factory.mktemp("results")
    paths = []
    for number, ds in enumerate(case_with_everything(shape_yx=SMALL).encode().in_send_order):
        paths.append(folder / f"{number}.dcm")
        ds.save_as(paths[-1], enforce_file_format=True)
    return [outgoing_file(path) for path in paths]


@contextmanager
def archive(*syntaxes):
    """Give the port of an archive that takes results in these, and what arrives, as files."""
    arrived = []

    def store(event):
        arrived.append(event.encoded_dataset())
        return 0

    entity = AE(ae_title="PACS")
    for one in PROPOSED:
        entity.add_supported_context(one.sop_class_uid, list(syntaxes))
    server = entity.start_server((HOST, 0), block=False, evt_handlers=[(evt.EVT_C_STORE, store)])
    try:
        yield server.server_address[1], arrived
    finally:
        server.shutdown()


def peer(port, *syntaxes, title="PACS"):
    return Peer(
        name="pacs",
        ae_title=title,
        host=HOST,
        port=port,
        calling_ae_title="ICHNODE",
        encodings=tuple(map(str, syntaxes)),
    )


def is_capture(file):
    return file.sop_class_uid == SecondaryCaptureImageStorage


@pytest.mark.parametrize("syntax", [JPEGLSLossless, RLELossless], ids=lambda one: one.name)
def test_a_compressed_capture_is_the_same_instance_with_the_same_pixels(results, syntax):
    """Segmentation and report, which cannot be compressed so, travel in the next encoding."""
    wanted = (syntax, ExplicitVRLittleEndian)
    with archive(*wanted) as (port, arrived):
        outcomes = send_files(peer(port, *wanted), results)

    assert all(one.accepted for one in outcomes)
    assert any(map(is_capture, results))
    for file, encoded in zip(results, arrived, strict=True):
        ds, before = dcmread(io.BytesIO(encoded)), dcmread(file.path)
        expected = syntax if is_capture(file) else ExplicitVRLittleEndian
        assert ds.file_meta.TransferSyntaxUID == expected
        assert ds.SOPInstanceUID == before.SOPInstanceUID
        if is_capture(file):
            ds.pixel_array_options(decoding_plugin=DECODERS[syntax])
            assert np.array_equal(ds.pixel_array, before.pixel_array)
            assert ds.LossyImageCompression == "00"
            assert len(encoded) < file.path.stat().st_size


def test_a_peer_that_takes_no_compression_gets_the_object_as_it_is(results):
    """The site prefers it, the archive refuses that context."""
    with archive(ExplicitVRLittleEndian) as (port, arrived):
        outcomes = send_files(
            peer(port, JPEGLSLossless, RLELossless, ExplicitVRLittleEndian), results
        )

    assert all(one.accepted for one in outcomes)
    syntaxes = {dcmread(io.BytesIO(one)).file_meta.TransferSyntaxUID for one in arrived}
    assert syntaxes == {ExplicitVRLittleEndian}


def test_what_cannot_be_compressed_travels_in_the_next_encoding(results, tmp_path, caplog):
    """A capture whose pixels are damaged: it is sent, and the log tells no more than where."""
    (capture, *_) = filter(is_capture, results)
    damaged = dcmread(capture.path)
    damaged.PixelData = damaged.PixelData[:-2]
    damaged.save_as(tmp_path / "damaged.dcm", enforce_file_format=True)
    wanted = (JPEGLSLossless, DeflatedExplicitVRLittleEndian)

    with archive(*wanted) as (port, arrived):
        (outcome,) = send_files(peer(port, *wanted), [outgoing_file(tmp_path / "damaged.dcm")])

    assert outcome.accepted
    ds = dcmread(io.BytesIO(arrived[0]))
    assert ds.file_meta.TransferSyntaxUID == DeflatedExplicitVRLittleEndian
    assert "A picture could not be compressed: ValueError" in caplog.text


@pytest.mark.parametrize("encodings", [(), ("1.2.840.10008.1.2.5",)])
def test_a_peer_needs_an_encoding_that_holds_anything(encodings):
    """A report has no pixels to be compressed."""
    with pytest.raises(ValueError, match="at least one encoding without compression"):
        peer(104, *encodings)


@pytest.mark.acceptance
@pytest.mark.parametrize("syntax", [JPEGLSLossless, RLELossless], ids=lambda one: one.name)
def test_orthanc_takes_compressed_captures_and_validators_find_no_error(results, syntax, tmp_path):
    """Orthanc keeps the file as it came; dciodvfy reads it; DCMTK decodes it."""
    orthanc = Orthanc(tmp_path / "orthanc")
    try:
        orthanc_peer = peer(orthanc.dicom_port, syntax, ExplicitVRLittleEndian, title="ORTHANC")
        outcomes = send_files(orthanc_peer, results)
        kept = {
            orthanc.ask(f"/instances/{one}/metadata?expand")["TransferSyntax"]
            for one in orthanc.ask("/instances")
            if orthanc.ask(f"/instances/{one}/simplified-tags")["Modality"] == "OT"
        }
    finally:
        orthanc.stop()
    with archive(syntax, ExplicitVRLittleEndian) as (port, arrived):
        send_files(peer(port, syntax, ExplicitVRLittleEndian), list(filter(is_capture, results)))
    sent = tmp_path / "sent.dcm"
    sent.write_bytes(arrived[0])
    said = run("dciodvfy", "-new", sent)
    decoded = tmp_path / "decoded.dcm"
    decoder = "dcmdjpls" if syntax == JPEGLSLossless else "dcmdrle"
    told = run(decoder, sent, decoded)

    assert all(one.accepted for one in outcomes)
    assert {UID(one) for one in kept} == {syntax}
    assert "Error" not in said, said
    assert np.array_equal(
        dcmread(decoded).pixel_array, dcmread(io.BytesIO(arrived[0])).pixel_array
    ), told
